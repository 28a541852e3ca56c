package hosts

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"service_manager/hosts/crew"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// Config configures a [Pool]. Its zero value works.
type Config struct {
	// Dial opens the TCP connections. Nil means a [net.Dialer] with the host's keepalives.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TunnelsPerConnection is how many connections to hosts may share one to their jump host; another one is opened when all are
	// full. 0 means 256.
	TunnelsPerConnection int
	// Trust is the command that adds host keys, which errors tell people to run; --replace and the host's name are put behind it.
	// Empty means "service_manager trust".
	Trust string
}

// A Pool keeps one SSH connection per host. It is safe for concurrent use; calls for the same host take turns.
type Pool struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error) // nil: with the host's keepalives
	signers  signers
	hostKeys hostKeys
	files    fileLooks
	jumps    *jumps
	counts   counters
	work     *crew.Crew // What waits for a host, of connections.
	answers  answers
	closing  context.Context //nolint:containedctx // It is the pool's lifetime, which no caller has.
	end      context.CancelFunc

	mu     sync.Mutex
	links  map[string]*link // by host name
	closed bool
}

// A link is what the pool knows of one host.
type link struct {
	turn    chan struct{}   // holds a value while someone uses the link
	conn    *conn           // nil when there is none
	host    inventory.Host  // as conn was made for it
	version int             // of systemd as last seen, 0 before that; it outlives the connection
	next    systemctl.Query // what was asked last, for the next time; likewise
	globs   globs           // likewise
	cured   time.Time       // when a healthy connection was given up because of its sessions
	files   atomic.Pointer[[]*fileLook]
}

// New returns an empty pool.
func New(config Config) *Pool {
	p := &Pool{dial: config.Dial, links: make(map[string]*link), work: crew.New()}
	p.hostKeys.trust = cmp.Or(config.Trust, "service_manager trust")
	p.closing, p.end = context.WithCancel(context.Background())
	p.jumps = newJumps(p, cmp.Or(config.TunnelsPerConnection, tunnelsPerConnection))
	return p
}

// Connect gives h a new connection, in place of one that it may have. It takes at most h.ConnectTimeout. The error is an [Error].
func (p *Pool) Connect(ctx context.Context, h inventory.Host) error {
	ctx, cancel := p.within(ctx, h.ConnectTimeout)
	defer cancel()
	l, err := p.take(ctx, h)
	if err != nil {
		return err
	}
	defer l.release()
	l.drop()
	l.files.Store(p.files.look(h))
	c, err := p.connect(ctx, h)
	if err != nil {
		return at(h, err)
	}
	c.count(&p.counts.connections)
	l.conn, l.host = c, h
	return nil
}

// Poll asks h for the state of its units over its standing connection. It takes at most h.Timeout. The error is an [Error]. It
// wraps [ErrNotConnected] where there is no connection, where the one there leads elsewhere than h says now, or where it was proved
// dead before the answer was whole: such a poll is worth one [Pool.Connect] and another try. The connection is dropped where it can
// no longer be trusted. One on which a command did not end in time stays: the next poll probes it, and sends no other while 3 have
// not ended.
func (p *Pool) Poll(ctx context.Context, h inventory.Host) (Snapshot, error) {
	ctx, cancel := p.within(ctx, h.Timeout)
	defer cancel()
	l, err := p.take(ctx, h)
	if err != nil {
		return Snapshot{}, err
	}
	defer l.release()
	if err := l.stands(h); err != nil {
		l.drop()
		return Snapshot{}, at(h, err)
	}
	if err := l.ready(ctx); err != nil {
		return Snapshot{}, at(h, err)
	}
	started := time.Now()
	answer, err := l.ask(ctx, h)
	if err != nil {
		return Snapshot{}, at(h, err)
	}
	return Snapshot{
		Manager: answer.Manager, BootID: answer.BootID, Units: answer.Units, Took: time.Since(started), GlobsErr: l.globs.err,
	}, nil
}

// Connected reports whether h has a connection that stood when last heard of.
func (p *Pool) Connected(name string) bool {
	p.mu.Lock()
	l := p.links[name]
	p.mu.Unlock()
	if l == nil {
		return false
	}
	select {
	case l.turn <- struct{}{}:
		defer l.release()
		return l.conn != nil && l.conn.alive()
	default: // In use, so it stands, or is about to.
		return true
	}
}

// Drop ends the connection of a host that is not to be polled any more, and forgets what is known of it. A call that is under way for it
// ends first. What its jump host has to carry no longer, it carries no longer.
func (p *Pool) Drop(name string) {
	p.mu.Lock()
	l := p.links[name]
	delete(p.links, name)
	p.mu.Unlock()
	if l == nil {
		return
	}
	l.turn <- struct{}{}
	defer l.release()
	l.drop()
}

// Close ends all connections, whatever their peers do. Calls that are under way are interrupted, and those of Connect and Poll waited
// for, as is what an examination has under way on its connection; later ones fail.
func (p *Pool) Close() {
	p.end()
	p.mu.Lock()
	p.closed = true
	links := p.links
	p.links = make(map[string]*link)
	p.mu.Unlock()
	for _, l := range links {
		l.turn <- struct{}{}
		l.drop()
	}
	p.jumps.close()
	p.work.Wait()
}

// within bounds a call: by limit, and by the pool's lifetime.
func (p *Pool) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(p.closing, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// take waits for the turn to use h's link.
func (p *Pool) take(ctx context.Context, h inventory.Host) (*link, error) {
	p.mu.Lock()
	l := p.links[h.Name]
	if l == nil && !p.closed {
		l = &link{turn: make(chan struct{}, 1)}
		p.links[h.Name] = l
	}
	p.mu.Unlock()
	if l == nil {
		return nil, at(h, fail(Unreachable, "the pool is closed"))
	}
	select {
	case l.turn <- struct{}{}:
		return l, nil
	case <-ctx.Done():
		return nil, at(h, fail(Timeout, "waiting for another poll of the host: %w", context.Cause(ctx)))
	}
}

func (l *link) release() { <-l.turn }

// stands says why there is no connection to poll h on.
func (l *link) stands(h inventory.Host) error {
	switch {
	case l.conn == nil || !sameWay(&l.host, &h):
		return fail(Unreachable, "%w", ErrNotConnected)
	case !l.conn.alive():
		return l.conn.explainEnd()
	}
	return nil
}

// drop closes the connection, if there is one.
func (l *link) drop() {
	if l.conn != nil {
		l.conn.close()
		l.conn = nil
	}
}

// ask runs one query on the standing connection, and a second one when the first showed a systemd that must be asked in another way.
func (l *link) ask(ctx context.Context, h inventory.Host) (systemctl.Answer, error) {
	units, err := l.units(ctx, h)
	if err != nil {
		return systemctl.Answer{}, err
	}
	for {
		query := l.question(units, timeLeft(ctx)*9/10)
		answer, err := l.put(ctx, h, query)
		if err != nil {
			return systemctl.Answer{}, err
		}
		asked := l.version
		l.version = answer.Manager.VersionNumber
		if !answer.Regroup || asked == l.version {
			l.globs.learn(&answer, len(h.Units))
			l.next = query.Next(answer)
			return answer, nil
		}
	}
}

// question is the one about units, which is the same as before nearly always.
func (l *link) question(units []string, limit time.Duration) systemctl.Query {
	q := l.next
	if q.Version != l.version || !slices.Equal(q.Units, units) {
		q = systemctl.Query{Units: units, Version: l.version, Before: q.Before}
	}
	q.Nonce, q.Limit = systemctl.NewNonce(), limit
	return q
}

// put asks one question, in the host's mode. The error is an [Error].
func (l *link) put(ctx context.Context, h inventory.Host, query systemctl.Query) (systemctl.Answer, error) {
	limit := answerLimit(len(query.Units))
	if h.SSH.Mode == inventory.ModeStream {
		answer, answered, err := l.askStream(ctx, query, limit)
		if answered || err != nil {
			return answer, err
		}
	} else {
		l.conn.endStream(ctx) // A reload may have changed the mode.
	}
	command, err := query.Command()
	if err != nil {
		return systemctl.Answer{}, fail(CommandFailed, "%w", err)
	}
	out, err := l.exec(ctx, command, limit)
	if err != nil {
		return systemctl.Answer{}, err
	}
	defer l.conn.pool.answers.done(out.stdout)
	answer, err := query.Parse(out.stdout, out.stderr)
	if err != nil {
		return systemctl.Answer{}, explainAnswer(out, err)
	}
	l.conn.streamFailed = false
	return answer, nil
}

// sameWay reports whether a connection that was made for one host is one for the other, which the inventory may have changed since.
func sameWay(a, b *inventory.Host) bool {
	for ; a != nil && b != nil; a, b = a.Via, b.Via {
		if a.Address != b.Address || a.SSH.Port != b.SSH.Port || a.SSH.User != b.SSH.User || a.SSH.HostKeyAlias != b.SSH.HostKeyAlias {
			return false
		}
	}
	return a == b
}

// at names the host in an error of this package.
func at(h inventory.Host, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Target = target(h)
	}
	return err
}

package hosts

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"service_manager/inventory"
)

const (
	// tunnelsPerConnection is [Config.TunnelsPerConnection] unless another is set. The connections of a jump host share a fate each,
	// and each has one core of the jump host at most.
	tunnelsPerConnection = 256
	// jumpIdle is how long a connection to a jump host is kept that no one uses.
	jumpIdle = 5 * time.Minute
	// jumpPause is the longest time for which a jump host that cannot be reached is left alone, and jumpRefusal that for one which
	// must not be asked again soon, see [Persistent]. Hundreds of hosts may be behind it, each of which would ask.
	jumpPause   = 15 * time.Second
	jumpRefusal = 5 * time.Minute
)

// jumps are the connections to jump hosts. They are apart from the connections on which the same hosts are polled themselves: the
// trouble of a poll must not end hundreds of tunnels.
type jumps struct {
	most    int // tunnels on a connection
	connect func(context.Context, inventory.Host) (*conn, error)
	files   *fileLooks
	counts  *counters
	closing context.Context //nolint:containedctx // It is the pool's lifetime, which no caller has.

	owned  conc.WaitGroup   // dials, and the owners of connections
	mu     sync.Mutex       // guards all below, in jump, jumpConn and opening too
	byHost map[string]*jump // by jumpKey
	closed bool
}

// A jump is one jump host.
type jump struct {
	jumps    *jumps
	host     inventory.Host
	conns    []*jumpConn         // that take tunnels
	dialing  *dialing            // the one under way
	opening  map[string]*opening // by openingKey: those under way
	failure  error               // of the last dial, until it is time to try again
	failures int                 // in a row
	again    time.Time
	files    *[]*fileLook // that the last dial depended on
}

// A dialing is a connection to a jump host that is being made, however many wait for it.
type dialing struct {
	done chan struct{}
	err  error // once done
}

func newJumps(p *Pool, most int) *jumps {
	return &jumps{most: most, connect: p.connect, files: &p.files, counts: &p.counts, closing: p.closing, byHost: make(map[string]*jump)}
}

// close ends all connections, which does not wait for their peers. The tunnels end with them.
func (j *jumps) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.owned.Wait()
}

// tunnel opens a byte stream to h through a connection to h.Via, which is made where there is none with room. The error is an
// [Error], and [Unreachable] whatever it is: h itself was not asked.
func (j *jumps) tunnel(ctx context.Context, h inventory.Host) (*tunnel, error) {
	began := time.Now()
	for first := true; ; first = false {
		o, err := j.open(ctx, h, began)
		if err != nil {
			return nil, err
		}
		t, err := o.wait(ctx)
		switch {
		case err == nil:
			return t, nil
		case errors.Is(err, errLost) && j.closing.Err() != nil:
			<-ctx.Done() // The pool's end has broken the connection, and interrupts this too.
		case first && errors.Is(err, errLost) && ctx.Err() == nil: // It was dead when it was taken for standing.
			continue
		}
		return nil, o.explain(ctx, err, since(began))
	}
}

// open begins to open a tunnel to h, or takes over the opening that an earlier call has given up: there is never more than one,
// since a jump host may work on one for minutes.
func (j *jumps) open(ctx context.Context, h inventory.Host, began time.Time) (*opening, error) {
	name, key := h.Via.Name, jumpKey(*h.Via)
	for {
		o, later, err := j.tryOpen(h, key) //nolint:contextcheck // A dial is for all who wait for it, and outlives this call.
		if o != nil || err != nil {
			return o, err
		}
		select {
		case <-later.done:
			if later.err != nil {
				return nil, fail(Unreachable, "its jump host %s: %w", name, later.err)
			}
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return nil, fail(Unreachable, "connecting through its jump host %s was interrupted: %w", name, context.Cause(ctx))
			}
			return nil, fail(Unreachable, "its jump host %s: no connection to it within %v", name, since(began))
		}
	}
}

// tryOpen returns an opening, or what to wait for before another try.
func (j *jumps) tryOpen(h inventory.Host, key string) (*opening, *dialing, error) {
	files := j.files.look(*h.Via) // A file system may be slow: not with the lock.
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, nil, fail(Unreachable, "the pool is closed")
	}
	via := j.of(*h.Via, key)
	if o := via.opening[openingKey(h)]; o != nil {
		if o.wanted {
			return nil, &dialing{done: o.done}, nil
		}
		o.want(true)
		return o, nil, nil
	}
	for _, c := range via.conns {
		if c.tunnels < j.most && c.conn.alive() {
			return c.open(h), nil, nil
		}
	}
	if left := time.Until(via.again); via.failure != nil && left > 0 && !via.mended(files) {
		return nil, nil, fail(Unreachable, "its jump host %s: %w; it is asked again in %v", via.host.Name, via.failure, max(left.Round(time.Second), time.Second))
	}
	if via.dialing == nil {
		d := &dialing{done: make(chan struct{})}
		via.dialing = d
		j.owned.Go(func() { via.dial(d) })
	}
	return nil, via.dialing, nil
}

// of returns the jump host h.
func (j *jumps) of(h inventory.Host, key string) *jump {
	via := j.byHost[key]
	if via == nil {
		via = &jump{jumps: j, host: h, opening: make(map[string]*opening)}
		j.byHost[key] = via
	}
	return via
}

// jumpKey tells jump hosts apart, and one from what it was before the inventory was loaded anew with other settings, which neither
// shares its connections nor its failure.
func jumpKey(h inventory.Host) string {
	key := fmt.Sprintf("%s %s %v %+v", h.Name, h.Address, h.ConnectTimeout, h.SSH)
	if h.Via != nil {
		key += "\n" + jumpKey(*h.Via)
	}
	return key
}

// dial makes a connection, and owns it until it ends. It takes as long as the jump host may, whoever still waits.
func (via *jump) dial(d *dialing) {
	j := via.jumps
	files := j.files.look(via.host)
	ctx, cancel := context.WithTimeout(j.closing, via.host.ConnectTimeout)
	var conn *conn
	var err error
	panicked := panics.Try(func() { conn, err = j.connect(ctx, via.host) })
	cancel()
	if panicked != nil {
		err = fail(ProtocolError, "%w", panicked.AsError())
	}
	var c *jumpConn
	j.mu.Lock()
	via.dialing, via.files = nil, files
	if err != nil {
		d.err = at(via.host, err)
		via.failed(d.err)
	} else {
		conn.count(&j.counts.jumpConnections)
		conn.transport.share(true)
		c = &jumpConn{jump: via, conn: conn, idleSince: time.Now()}
		via.conns = append(via.conns, c)
		via.failure, via.failures = nil, 0
	}
	j.mu.Unlock()
	close(d.done)
	if c != nil {
		c.own()
	}
}

// mended reports whether a person may have mended what keeps us out, if the files that a dial depends on are those now. The caller
// holds the lock.
func (via *jump) mended(files *[]*fileLook) bool {
	return Persistent(via.failure) && !slices.Equal(*via.files, *files)
}

// failed remembers err for all hosts behind the jump host, with full jitter.
func (via *jump) failed(err error) {
	via.failure = err
	pause := jumpRefusal
	if !Persistent(err) {
		pause = rand.N(min(jumpPause, time.Second<<min(via.failures, 10))) //nolint:gosec // G404: it is no secret.
	}
	via.failures++
	via.again = time.Now().Add(pause)
}

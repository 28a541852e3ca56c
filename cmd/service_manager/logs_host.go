package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"golang.org/x/time/rate"

	"service_manager/hosts"
	"service_manager/hosts/journalctl"
	"service_manager/inventory"
)

// How long to wait before a host is tried again whose journal is followed.
const (
	firstLogRetry = time.Second
	lastLogRetry  = 15 * time.Second
)

// journals are what logs needs of [hosts.Pool].
type journals interface {
	Connect(ctx context.Context, h inventory.Host) error
	Journal(ctx context.Context, h inventory.Host, q journalctl.Query, silence time.Duration, each func(journalctl.Entry) error) error
}

// A logReader reads the journals of hosts, all at the same time.
type logReader struct {
	pool    journals
	limits  inventory.Collector
	query   journalctl.Query
	silence time.Duration
	began   time.Time
	hosts   []*logHost
	begun   func()                  // is called, where set, when each host has been tried once
	tell    func(host, text string) // tells a person at once; many call it
}

// A logHost is one whose journal is read.
type logHost struct {
	host    inventory.Host
	deliver func(context.Context, logLine) error // takes a line in; it waits for room
	seen    func(trouble bool)                   // the first line has come, or the end
	ended   func()                               // where set: no line will come

	once   sync.Once // for seen
	cursor string    // of the last line
	key    time.Time // likewise
	read   bool      // its journal was asked for

	told bool // why it is not read, for good

	mu      sync.Mutex
	trouble error // why it is not read, or not whole
}

func (r *logReader) names() []string {
	names := make([]string, len(r.hosts))
	for i, h := range r.hosts {
		names[i] = h.host.Name
	}
	return names
}

// run reads until all journals have ended, or ctx has.
func (r *logReader) run(ctx context.Context) {
	var reading conc.WaitGroup
	defer reading.Wait()
	again := &logDials{places: make(chan struct{}, min(r.limits.Dials, r.limits.DialsPerJump)), pace: rate.NewLimiter(rate.Limit(r.limits.DialRate), 1)}
	tried := make(map[*logHost]bool, len(r.hosts))
	var mu sync.Mutex
	dialEach(ctx, r.limits, r.hosts, func(h *logHost) inventory.Host { return h.host }, func(h *logHost) {
		err := r.pool.Connect(ctx, h.host)
		mu.Lock()
		tried[h] = true
		mu.Unlock()
		reading.Go(func() {
			defer h.end()
			if err := r.read(ctx, h, err, again); ctx.Err() == nil { // Else it is no trouble of the host.
				h.set(err)
			}
		})
	})
	if r.begun != nil {
		r.begun()
	}
	for _, h := range r.hosts {
		if !tried[h] { // Ctx has ended.
			h.end()
		}
	}
}

// read reads the journal of a host that was connected to, or was not, for which err tells why.
func (r *logReader) read(ctx context.Context, h *logHost, err error, again *logDials) error {
	wait := firstLogRetry
	for tries := 0; ; tries++ {
		if err == nil {
			wait = firstLogRetry
			h.back(r.tell)
			q := r.rest(h)
			h.read = true
			err = r.pool.Journal(ctx, h.host, q, r.silence, func(e journalctl.Entry) error { return h.take(ctx, e) })
			if err == nil && r.query.Follow {
				err = errLogEnded
			}
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case r.query.Follow && passes(err):
			h.away(err, r.tell)
			pause(ctx, wait/2+rand.N(wait/2)) //nolint:gosec // G404: not a secret
			wait = min(2*wait, lastLogRetry)
		case r.query.Follow:
			r.tell(h.host.Name, logTroubleOf(h, err))
			h.told = true
			return err
		case tries > 0 || !errors.Is(err, hosts.ErrNotConnected):
			return err
		}
		err = again.dial(ctx, func() error { return r.pool.Connect(ctx, h.host) })
	}
}

// rest is the query for what has not come yet.
func (r *logReader) rest(h *logHost) journalctl.Query {
	q := r.query
	switch {
	case h.cursor != "":
		q.After, q.Lines = h.cursor, journalctl.All
	case h.read && q.Follow: // Not a line by then; what has come meanwhile counts.
		if q.Lines = journalctl.All; q.Since.IsZero() {
			q.Since = r.began
		}
	}
	return q
}

// errLogEnded is of a journal that was to be followed.
var errLogEnded = errors.New("journalctl has ended there")

// passes reports whether a host that ended a followed journal with err is worth another try.
func passes(err error) bool {
	outcome := hosts.OutcomeOf(err)
	return outcome == hosts.Unreachable || outcome == hosts.Timeout || outcome == hosts.Throttled || errors.Is(err, hosts.ErrNotConnected) ||
		errors.Is(err, errLogEnded) || errors.Is(err, journalctl.ErrKilled)
}

// take takes in an entry. Lines of one host stay in the order of its journal, also where its clock was set back.
func (h *logHost) take(ctx context.Context, e journalctl.Entry) error {
	h.once.Do(func() { h.seen(false) })
	if e.Time.After(h.key) {
		h.key = e.Time
	}
	h.cursor = e.Cursor
	return h.deliver(ctx, logLine{host: h.host.Name, entry: e, key: h.key})
}

func (h *logHost) end() {
	h.mu.Lock()
	trouble := h.trouble != nil
	h.mu.Unlock()
	h.once.Do(func() { h.seen(trouble) })
	if h.ended != nil {
		h.ended()
	}
}

func (h *logHost) set(trouble error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if trouble != nil {
		h.trouble = trouble
	}
}

// away tells, once, that a host is tried again.
func (h *logHost) away(err error, tell func(host, text string)) {
	h.once.Do(func() { h.seen(true) })
	h.mu.Lock()
	known := h.trouble != nil
	h.trouble = err
	h.mu.Unlock()
	if !known {
		tell(h.host.Name, logTrouble(err)+"; it is tried again until Ctrl-C")
	}
}

// back tells that a host that was away is there.
func (h *logHost) back(tell func(host, text string)) {
	h.mu.Lock()
	known := h.trouble != nil
	h.trouble = nil
	h.mu.Unlock()
	if known {
		text := "connected now"
		if h.read {
			text = "connected again; what it has logged meanwhile follows"
		}
		tell(h.host.Name, text)
	}
}

// troubled are the hosts whose journals were not read.
func (r *logReader) troubled() []*logHost {
	return slices.DeleteFunc(slices.Clone(r.hosts), func(h *logHost) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.trouble == nil
	})
}

// logDials bounds the connections that are made again: however many break at the same time, no jump host is run over.
type logDials struct {
	places chan struct{}
	pace   *rate.Limiter
}

func (d *logDials) dial(ctx context.Context, dial func() error) error {
	select {
	case d.places <- struct{}{}:
		defer func() { <-d.places }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := d.pace.Wait(ctx); err != nil {
		return err
	}
	return dial()
}

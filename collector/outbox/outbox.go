package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/publish"
)

// ErrClosed is returned by Commit after Close.
var ErrClosed = errors.New("the outbox is closed")

// Config configures an [Outbox].
type Config struct {
	// Path is the state file, made where there is none. Empty keeps all in memory, with a fresh epoch that ends with the process.
	Path      string
	Collector string // The collector's name in events. Required.
	// MaxMessages and MaxBytes bound the events that wait. 0 means 1,000,000 and 1 GiB.
	MaxMessages int
	MaxBytes    int64
	// UnroutableFor is how long an event is tried again that no queue is bound for, from when the broker first returned it; time in
	// which the broker returns nothing, since it or this process is away, does not count. 0 means that it is not tried again.
	UnroutableFor time.Duration
	StatusTTL     time.Duration // After it a queue drops a status; 0 means never.
	MaxBody       int           // Longest message body in bytes; 0 means publish.DefaultMaxBody. As the publisher has it.
	Log           *slog.Logger  // Nil discards.
}

// An Outbox is the [publish.Source] of one collector, and its memory. It is safe for concurrent use.
type Outbox struct {
	config Config
	log    *slog.Logger
	epoch  string
	lock   *os.File
	file   *file // Nil in memory. Written by the committer only.
	ready  chan struct{}
	wake   chan struct{} // The committer's.
	work   conc.WaitGroup

	mu        sync.Mutex
	closed    bool
	closeErr  error
	states    map[string][]byte // As they were at Open, until States hands them over.
	hosts     map[string]*host
	queue     fifo[*host] // Hosts whose first event may be taken.
	statuses  *newest
	notices   *newest
	lots      map[lotKey]*lot
	inFlight  map[string]flight // By message id.
	bodies    bodies
	todo      todo
	lastID    uint64 // Greatest id of an event. The committer's.
	usage     usage
	stats     Stats
	clock     time.Duration // What unroutable events are counted in: see tick.
	ticked    time.Time     // When the clock last did.
	kept      time.Duration // The clock as it is in the file.
	confirms  uint64        // Messages confirmed, of any kind.
	others    uint64        // Confirms at the last rejection of a status.
	nacked    int           // Slots whose last message was refused.
	told      map[lotKey]*told
	losses    losses
	signalled time.Time // When there was last a signal for statuses.
	coming    bool      // There will be one.

	open  int           // Messages waiting, in flight or parked.
	empty chan struct{} // Closed when open comes to 0; nil while no one waits for it.
}

// A flight is a message that was handed out: an event of a host, or what is newest in a slot.
type flight struct {
	host *host
	slot *slot
}

// usage is what waits.
type usage struct {
	events int
	bytes  int64
}

func (u *usage) add(e entry) {
	u.events++
	u.bytes += int64(e.size)
}

func (u *usage) remove(e entry) {
	u.events--
	u.bytes -= int64(e.size)
}

// Open opens the state file, and begins a new one where there is none, or where it is damaged. The error says what to do about it; it
// wraps ErrInUse where another process has the file.
func Open(config Config) (*Outbox, error) {
	if config.Collector == "" {
		return nil, errors.New("outbox: no collector name")
	}
	if config.MaxMessages < 0 || config.MaxBytes < 0 || config.UnroutableFor < 0 || config.StatusTTL < 0 || config.MaxBody < 0 {
		return nil, errors.New("outbox: bounds and times must not be negative")
	}
	config.MaxMessages = cmp.Or(config.MaxMessages, 1_000_000)
	config.MaxBytes = cmp.Or(config.MaxBytes, 1<<30)
	config.MaxBody = cmp.Or(config.MaxBody, publish.DefaultMaxBody)
	o := &Outbox{
		config:   config,
		log:      cmp.Or(config.Log, slog.New(slog.DiscardHandler)),
		epoch:    publish.NewEpoch(time.Now()),
		ready:    make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		hosts:    map[string]*host{},
		statuses: newNewest(),
		notices:  newNewest(),
		lots:     map[lotKey]*lot{},
		told:     map[lotKey]*told{},
		inFlight: map[string]flight{},
		bodies:   newBodies(config.Path == ""),
	}
	if config.Path != "" {
		if err := o.restore(config.Path); err != nil {
			return nil, explain(config.Path, err)
		}
	}
	o.work.Go(o.committer)
	return o, nil
}

// restore takes over what the state file holds.
func (o *Outbox) restore(path string) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // The file is to be replaced, and not the link to it.
	}
	lock, err := lockFile(path)
	if err != nil {
		return err
	}
	f, c, err := openState(path, lock, o.log)
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	o.lock, o.file = lock, f
	o.epoch, o.hosts, o.states = c.epoch, c.hosts, c.states
	o.lastID, o.clock, o.kept = c.last, c.clock, c.clock
	o.stats.Quarantined = int(c.sums.buckets[quarantineSum].count) //nolint:gosec // bounded by maxQuarantined
	for _, h := range o.hosts {
		h.confirmed = h.seq
		if h.overflow != nil {
			o.todo.overflows = append(o.todo.overflows, h)
		}
		if h.events.len() == 0 {
			continue
		}
		h.confirmed = h.events.items[0].seq - 1
		for _, e := range h.events.items {
			o.usage.add(e)
		}
		o.open += h.events.len()
		o.offer(h)
	}
	return nil
}

// Close commits what was settled, closes the file and gives up its lock. What comes later is not kept: whoever takes messages must have
// ended. A second Close does nothing.
func (o *Outbox) Close() error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil
	}
	o.closed = true
	for _, l := range o.lots {
		l.stop()
	}
	o.mu.Unlock()
	o.rouse()
	o.work.Wait()
	o.tellLosses()
	if o.file == nil {
		return nil
	}
	if err := errors.Join(o.closeErr, o.file.close(), o.lock.Close()); err != nil {
		return fmt.Errorf("closing the state file %s: %w", o.config.Path, err)
	}
	return nil
}

// Epoch is what the events count in: the state file's time of creation and a random suffix.
func (o *Outbox) Epoch() string { return o.epoch }

// States hands over the states as they were committed before Open, by host, without the hosts that were removed. It has them once.
func (o *Outbox) States() map[string][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	states := o.states
	o.states = nil
	return states
}

// host returns the host of the name, made if need be.
func (o *Outbox) host(name string) *host {
	h := o.hosts[name]
	if h == nil {
		h = &host{name: name}
		o.hosts[name] = h
	}
	return h
}

// signal tells who takes messages that there may be one.
func (o *Outbox) signal() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// signalSoon is signal for what may wait a moment for others, that many can be sent at once.
func (o *Outbox) signalSoon() {
	switch wait := company - time.Since(o.signalled); {
	case o.coming:
	case wait <= 0:
		o.signalled = time.Now()
		o.signal()
	default:
		o.coming = true
		time.AfterFunc(wait, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.coming, o.signalled = false, time.Now()
			o.signal()
		})
	}
}

// rouse wakes the committer.
func (o *Outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

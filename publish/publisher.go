package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Declare says what to do about the exchange and the queues at every connect.
type Declare string

// The ways to declare.
const (
	DeclareActive  Declare = "active"  // Create what is missing. The user needs the configure permission on it.
	DeclarePassive Declare = "passive" // Only look that it is there, and say so if it is not.
	DeclareNone    Declare = "none"    // Do not look.
)

// waitingEvery is how often Run repeats in the log that it still waits for the broker.
const waitingEvery = time.Minute

// Config configures a Publisher.
type Config struct {
	// URLs of the brokers, at least one, as https://www.rabbitmq.com/docs/uri-spec and its query parameters say. They are tried in
	// a random order, one after the other.
	URLs     []string
	Exchange string  // Name of the durable topic exchange; required.
	Declare  Declare // Empty means DeclareActive.
	Queues   []Queue // Durable queues to see to, likewise.
	// CAFile, CertFile and KeyFile are PEM files for amqps URLs, read again at every dial. No CAFile means the system's CAs, no
	// CertFile means no client certificate. They go before the same parameters of a URL.
	CAFile, CertFile, KeyFile string
	// External logs in by the client certificate (SASL EXTERNAL) instead of the URL's user and password.
	External       bool
	ConnectionName string // What the broker's management page shows; may be empty.
	Window         int    // Most messages in flight; 0 means 1000.
	MaxBody        int    // Longest message body in bytes; 0 means DefaultMaxBody.
	// ConfirmTimeout is when a confirm is overdue; 0 means 30 s. The message is then Refused if others were confirmed meanwhile, else it
	// costs the connection.
	ConfirmTimeout time.Duration
	WriteTimeout   time.Duration // Longest that one write to the socket may block; 0 means 15 s.
	// Heartbeat is the AMQP heartbeat interval in whole seconds, 0 means 10 s. A silent broker is given up after 1.5 times of it.
	Heartbeat time.Duration
	// Attempts is after how many rounds over all URLs in succession Run gives up; 0 means never. A session that the broker confirmed
	// something in starts the count anew, and so does one that a single message ended.
	Attempts int
	Log      *slog.Logger // Connection changes; nil discards.
}

// Stats is a snapshot of what a Publisher has done.
type Stats struct {
	Broker    string // Address without credentials of the broker connected to, empty while there is none.
	Blocked   bool   // The broker has told this connection to pause (connection.blocked: memory or disk alarm).
	InFlight  int    // Sent and not settled.
	Published uint64 // Sent, repetitions included.
	Confirmed uint64
	Returned  uint64 // Unroutable.
	Nacked    uint64 // Refused.
	Lost      uint64
	Invalid   uint64
	Rejected  uint64
	Sessions  uint64 // Connections made; all but the first are reconnects.
	Blocks    uint64 // How often the broker has told to pause.
}

// A Publisher sends what a Source holds to a RabbitMQ exchange.
type Publisher struct {
	cfg     Config
	brokers []broker
	log     *slog.Logger
	connect func(context.Context, broker) (*link, error)

	// These are of the goroutine of Run.
	suspects suspects
	withheld withheld
	steward  steward

	mu    sync.Mutex
	stats Stats
}

// New checks the configuration. It neither dials nor reads files.
func New(cfg Config) (*Publisher, error) {
	brokers, err := parseBrokers(cfg)
	if err != nil {
		return nil, err
	}
	cfg.Declare = cmp.Or(cfg.Declare, DeclareActive)
	cfg.Window = cmp.Or(cfg.Window, 1000)
	cfg.ConfirmTimeout = cmp.Or(cfg.ConfirmTimeout, 30*time.Second)
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, 15*time.Second)
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, 10*time.Second)
	switch {
	case cfg.Exchange == "":
		return nil, errors.New("no exchange is configured")
	case len(cfg.Exchange) > 127: // As RabbitMQ's exchange-name domain.
		return nil, errors.New("the exchange's name is longer than 127 bytes")
	case cfg.Declare != DeclareActive && cfg.Declare != DeclarePassive && cfg.Declare != DeclareNone:
		return nil, fmt.Errorf("declare = %q: it must be active, passive or none", cfg.Declare)
	case (cfg.CertFile == "") != (cfg.KeyFile == ""):
		return nil, errors.New("a client certificate needs both its cert_file and its key_file")
	case cfg.Window < 0 || cfg.MaxBody < 0 || cfg.ConfirmTimeout < 0 || cfg.WriteTimeout < 0 || cfg.Attempts < 0:
		return nil, errors.New("window, limits, timeouts and attempts of the publisher must not be negative")
	case cfg.Heartbeat < time.Second:
		return nil, errors.New("the heartbeat must be at least 1s")
	}
	for _, q := range cfg.Queues {
		if err := q.validate(); err != nil {
			return nil, err
		}
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{cfg: cfg, brokers: brokers, log: log, suspects: suspects{charges: map[string]charge{}}}
	p.withheld.keys = map[string]struct{}{}
	p.steward = steward{cfg: cfg, log: log, told: map[string]string{}, shunned: map[string]bool{}}
	p.connect = p.dial
	return p, nil
}

// Stats returns the counters so far. It may be called at any time.
func (p *Publisher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

func (p *Publisher) count(change func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.stats)
}

// Run publishes what src holds until ctx ends, then closes the connection, within about two seconds, and returns nil. What is in flight
// then is settled as Lost: to wait for the confirms, let the source run empty before ending ctx. With Config.Attempts it also ends
// with the last *BrokerError. It must not run twice at the same time.
func (p *Publisher) Run(ctx context.Context, src Source) error {
	order := shuffled(p.brokers)
	pace := pace{brokers: len(order)}
	var waiting waitLog
	for i := 0; ; i++ {
		start := time.Now()
		end, err := p.serve(ctx, order[i%len(order)], src, &waiting)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ended as told
		}
		pause := pace.after(end, time.Since(start))
		if p.cfg.Attempts > 0 && pace.rounds() >= p.cfg.Attempts {
			return err
		}
		if end != endedByMessage && end != endedToRenew { // Which are logged as what they are.
			waiting.report(ctx, p.log, err)
		}
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// serve makes one connection and publishes through it until it or ctx ends. It reports how and why it ended.
func (p *Publisher) serve(ctx context.Context, b broker, src Source, waiting *waitLog) (ending, error) {
	l, err := p.connect(ctx, b)
	if err != nil {
		waiting.reached = false
		return endedBadly, explain(b, p.cfg, err, false)
	}
	p.count(func(s *Stats) { s.Sessions++; s.Broker = b.addr })
	start := time.Now()

	waitForQueues := p.steward.start(ctx, b, l.declare)
	s := newSession(p, src, l.wire)
	s.up = func(held bool) { waiting.connected(ctx, p.log, b.addr, held) }
	stop := context.AfterFunc(ctx, l.closeSoon) // Frees a publish that is stuck in a write.
	err = s.run(ctx)
	stop()
	l.close(ctx.Err() != nil || errors.Is(err, errRenew))
	waitForQueues()
	why := explain(b, p.cfg, err, true)
	blamed := s.abandon(ctx, why)
	waiting.reached = true

	p.count(func(s *Stats) { s.Broker, s.Blocked = "", false })
	// Who waits for ever may take a connection that held for a success; who counts attempts wants a confirm.
	held := p.cfg.Attempts == 0 && time.Since(start) >= heldFor
	switch {
	case blamed:
		return endedByMessage, why
	case errors.Is(err, errRenew):
		return endedToRenew, why
	case refusal(err):
		waiting.refused = true
		return endedBadly, why
	case s.confirmed || held:
		return endedWell, why
	}
	return endedBadly, why
}

// waitLog logs connection changes once, and that there is still none once a minute. A connection is one when it has proved to be of use.
type waitLog struct {
	up      bool
	refused bool      // The last session came to its end by what the broker would refuse again, so that a confirm proves nothing.
	reached bool      // It was publishing that failed, not connecting.
	last    time.Time // When the absence was last logged; zero when it was not yet.
	lost    time.Time
}

// connected is told that the broker has confirmed something, or that the connection has held for a while.
func (w *waitLog) connected(ctx context.Context, log *slog.Logger, addr string, held bool) {
	if w.up || w.refused && !held { // It is up if a message has ended the session before.
		return
	}
	log.InfoContext(ctx, "connected to the broker", slog.String("broker", addr))
	*w = waitLog{up: true}
}

func (w *waitLog) report(ctx context.Context, log *slog.Logger, err error) {
	now := time.Now()
	switch {
	case w.up:
		log.WarnContext(ctx, "lost the broker, connecting again", slog.Any("err", err))
		w.up, w.last, w.lost = false, time.Time{}, now
	case w.last.IsZero():
		if w.reached {
			log.WarnContext(ctx, "cannot publish to the broker, trying again", slog.Any("err", err))
		} else {
			log.WarnContext(ctx, "cannot connect to the broker, trying again", slog.Any("err", err))
		}
		w.last, w.lost = now, cmp.Or(w.lost, now)
	case now.Sub(w.last) >= waitingEvery:
		log.WarnContext(ctx, "still waiting for the broker", slog.Any("err", err), slog.Duration("since", now.Sub(w.lost).Round(time.Second)))
		w.last = now
	}
}

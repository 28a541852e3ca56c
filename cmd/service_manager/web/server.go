package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof" // It also registers with a mux that nothing here serves.
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"service_manager/collector"
	"service_manager/collector/outbox"
	"service_manager/hosts"
	"service_manager/publish"
)

// The limits. A connection costs a file descriptor, of which each host needs one.
const (
	maxConnections = 100
	maxHeader      = 16 << 10
	headerWithin   = 5 * time.Second
	requestWithin  = 10 * time.Second
	answerWithin   = time.Minute     // To a profile pprof adds the time that it is asked to take.
	idleFor        = 2 * time.Minute // Longer than it is from one scrape to the next.
	shutdownWithin = time.Second
)

// Config configures a [Server]. The functions are called at any time, and by several goroutines; they must not block.
type Config struct {
	Listen      string // HOST:PORT. Required; port 0 takes a free one.
	Name        string // The collector's.
	Version     string // The program's.
	Pprof       bool   // Serve /debug/pprof/.
	UnitMetrics bool   // Tell each unit's state in /metrics.

	Latest    *Latest                  // Required.
	Collector func() collector.Stats   // Required.
	Pool      func() hosts.Stats       // Required.
	Outbox    func() outbox.Stats      // Required.
	Publisher func() publish.Stats     // Nil where the messages go to no broker.
	Confirmed func(host string) uint64 // See [outbox.Outbox.Confirmed]. Nil means that none is.
	Reload    func() Reload            // Nil means that the inventory was loaded when the server was made, and never again.
	Alive     func() error             // Says why the collector should be restarted. Nil means that it never should.

	Log *slog.Logger // Nil discards.
}

// Reload says how the last reading of the inventory went.
type Reload struct {
	OK bool
	At time.Time // Of the last one that went well.
}

// A Server serves HTTP until it is closed.
type Server struct {
	config      Config
	listener    net.Listener
	server      *http.Server
	connections atomic.Int64
	served      chan struct{}
}

// New listens, and serves from then on. The error says what to do if the address is taken.
func New(ctx context.Context, config Config) (*Server, error) {
	s, err := newServer(config)
	if err != nil {
		return nil, err
	}
	s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", config.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("serving HTTP at %s, as listen in [collector] says: %w; end the program that has it, or choose another port",
			config.Listen, syscall.EADDRINUSE)
	case err != nil:
		return nil, fmt.Errorf("serving HTTP, as listen in [collector] says: %w; write an address of this machine and a port that its account may take", err)
	}
	go s.serve()
	return s, nil
}

// newServer makes one that does not listen yet.
func newServer(config Config) (*Server, error) {
	if config.Latest == nil || config.Collector == nil || config.Pool == nil || config.Outbox == nil {
		return nil, errors.New("web: Latest, Collector, Pool and Outbox are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Confirmed == nil {
		config.Confirmed = func(string) uint64 { return 0 }
	}
	if config.Reload == nil {
		loaded := Reload{OK: true, At: time.Now()}
		config.Reload = func() Reload { return loaded }
	}
	if config.Alive == nil {
		config.Alive = func() error { return nil }
	}
	s := &Server{config: config, served: make(chan struct{})}
	handler, err := s.handler()
	if err != nil {
		return nil, err
	}
	s.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       requestWithin,
		WriteTimeout:      answerWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.count,
		ErrorLog:          slog.NewLogLogger(config.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

func (s *Server) serve() {
	defer close(s.served)
	s.config.Log.Info("serving HTTP", slog.String("address", s.Addr()), slog.Bool("pprof", s.config.Pprof))
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.config.Log.Error("serving HTTP has ended; collecting goes on without", slog.Any("err", err))
	}
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server. Requests under way have a second to end by themselves.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownWithin)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // Whatever it says, there is nothing else to be done.
	}
	<-s.served
}

// count closes a connection that is one too many.
func (s *Server) count(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.connections.Add(1) > maxConnections {
			_ = c.Close() // It has been told nothing yet.
		}
	case http.StateClosed, http.StateHijacked:
		s.connections.Add(-1)
	default:
	}
}

// handler knows what there is to be asked for. All of it is GET (or HEAD).
func (s *Server) handler() (http.Handler, error) {
	metrics, err := s.metrics()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /api/v1/hosts", s.hosts)
	mux.HandleFunc("GET /api/v1/hosts/{name}", s.host)
	if s.config.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return s.guarded(mux), nil
}

// guarded refuses bodies, and keeps a panic to its request.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v != http.ErrAbortHandler { //nolint:errorlint // As net/http itself compares it.
					s.config.Log.Error("a request failed", slog.String("request", r.URL.Path), slog.Any("err", v),
						slog.String("stack", string(debug.Stack())))
				}
				panic(http.ErrAbortHandler) // The client sees that the answer is not whole.
			}
		}()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close")
			http.Error(w, "no request here has a body", http.StatusRequestEntityTooLarge)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, `service_manager %s, collector %s

/metrics              for Prometheus
/healthz              200 while the collector works, else 503 and the reason
/readyz               200 while it also polls and reaches the broker, else 503 and the reasons
/api/v1/hosts         the latest status of each host; ?group=GROUP and ?outcome=OUTCOME choose, also several times
/api/v1/hosts/NAME    that of one host
`, s.config.Version, s.config.Name)
	if s.config.Pprof {
		fmt.Fprintln(w, "/debug/pprof/         profiles of the program, for go tool pprof")
	}
}

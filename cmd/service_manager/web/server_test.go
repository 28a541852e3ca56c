package web_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"service_manager/cmd/service_manager/web"
	"service_manager/collector"
)

// serve starts a server that ends with the test.
func serve(t *testing.T, c web.Config) *web.Server {
	t.Helper()
	s, err := web.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// An answer is what came of a request.
type answer struct {
	code   int
	header http.Header
	text   string
}

// ask makes one request on a connection of its own.
func ask(t *testing.T, s *web.Server, method, path string, body io.Reader) (answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = got.Body.Close() }() // It is read to its end.
	text, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header, string(text)}, err
}

func TestServer(t *testing.T) {
	s := serve(t, config("web-01"))
	for _, row := range []struct {
		method, path, body string
		code               int
		answer             string
	}{
		{"POST", "/metrics", "", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{"DELETE", "/api/v1/hosts/web-01", "", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{"GET", "/api/v1/hosts", "x", http.StatusRequestEntityTooLarge, "no request here has a body"},
		{"GET", "/nothing", "", http.StatusNotFound, "404"},
		{"GET", "/debug/pprof/", "", http.StatusNotFound, "404"},
		{"GET", "/", "", http.StatusOK, "service_manager v1.2.3, collector fleet-a"},
		{"GET", "/healthz", "", http.StatusOK, "ok"},
		{"HEAD", "/healthz", "", http.StatusOK, ""},
		{"GET", "/metrics", "", http.StatusOK, "service_manager_build_info"},
	} {
		got, err := ask(t, s, row.method, row.path, strings.NewReader(row.body))
		if err != nil {
			t.Errorf("%s %s: %v", row.method, row.path, err)
			continue
		}
		if got.code != row.code || !strings.Contains(got.text, row.answer) {
			t.Errorf("%s %s: %d %s\nwant %d and %q", row.method, row.path, got.code, got.text, row.code, row.answer)
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: a browser may take it for something else", row.method, row.path)
		}
	}
}

// The page names what there is, all of which can be asked for.
func TestIndex(t *testing.T) {
	c := config("NAME")
	c.Pprof = true
	c.Latest.Observe(status("NAME"))
	h := handler(t, c)
	_, page := get(t, h, "/")
	paths := 0
	for line := range strings.Lines(page) {
		if path, _, _ := strings.Cut(line, " "); strings.HasPrefix(path, "/") {
			paths++
			if code, body := get(t, h, path); code != http.StatusOK {
				t.Errorf("%s: %d %s", path, code, body)
			}
		}
	}
	if paths != 6 {
		t.Errorf("%d paths in:\n%s", paths, page)
	}
}

func TestPprof(t *testing.T) {
	c := config("web-01")
	c.Pprof = true
	s := serve(t, c)
	got, err := ask(t, s, "GET", "/debug/pprof/goroutine?debug=1", http.NoBody)
	if err != nil || got.code != http.StatusOK || !strings.Contains(got.text, "goroutine profile") {
		t.Errorf("%v: %d %s", err, got.code, got.text)
	}
}

func TestAddressInUse(t *testing.T) {
	c := config("web-01")
	c.Listen = serve(t, c).Addr()
	_, err := web.New(t.Context(), c)
	want := fmt.Sprintf("serving HTTP at %s, as listen in [collector] says: address already in use; end the program that has it, or choose another port", c.Listen)
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	c.Listen = "192.0.2.1:9310"
	if _, err = web.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "as listen in [collector] says: listen tcp 192.0.2.1:9310: ") ||
		!strings.HasSuffix(err.Error(), "; write an address of this machine and a port that its account may take") {
		t.Errorf("got %v", err)
	}
}

// A panic ends its request, is in the log with its stack, and does nothing else.
func TestPanicInARequest(t *testing.T) {
	c := config("web-01")
	var log bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	c.Confirmed = func(string) uint64 { panic("no outbox") }
	c.Latest.Observe(status("web-01"))
	s := serve(t, c)
	if got, err := ask(t, s, "GET", "/api/v1/hosts/web-01", http.NoBody); err == nil {
		t.Errorf("it answered %d: %s", got.code, got.text)
	}
	if got, err := ask(t, s, "GET", "/healthz", http.NoBody); err != nil || got.text != "ok\n" {
		t.Errorf("after it: %q, %v", got.text, err)
	}
	s.Close()
	if text := log.String(); !strings.Contains(text, `request=/api/v1/hosts/web-01 err="no outbox" stack=`) {
		t.Errorf("the log:\n%s", text)
	}
}

// Connections cost file descriptors, which the hosts need: one too many is closed, and the next may come when one has gone.
func TestConnectionsAreBounded(t *testing.T) {
	s := serve(t, config("web-01"))
	var open []net.Conn
	for range web.MaxConnections {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }() // It may be closed by then.
		open = append(open, c)
	}
	// Each has answered, so each counts.
	for _, c := range open {
		if _, err := fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	if got, err := ask(t, s, "GET", "/healthz", http.NoBody); err == nil {
		t.Errorf("one more than %d is answered: %d", web.MaxConnections, got.code)
	}
	if err := open[0].Close(); err != nil {
		t.Fatal(err)
	}
	for { // The server hears of it in its own time.
		if _, err := ask(t, s, "GET", "/healthz", http.NoBody); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// The end waits for a request under way, but not for ever.
func TestCloseWaitsAMoment(t *testing.T) {
	c := config("web-01")
	entered, goOn := make(chan struct{}, 2), make(chan struct{})
	c.Collector = func() collector.Stats {
		entered <- struct{}{}
		<-goOn
		return collector.Stats{}
	}
	for _, hangs := range []bool{false, true} {
		s, err := web.New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		var asking sync.WaitGroup
		var failure error
		asking.Go(func() { _, failure = ask(t, s, "GET", "/metrics", http.NoBody) })
		<-entered
		if hangs {
			s.Close()
			close(goOn)
		} else {
			ended := make(chan struct{})
			go func() { s.Close(); close(ended) }()
			goOn <- struct{}{}
			<-ended
		}
		asking.Wait()
		if (failure != nil) != hangs {
			t.Errorf("the request that hangs (%v) ended with %v", hangs, failure)
		}
	}
}

// Observers, scrapes and reloads get along with each other: see the race detector.
func TestAllAtOnce(t *testing.T) {
	c := config("web-01", "db-01")
	c.UnitMetrics = true
	h := handler(t, c)
	var all sync.WaitGroup
	for _, do := range []func(){
		func() { c.Latest.Observe(status("web-01", unit("a.service", "active"))) },
		func() { c.Latest.Observe(trouble("db-01", "timeout")) },
		func() { c.Latest.SetHosts(inventoryOf("web-01")) },
		func() { c.Latest.SetHosts(inventoryOf("web-01", "db-01", "db-02")) },
		func() { get(t, h, "/metrics") },
		func() { get(t, h, "/api/v1/hosts") },
		func() { get(t, h, "/readyz") },
	} {
		all.Go(func() {
			for range 30 {
				do()
			}
		})
	}
	all.Wait()
}

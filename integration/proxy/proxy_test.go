package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"go.uber.org/goleak"

	"service_manager/integration/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo serves an echo and returns a proxy to it.
func echo(t *testing.T) *proxy.Proxy {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg conc.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	p, err := proxy.Listen(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		_ = l.Close()
		wg.Wait()
	})
	return p
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends a word and returns what comes back within d.
func ask(t *testing.T, conn net.Conn, d time.Duration) (string, error) {
	t.Helper()
	if _, err := conn.Write([]byte("ping")); err != nil {
		return "", err
	}
	return hear(conn, d)
}

func hear(conn net.Conn, d time.Duration) (string, error) {
	_ = conn.SetReadDeadline(time.Now().Add(d))
	b := make([]byte, 4)
	_, err := io.ReadFull(conn, b)
	return string(b), err
}

func mustAsk(t *testing.T, conn net.Conn) {
	t.Helper()
	if got, err := ask(t, conn, 5*time.Second); err != nil || got != "ping" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestCutEndsConnectionsButNotNewOnes(t *testing.T) {
	p := echo(t)
	conn := dial(t, p)
	mustAsk(t, conn)
	p.Cut()
	if got, err := hear(conn, 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("after Cut: %q, %v", got, err)
	}
	mustAsk(t, dial(t, p))
	if got := p.Total(); got != 2 {
		t.Errorf("Total is %d, want 2", got)
	}
}

func TestFreezeDelaysAndLosesNothing(t *testing.T) {
	p := echo(t)
	conn := dial(t, p)
	mustAsk(t, conn)
	p.SetMode(proxy.Freeze)
	if got, err := ask(t, conn, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("while frozen: %q, %v", got, err)
	}
	p.SetMode(proxy.Forward)
	if got, err := hear(conn, 5*time.Second); err != nil || got != "ping" {
		t.Fatalf("after thawing: %q, %v", got, err)
	}
}

func TestFreezeBlocksTheSender(t *testing.T) {
	p := echo(t)
	conn := dial(t, p)
	mustAsk(t, conn)
	p.SetMode(proxy.Freeze)
	_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	n, err := conn.Write(make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a write into a frozen proxy took %d bytes: %v", n, err)
	}
}

func TestBlackholeSwallows(t *testing.T) {
	p := echo(t)
	conn := dial(t, p)
	mustAsk(t, conn)
	p.SetMode(proxy.Blackhole)
	if got, err := ask(t, conn, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("in the black hole: %q, %v", got, err)
	}
	p.SetMode(proxy.Forward)
	if got, err := hear(conn, 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a connection with a hole went on: %q, %v", got, err)
	}
	mustAsk(t, dial(t, p))
}

func TestRefuse(t *testing.T) {
	p := echo(t)
	p.SetMode(proxy.Refuse)
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", p.Addr())
	if err == nil { // Else the reset was quicker.
		_, err = ask(t, conn, 5*time.Second)
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("refused: %v", err)
	}
	p.SetMode(proxy.Forward)
	mustAsk(t, dial(t, p))
}

func TestSlowDelaysAndLosesNothing(t *testing.T) {
	p := echo(t)
	conn := dial(t, p)
	mustAsk(t, conn)
	p.SetMode(proxy.Slow)
	began := time.Now()
	mustAsk(t, conn)
	if took := time.Since(began); took < 2*proxy.SlowEvery {
		t.Errorf("there and back took %v, want %v at least", took, 2*proxy.SlowEvery)
	}
	sent := make([]byte, 3*proxy.SlowPiece)
	for i := range sent {
		sent[i] = byte(i)
	}
	began = time.Now()
	if _, err := conn.Write(sent); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("read %v, the same: %v", err, bytes.Equal(got, sent))
	}
	if took := time.Since(began); took < 3*proxy.SlowEvery {
		t.Errorf("three pieces took %v, want %v at least", took, 3*proxy.SlowEvery)
	}
	p.SetMode(proxy.Forward)
	began = time.Now()
	mustAsk(t, conn)
	if took := time.Since(began); took > proxy.SlowEvery {
		t.Errorf("not slow any more, there and back took %v", took)
	}
}

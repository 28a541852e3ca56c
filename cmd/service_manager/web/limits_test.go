package web_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/cmd/service_manager/web"
)

// pipes is a listener at which net.Pipe connects.
type pipes struct {
	coming chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.coming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A client that takes its time, or much room, is hung up on: it costs a connection, of which there are few.
func TestClientsAreBounded(t *testing.T) {
	const request = "GET /api/v1/hosts HTTP/1.1\r\nHost: x\r\n"
	for name, row := range map[string]struct {
		sends string
		after time.Duration // It begins to read.
		ends  time.Duration // It is hung up on, at the latest.
		hears string
	}{
		"says nothing":             {sends: "", ends: 5 * time.Second},
		"does not end its request": {sends: request, ends: 5 * time.Second},
		"says no more":             {sends: request + "\r\n", ends: 2 * time.Minute, hears: "HTTP/1.1 200 OK"},
		"does not read":            {sends: request + "\r\n", after: time.Minute + time.Second, ends: time.Minute + time.Second},
		"has much to say":          {sends: request + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", ends: 5 * time.Second, hears: "HTTP/1.1 431 "},
	} {
		synctest.Test(t, func(t *testing.T) {
			listener := pipes{make(chan net.Conn), make(chan struct{})}
			c := config("web-01")
			c.Latest.Observe(status("web-01"))
			s, err := web.Serve(c, listener)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			client, server := net.Pipe()
			defer func() { _ = client.Close() }() // The server has closed its end.
			listener.coming <- server
			began := time.Now()
			go func() { _, _ = fmt.Fprint(client, row.sends) }() // It may not be read to its end.
			time.Sleep(row.after)
			heard, _ := io.ReadAll(client)
			if took := time.Since(began); took > row.ends {
				t.Errorf("who %s is hung up on after %v, want %v at most", name, took, row.ends)
			}
			if row.hears == "" && len(heard) > 0 || !strings.HasPrefix(string(heard), row.hears) {
				t.Errorf("who %s hears %.60q, want %q", name, heard, row.hears)
			}
		})
	}
}

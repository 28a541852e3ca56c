package hosts

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts/sshtest"
)

// TestCloseBesideAnOpeningSession closes a connection whose session has just been opened, by a server that has sent more requests in it than
// golang.org/x/crypto/ssh takes unread: only who reads them frees the connection's reader.
func TestCloseBesideAnOpeningSession(t *testing.T) {
	t.Parallel()
	const requests = 40
	_, key, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // Nothing is pending on it.
	go func() {
		if far, err := listener.Accept(); err == nil {
			serveRequests(far, key, requests)
		}
	}()
	near, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client, channels, globals, err := ssh.NewClientConn(near, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	p := New(Config{})
	defer p.Close()
	c := newConn(&transport{Conn: near}, client, channels, globals, p)
	opened := make(chan struct{})
	c.serve(func() {
		channel, requests, err := client.OpenChannel("session", nil)
		if err != nil {
			t.Error(err)
		}
		for len(requests) < cap(requests) { // Then the connection's reader waits with the next one.
			time.Sleep(time.Millisecond)
		}
		c.mu.Lock()
		c.closing = true // As close does.
		c.mu.Unlock()
		close(opened)
		wait := c.beside(func() { exitStatus(requests) })
		_, _ = channel.SendRequest("exec", true, nil) // The connection ends.
		wait()
	})
	<-opened
	closed := make(chan struct{})
	go func() {
		c.close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("it is not closed")
	}
}

// serveRequests opens any session, sends requests in it, and reads on.
func serveRequests(far net.Conn, key ssh.Signer, n int) {
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(key)
	server, channels, globals, err := ssh.NewServerConn(far, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(globals)
	for channel := range channels {
		session, requests, err := channel.Accept()
		if err != nil {
			return
		}
		go func() {
			for range requests { // Nothing is answered.
			}
		}()
		for range n {
			if _, err := session.SendRequest("any", false, nil); err != nil {
				return
			}
		}
		go func() { _, _ = io.Copy(io.Discard, session) }()
	}
	_ = server.Wait()
}

package publish

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"
)

// A socket notes each write.
type socket struct {
	net.Conn
	writes [][]byte
	err    error
}

func (s *socket) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	s.writes = append(s.writes, bytes.Clone(b))
	return len(b), nil
}

func (s *socket) SetWriteDeadline(time.Time) error { return nil }

func TestHeldWritesAreOne(t *testing.T) {
	s := &socket{}
	c := &rawConn{Conn: s, timeout: time.Second}
	say := func(text string) {
		if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", text, n, err)
		}
	}
	say("a")
	for range 2 {
		c.hold()
		say("b")
		say("c")
		if err := c.release(); err != nil {
			t.Fatal(err)
		}
	}
	say("d")
	c.hold()
	if err := c.release(); err != nil { // There was nothing.
		t.Fatal(err)
	}
	if got := string(bytes.Join(s.writes, []byte("|"))); got != "a|bc|bc|d" {
		t.Errorf("written: %s", got)
	}
}

func TestHeldWritesAreBounded(t *testing.T) {
	s := &socket{}
	c := &rawConn{Conn: s, timeout: time.Second}
	c.hold()
	var all []byte
	for i := range 10 {
		b := bytes.Repeat([]byte{byte(i)}, mostHeld/3)
		all = append(all, b...)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if len(c.held) > mostHeld {
			t.Fatalf("%d bytes are held", len(c.held))
		}
	}
	big := make([]byte, 2*mostHeld)
	if _, err := c.Write(big); err != nil {
		t.Fatal(err)
	}
	if err := c.release(); err != nil || !bytes.Equal(bytes.Join(s.writes, nil), append(all, big...)) {
		t.Errorf("%v, or not all was written in order", err)
	}
}

func TestHeldWritesFailAtTheirRelease(t *testing.T) {
	gone := errors.New("gone")
	s := &socket{err: gone}
	c := &rawConn{Conn: s, timeout: time.Second}
	c.hold()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := c.release(); !errors.Is(err, gone) {
		t.Errorf("release: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, gone) {
		t.Errorf("Write: %v", err)
	}
}

package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// A screen keeps what is written to it.
type screen struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	return s.text.Write(b)
}

// last is the line that is shown now.
func (s *screen) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(s.text.String(), clearLine)
	return lines[len(lines)-1]
}

func (s *screen) written() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// numbered are the names of so many hosts.
func numbered(hosts int) []string {
	names := make([]string, hosts)
	for i := range names {
		names[i] = fmt.Sprintf("h%d", i)
	}
	return names
}

// The slowest are named when few are left, and not before they have had a second.
func TestProgressNamesTheSlowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &screen{}
		p := startProgress(out, wide(200), numbered(1000))
		defer p.end()
		shown := func(done int, after time.Duration) string {
			for _, name := range p.names[:done] {
				p.step(name, false)
			}
			time.Sleep(after)
			synctest.Wait()
			return out.last()
		}
		if line := shown(995, 9*redrawInterval); strings.Contains(line, "waiting") {
			t.Errorf("%q within a second", line)
		}
		if line := shown(0, redrawInterval); !strings.HasSuffix(line, "1 s, waiting for h995, h996, h997, h998, h999") {
			t.Errorf("%q does not name those that are left", line)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		out := &screen{}
		p := startProgress(out, wide(200), numbered(1000))
		defer p.end()
		for _, c := range []struct {
			done int
			ends string
		}{{899, " s"}, {900, "waiting for h900, h901, h902, h903, h904, h905, h906, h907 and 92 more"}} {
			for _, name := range p.names[:c.done] {
				p.step(name, false)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if line := out.last(); !strings.HasSuffix(line, c.ends) {
				t.Errorf("%d done: %q, want it to end in %q", c.done, line, c.ends)
			}
		}
	})
}

func wide(columns int) func() int { return func() int { return columns } }

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &screen{}
		p := startProgress(out, wide(80), numbered(500))
		if out.written() != 0 {
			t.Error("it draws before there is anything to wait for")
		}
		for i := range 120 {
			p.step(p.names[i], i < 3)
		}
		time.Sleep(4*time.Second + redrawInterval)
		synctest.Wait()
		if want := "[====>               ] 120/500 hosts, 3 with trouble, 4 s"; out.last() != want {
			t.Errorf("%q, want %q", out.last(), want)
		}
		for _, name := range p.names[120:498] {
			p.step(name, false)
		}
		time.Sleep(redrawInterval)
		synctest.Wait()
		if want := "[===================>] 498/500 hosts, 3 with trouble, 4 s, waiting for h498, h499"; out.last() != want[:79] {
			t.Errorf("%q, want %q", out.last(), want[:79])
		}
		p.step("h498", false)
		p.step("h499", false)
		time.Sleep(redrawInterval)
		synctest.Wait()
		if want := "[====================] 500/500 hosts, 3 with trouble, 4 s"; out.last() != want {
			t.Errorf("%q, want %q", out.last(), want)
		}
		p.end()
		if out.last() != "" {
			t.Errorf("%q is left on the screen", out.last())
		}
	})
}

// However fast the work, a terminal on a slow line gets ten lines in a second, and none where nothing changes.
func TestProgressRedrawsSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &screen{}
		p := startProgress(out, wide(80), numbered(10_000))
		for _, name := range p.names[:1000] {
			p.step(name, false)
			time.Sleep(time.Millisecond)
		}
		if n := out.written(); n > 10 {
			t.Errorf("%d lines in a second", n)
		}
		before := out.written()
		time.Sleep(10 * time.Second)
		if n := out.written() - before; n > 11 {
			t.Errorf("%d lines in 10 s in which only the clock went on", n)
		}
		p.end()
	})
}

// A line that is as wide as the terminal would wrap, and stay there.
func TestProgressFitsTheTerminal(t *testing.T) {
	for _, columns := range []int{0, 1, 10, 40, 200} {
		synctest.Test(t, func(t *testing.T) {
			out := &screen{}
			p := startProgress(out, wide(columns), numbered(500))
			p.step("h0", true)
			time.Sleep(redrawInterval)
			synctest.Wait()
			if n := len(out.last()); n > max(columns-1, 0) {
				t.Errorf("%d columns on a terminal of %d", n, columns)
			}
			p.end()
		})
	}
}

// What ends before the first drawing leaves no trace, and neither does what is no terminal.
func TestProgressIsNotSeen(t *testing.T) {
	defer goleak.VerifyNone(t)
	out := &screen{}
	p := newProgress(out, numbered(500))
	if p != nil {
		t.Error("a buffer is taken for a terminal")
	}
	p.step("h0", true)
	p.end()
	synctest.Test(t, func(*testing.T) {
		p := startProgress(out, wide(80), numbered(500))
		p.step("h0", true)
		p.end()
	})
	if out.written() != 0 {
		t.Errorf("%q was written", out.text.String())
	}
}

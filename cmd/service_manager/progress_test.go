package main

import (
	"bytes"
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

func wide(columns int) func() int { return func() int { return columns } }

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &screen{}
		p := startProgress(out, wide(80), 500)
		if out.written() != 0 {
			t.Error("it draws before there is anything to wait for")
		}
		for i := range 120 {
			p.step(i < 3)
		}
		time.Sleep(4*time.Second + redrawInterval)
		synctest.Wait()
		if want := "[====>               ] 120/500 hosts, 3 with trouble, 4 s"; out.last() != want {
			t.Errorf("%q, want %q", out.last(), want)
		}
		for range 380 {
			p.step(false)
		}
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
		p := startProgress(out, wide(80), 10_000)
		for range 1000 {
			p.step(false)
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
			p := startProgress(out, wide(columns), 500)
			p.step(true)
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
	p := newProgress(out, 500)
	if p != nil {
		t.Error("a buffer is taken for a terminal")
	}
	p.step(true)
	p.end()
	synctest.Test(t, func(*testing.T) {
		p := startProgress(out, wide(80), 500)
		p.step(true)
		p.end()
	})
	if out.written() != 0 {
		t.Errorf("%q was written", out.text.String())
	}
}

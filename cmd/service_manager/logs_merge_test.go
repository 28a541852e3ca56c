package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/hosts/journalctl"
	"service_manager/inventory"
)

// logBase is when the lines of these tests begin.
func logBase() time.Time { return time.Unix(1764150000, 0) }

func lineAt(host string, at time.Duration) logLine {
	moment := logBase().Add(at)
	return logLine{host: host, key: moment, entry: journalctl.Entry{Time: moment, Message: host + " " + at.String(), Priority: 6}}
}

// catWriter prints only messages.
func catWriter(out *bytes.Buffer) *logWriter {
	return newLogWriter(out, "cat", []inventory.Host{{Name: "a"}}, journalctl.Query{})
}

func printedLines(out *bytes.Buffer) []string {
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// Lines of many hosts come out in order, those of the same moment by their hosts' order, whatever the pace of each, and all of them.
func TestMergeEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		var (
			sources []logSource
			want    []string
			all     []logLine
			sending sync.WaitGroup
		)
		for i := range 20 {
			source := make(logSource, logBacklog)
			sources = append(sources, source)
			var lines []logLine
			at := time.Duration(0)
			for range random.IntN(300) {
				at += time.Duration(random.IntN(3)) * time.Second
				lines = append(lines, lineAt(fmt.Sprintf("host-%02d", i), at))
			}
			all = append(all, lines...)
			pace := time.Duration(random.IntN(50)) * time.Millisecond
			sending.Go(func() {
				defer close(source)
				for _, l := range lines {
					time.Sleep(pace)
					_ = source.put(t.Context(), l)
				}
			})
		}
		slices.SortStableFunc(all, func(a, b logLine) int { return a.key.Compare(b.key) })
		for _, l := range all {
			want = append(want, l.entry.Message)
		}
		var out bytes.Buffer
		firsts := 0
		if err := mergeEnded(t.Context(), sources, catWriter(&out), func() { firsts++ }); err != nil {
			t.Fatal(err)
		}
		sending.Wait()
		if got := printedLines(&out); !slices.Equal(got, want) {
			t.Errorf("%d lines, want %d, in order", len(got), len(want))
		}
		if firsts == 0 {
			t.Error("the first line was not told")
		}
	})
}

// A host that says nothing holds up the others no longer than ctx lasts.
func TestMergeEndedIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := mergeEnded(ctx, []logSource{make(logSource)}, catWriter(new(bytes.Buffer)), func() {}); err == nil {
			t.Error("it ended well")
		}
	})
}

// A line that is late by less than the hold comes where it belongs; nothing is shown before all hosts were tried; and the end shows all.
func TestLiveMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := newLiveMerge()
		var (
			out     bytes.Buffer
			merging sync.WaitGroup
		)
		merging.Go(func() {
			if err := m.merge(ctx, catWriter(&out)); err != nil {
				t.Error(err)
			}
		})
		put := func(l logLine) { _ = m.put(ctx, l) }
		put(lineAt("b", 2*time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		if out.Len() > 0 {
			t.Errorf("shown before all hosts were tried: %s", &out)
		}
		put(lineAt("a", time.Second))
		m.begin()
		time.Sleep(2 * logHold)
		put(lineAt("b", 5*time.Second))
		time.Sleep(logHold / 2)
		put(lineAt("a", 4*time.Second))
		time.Sleep(2 * logHold)
		synctest.Wait()
		want := []string{"a 1s", "b 2s", "a 4s", "b 5s"}
		if got := printedLines(&out); !slices.Equal(got, want) {
			t.Errorf("%v; want %v", got, want)
		}
		put(lineAt("a", 6*time.Second))
		synctest.Wait()
		cancel()
		merging.Wait()
		if got := printedLines(&out); !slices.Equal(got, append(want, "a 6s")) {
			t.Errorf("at the end: %v", got)
		}
	})
}

// A host whose clock is an hour behind, and that logs all the time, holds back no other.
func TestLiveMergeWithAWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := newLiveMerge()
		m.begin()
		var (
			out     bytes.Buffer
			merging sync.WaitGroup
		)
		merging.Go(func() { _ = m.merge(ctx, catWriter(&out)) })
		_ = m.put(ctx, lineAt("a", time.Hour))
		for i := range 10 {
			time.Sleep(200 * time.Millisecond)
			_ = m.put(ctx, lineAt("b", time.Duration(i)*time.Second))
		}
		synctest.Wait()
		if !strings.Contains(out.String(), "a 1h0m0s\n") {
			t.Errorf("after 2 s only this was printed:\n%s", &out)
		}
		cancel()
		merging.Wait()
	})
}

// However much is held, it is bounded, and the earliest lines go first.
func TestLiveMergeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := newLiveMerge()
		var (
			out     bytes.Buffer
			merging sync.WaitGroup
		)
		w := catWriter(&out)
		merging.Go(func() { _ = m.merge(ctx, w) })
		for i := range logHeld + 1000 {
			_ = m.put(ctx, lineAt("a", time.Duration(i)*time.Millisecond))
		}
		synctest.Wait()
		if w.lines < 900 || w.lines > 1000 {
			t.Errorf("%d lines were shown; want those beyond what is held, about 1000", w.lines)
		}
		cancel()
		merging.Wait()
		if got := printedLines(&out); len(got) != logHeld+1000 || got[1] != "a 1ms" {
			t.Errorf("%d lines, the second %s", len(got), got[1])
		}
	})
}

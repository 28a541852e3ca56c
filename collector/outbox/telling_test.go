package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// A logBook keeps what is logged.
type logBook struct {
	mu    sync.Mutex
	lines []line
}

type line struct {
	level slog.Level
	text  string
	attrs map[string]string
}

func (*logBook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logBook) WithAttrs([]slog.Attr) slog.Handler     { return b }
func (b *logBook) WithGroup(string) slog.Handler          { return b }

func (b *logBook) Handle(_ context.Context, r slog.Record) error {
	l := line{level: r.Level, text: r.Message, attrs: map[string]string{}}
	r.Attrs(func(a slog.Attr) bool {
		l.attrs[a.Key] = a.Value.String()
		return true
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, l)
	return nil
}

// expect takes out what was logged, and wants between least and most lines of a level.
func (b *logBook) expect(t *testing.T, level slog.Level, least, most int) []line {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var got, rest []line
	for _, l := range b.lines {
		if l.level == level {
			got = append(got, l)
		} else {
			rest = append(rest, l)
		}
	}
	b.lines = rest
	if len(got) < least || len(got) > most {
		t.Errorf("%d lines of level %v, want %d to %d: %v", len(got), level, least, most, got)
	}
	return got
}

// logged opens an outbox in memory that logs into the book.
func logged(t *testing.T, unroutableFor time.Duration) (*outbox.Outbox, *logBook) {
	t.Helper()
	book := &logBook{}
	return open(t, outbox.Config{UnroutableFor: unroutableFor, Log: slog.New(book)}), book
}

// One line when it begins, one a minute, one at the end, however many events and hosts there are.
func TestWhatIsNotTakenIsTold(t *testing.T) {
	for _, f := range []publish.Fate{publish.Unroutable, publish.Refused, publish.Rejected} {
		t.Run(f.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, book := logged(t, time.Hour)
				for h := range 30 {
					commit(t, o, fmt.Sprint("host-", h), "1", 3)
				}
				b := &fakeBroker{fate: always(f)}
				b.run(o, 6*time.Second)
				l := book.expect(t, slog.LevelWarn, 1, 1)[0]
				if l.attrs["hosts"] != "30" || l.attrs["events"] != "90" || l.attrs["of"] == "" {
					t.Errorf("told: %v", l)
				}
				b.run(o, 5*time.Minute)
				book.expect(t, slog.LevelWarn, 4, 5)
				b.fate = always(publish.Confirmed)
				b.run(o, 10*time.Second)
				book.expect(t, slog.LevelInfo, 1, 1)
				book.expect(t, slog.LevelWarn, 0, 0)
				book.expect(t, slog.LevelError, 0, 0)
			})
		})
	}
}

// A queue that is full for a moment, again and again.
func TestWhatComesAndGoesIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, book := logged(t, time.Hour)
		b := &fakeBroker{}
		for n := range 60 {
			commit(t, o, "a", "1", 1)
			put(o, fmt.Sprint("a/", n))
			b.fate = always(publish.Refused)
			b.run(o, 6*time.Second)
			b.fate = always(publish.Confirmed)
			b.run(o, 6*time.Second)
		}
		book.expect(t, slog.LevelWarn, 20, 2*13) // Of events and of statuses.
		book.expect(t, slog.LevelInfo, 20, 2*13)
	})
}

func TestStatusesThatAreNotTakenAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, book := logged(t, time.Hour)
		b := &fakeBroker{fate: always(publish.Refused)}
		for n := range 30 {
			for h := range 10 {
				put(o, fmt.Sprintf("host-%d/%d", h, n))
			}
			b.run(o, 10*time.Second)
		}
		lines := book.expect(t, slog.LevelWarn, 5, 6)
		if got := lines[len(lines)-1].attrs["hosts"]; got != "10" {
			t.Errorf("told of %s hosts", got)
		}
		b.fate = always(publish.Confirmed)
		b.run(o, 10*time.Second)
		book.expect(t, slog.LevelInfo, 1, 1)
	})
}

func TestDropsAreToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, book := logged(t, 5*time.Second)
		b := &fakeBroker{fate: always(publish.Unroutable)}
		for range 10 {
			for h := range 30 {
				commit(t, o, fmt.Sprint("host-", h), "1", 2)
			}
			b.run(o, time.Minute)
		}
		closeBox(t, o) // Tells the last ones.
		lines := book.expect(t, slog.LevelError, 9, 12)
		told := 0
		for _, l := range lines {
			told += int(number(l.attrs["events"]))
		}
		if dropped := o.Stats().Dropped; dropped < 100 || uint64(told) != dropped {
			t.Errorf("told of %d, dropped %d", told, dropped)
		}
		book.expect(t, slog.LevelInfo, 0, 0)
	})
}

// Of 60 hosts the broker ends the connection for the statuses of 36, which takes a second each time.
func TestRejectedStatusesLeaveTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, book := logged(t, time.Hour)
		mended, rejections := false, 0
		b := &fakeBroker{fate: func(m publish.Message) publish.Fate {
			var h int
			if _, err := fmt.Sscanf(m.Host, "host-%d", &h); err != nil {
				t.Fatal(err)
			}
			if h < 24 || mended {
				return publish.Confirmed
			}
			rejections++
			time.Sleep(time.Second)
			return publish.Rejected
		}}
		for n := range 60 {
			for h := range 60 {
				put(o, fmt.Sprintf("host-%d/%d", h, n))
			}
			b.run(o, 10*time.Second)
			if n == 29 { // 5 minutes.
				if len(b.got) < 24*27 || rejections > 36+60 {
					t.Errorf("%d of %d statuses arrived, at the cost of %d connections", len(b.got), 24*30, rejections)
				}
				rejections = 0
			}
		}
		if rejections > 15 {
			t.Errorf("%d connections lost in the second 5 minutes", rejections)
		}
		book.expect(t, slog.LevelWarn, 5, 10)
		mended, b.got = true, nil
		b.run(o, 31*time.Second)
		if len(b.got) != 36 {
			t.Errorf("%d of 36 statuses arrived soon after the cure", len(b.got))
		}
		book.expect(t, slog.LevelInfo, 1, 1)
		book.expect(t, slog.LevelError, 0, 0)
	})
}

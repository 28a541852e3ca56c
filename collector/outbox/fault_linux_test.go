package outbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// alone runs the test in a process of its own, and reports whether this is it. For limitFiles limits a whole process, and that of go test
// also writes a file in which it notes what a test looks at.
func alone(t *testing.T) bool {
	t.Helper()
	const inside = "OUTBOX_TEST_ALONE"
	if os.Getenv(inside) != "" {
		signal.Ignore(syscall.SIGXFSZ)
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	return false
}

// limitFiles lets no file grow beyond so many bytes, as a full disk would, until the function that it returns is called. The test must
// be alone.
func limitFiles(t *testing.T, bytes uint64) (restore func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	restored := false
	restore = func() {
		if restored {
			return
		}
		restored = true
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	return restore
}

func TestAFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		config := onDisk(t)
		config.Log = slog.New(slog.NewTextHandler(&log, nil))
		o := open(t, config)
		commit(t, o, "a", "old", 2)
		expect(t, o, 2, "a#1")
		before := o.Stats()
		restore := limitFiles(t, 32<<10)
		for range 3 {
			err := o.Commit("a", bytes.Repeat([]byte("new"), 50_000), changes("a", 1))
			if err == nil || errors.Is(err, outbox.ErrFull) {
				t.Fatalf("got %v", err)
			}
		}
		if after := o.Stats(); after != before {
			t.Errorf("stats before %+v, after %+v", before, after)
		}
		settle(o, publish.Confirmed, "a#1")
		expect(t, o, 1, "a#2")
		restore()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		commit(t, o, "a", "new", 1)
		if got := log.String(); strings.Count(got, "cannot write") != 1 || strings.Count(got, "written again") != 1 {
			t.Errorf("log:\n%s", got)
		}
		closeBox(t, o)
		o = open(t, config)
		if got := string(o.States()["a"]); got != "new" {
			t.Errorf("state %q", got)
		}
		expect(t, o, 2, "a#2")
		settle(o, publish.Confirmed, "a#2")
		expect(t, o, 1, "a#3")
	})
}

// A disk that is nearly full takes what is short.
func TestADiskThatTakesEveryOtherWrite(t *testing.T) {
	if !alone(t) {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		config := onDisk(t)
		config.Log = slog.New(slog.NewTextHandler(&log, nil))
		o := open(t, config)
		for range 300 {
			restore := limitFiles(t, 4096)
			if err := o.Commit("a", []byte("1"), nil); err == nil {
				t.Fatal("no error")
			}
			restore()
			commit(t, o, "a", "1", 0)
			time.Sleep(time.Second)
		}
		if failed, again := strings.Count(log.String(), "cannot write"), strings.Count(log.String(), "written again"); failed != 5 || again != 5 {
			t.Errorf("logged %d and %d times in 5 minutes", failed, again)
		}
	})
}

func TestADropWaitsForTheDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		config := onDisk(t)
		config.UnroutableFor = 0
		o := open(t, config)
		commit(t, o, "a", "1", 3)
		expect(t, o, 3, "a#1")
		restore := limitFiles(t, 4096)
		settle(o, publish.Unroutable, "a#1")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		expect(t, o, 3)
		restore()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		m, gap := bodyOf[publish.Event](t, o)
		if gap.Seq != 4 || gap.Gap == nil || *gap.Gap.FirstSeq != 1 || *gap.Gap.LastSeq != 3 {
			t.Errorf("got %s", m.Body)
		}
	})
}

// What is given up is still in the file, so that it would come again after what was sent behind it.
func TestNothingOvertakesADrop(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, f := range []publish.Fate{publish.Invalid, publish.Unroutable} {
		t.Run(f.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := onDisk(t)
				config.UnroutableFor = 0
				o := open(t, config)
				commitIn(t, o, "old", 1)
				commitIn(t, o, "new", 2)
				expect(t, o, 3, "a#1")
				restore := limitFiles(t, 4096)
				settle(o, f, "a#1")
				time.Sleep(10 * time.Second)
				synctest.Wait()
				expect(t, o, 3)
				if err := o.Close(); err == nil {
					t.Error("what is given up was not written, but Close is content")
				}
				restore()
				o = open(t, config)
				expect(t, o, 3, "a#1")
				settle(o, f, "a#1")
				time.Sleep(10 * time.Second)
				synctest.Wait()
				expect(t, o, 3, "a#2")
			})
		})
	}
}

func TestNoRoomForANewFile(t *testing.T) {
	if !alone(t) {
		return
	}
	config := onDisk(t)
	config.Collector = "fleet-a"
	restore := limitFiles(t, 4096)
	_, err := outbox.Open(config)
	restore()
	if err == nil {
		t.Error("no error")
	}
	open(t, config)
}

// What was set aside is told of, though no new file can be begun.
func TestNoRoomAfterDamage(t *testing.T) {
	if !alone(t) {
		return
	}
	var log bytes.Buffer
	config := onDisk(t)
	config.Collector = "fleet-a"
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	if err := os.WriteFile(config.Path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	restore := limitFiles(t, 4096)
	_, err := outbox.Open(config)
	restore()
	if err == nil || !strings.Contains(log.String(), "set_aside="+config.Path+".damaged-") {
		t.Errorf("error %v, log: %s", err, log.String())
	}
}

// The disk is lost, or someone truncates the file, while it is in use.
func TestTheFileIsCutOffInUse(t *testing.T) {
	var log bytes.Buffer
	config := onDisk(t)
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	o := open(t, config)
	long := strings.Repeat("x", 200_000)
	for range 100 { // More than is cached.
		events := changes("a", 1)
		events[0].Host.Labels = map[string]string{"long": long}
		if err := o.Commit("a", []byte("1"), events); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(config.Path, 4096); err != nil {
		t.Fatal(err)
	}
	taken := 0
	for m, ok := o.Take(); ok; m, ok = o.Take() {
		taken++
		o.Settle(m, publish.Confirmed)
	}
	if taken == 0 || taken == 100 {
		t.Errorf("took %d events, want those that are cached", taken)
	}
	for range 2 {
		if err := o.Commit("a", []byte("2"), nil); err == nil || !strings.Contains(err.Error(), "restart service_manager") {
			t.Errorf("got %v", err)
		}
	}
	_ = o.Close() // Cannot delete what was confirmed.
	if !strings.Contains(log.String(), "cannot be read from the state file") {
		t.Errorf("log:\n%s", log.String())
	}
	epoch := o.Epoch()
	o = open(t, config)
	if o.Epoch() <= epoch {
		t.Errorf("epoch %s after %s", o.Epoch(), epoch)
	}
}

// A commit finds that out, having got to some of its pages.
func TestACommitMeetsAFileThatIsCutOff(t *testing.T) {
	for _, pages := range []int64{1, 4, 20} {
		t.Run(fmt.Sprint(pages, " pages"), func(t *testing.T) {
			config := onDisk(t)
			o := open(t, config)
			for h := range 100 {
				commit(t, o, fmt.Sprint("host-", h), "1", 30)
			}
			if err := os.Truncate(config.Path, pages*4096); err != nil {
				t.Fatal(err)
			}
			var err error
			for h := 0; h < 100 && err == nil; h++ {
				host := fmt.Sprint("host-", h)
				err = o.Commit(host, []byte("2"), changes(host, 1))
			}
			if err == nil || !strings.Contains(err.Error(), "restart service_manager") {
				t.Errorf("got %v", err)
			}
		})
	}
}

package journalctl

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testNonce = "0123456789abcdef0123456789abcdef"

// behindBegin is an answer that begins with r.
func behindBegin(r io.Reader) io.Reader {
	return io.MultiReader(strings.NewReader(Query{Nonce: testNonce}.Begin()), r)
}

func read(r io.Reader) (all []Entry, err error) {
	err = Read(behindBegin(r), testNonce, func(e Entry) error {
		all = append(all, e)
		return nil
	})
	return all, err
}

func TestReadTakesWhatAppendWrites(t *testing.T) {
	want := []Entry{
		{Time: time.UnixMicro(1764150000123456), Cursor: cursor, BootID: "b00t", Unit: "nginx.service", Identifier: "nginx", PID: "812", Priority: 3, Message: "went wrong: x=y\t1"},
		{Time: time.UnixMicro(1764150000123457), Priority: -1, Message: "two\nlines"},
		{Time: time.UnixMicro(1764150000123458), Priority: 6, Message: "no UTF-8: \xff\x00"},
		{Time: time.UnixMicro(1764150000123459), Priority: 6},
	}
	var printed []byte
	for _, e := range want {
		printed = append(e.Append(printed), "-- Reboot --\n"...)
	}
	for _, r := range []io.Reader{strings.NewReader(string(printed)), iotest.OneByteReader(strings.NewReader(string(printed)))} {
		got, err := read(r)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	// Cut off anywhere, it is as many whole entries.
	for cut := range printed {
		got, err := read(strings.NewReader(string(printed[:cut])))
		if err != nil || len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("cut off at %d: %v, %v", cut, got, err)
		}
	}
}

// What a login shell prints before the answer is passed over, whatever it looks like, but not without end.
func TestReadPassesOverNoise(t *testing.T) {
	const entry = "__REALTIME_TIMESTAMP=1\nMESSAGE=x\n\n"
	begin := Query{Nonce: testNonce}.Begin()
	for noise, ok := range map[string]bool{
		"": true, "Welcome to h1!\n": true, "WELCOME\n": true, "MESSAGE=forged\n\n": true, "no line feed": true,
		Query{Nonce: strings.Repeat("f", 32)}.Begin(): true, strings.Repeat("x", maxNoise): false,
	} {
		entries := 0
		err := Read(strings.NewReader(noise+begin+entry), testNonce, func(e Entry) error {
			if entries++; e.Message != "x" {
				t.Errorf("%.20q: %+v", noise, e)
			}
			return nil
		})
		if ok && (err != nil || entries != 1) || !ok && !errors.Is(err, ErrOutput) {
			t.Errorf("%.20q: %d entries, %v", noise, entries, err)
		}
	}
	if err := Read(strings.NewReader("Welcome!\n"+entry), testNonce, func(Entry) error { return nil }); !errors.Is(err, ErrOutput) || !strings.Contains(err.Error(), "Welcome!") {
		t.Errorf("no answer: %v", err)
	}
}

// What the unit is called, whoever logged: systemd itself, the service, or systemd-coredump. No service can pass for another one.
func TestReadFindsTheUnit(t *testing.T) {
	const text = "__REALTIME_TIMESTAMP=1\n_SYSTEMD_UNIT=init.scope\nUNIT=a.service\n_COMM=systemd\n_PID=1\n\n" +
		"__REALTIME_TIMESTAMP=2\nCOREDUMP_UNIT=b.service\n_SYSTEMD_UNIT=systemd-coredump@0.service\nSYSLOG_IDENTIFIER=dump\n_COMM=x\n\n" +
		"__REALTIME_TIMESTAMP=3\n_SYSTEMD_UNIT=evil.service\nUNIT=c.service\nCOREDUMP_UNIT=c.service\nOTHER=1\nSYSLOG_PID=7\n\n-- No entries --\n"
	got, err := read(strings.NewReader(text))
	want := []Entry{
		{Time: time.UnixMicro(1), Unit: "a.service", Identifier: "systemd", PID: "1", Priority: -1},
		{Time: time.UnixMicro(2), Unit: "b.service", Identifier: "dump", Priority: -1},
		{Time: time.UnixMicro(3), Unit: "evil.service", PID: "7", Priority: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// A field of any length costs no more than the bound, and hides nothing that comes after it.
func TestReadBoundsFields(t *testing.T) {
	long := strings.Repeat("x", MaxField+70_000)
	binaryLong := string(binary.LittleEndian.AppendUint64([]byte("MESSAGE\n"), uint64(len(long)))) + long + "\n"
	for _, message := range []string{"MESSAGE=" + long + "\n", binaryLong} {
		got, err := read(strings.NewReader("__REALTIME_TIMESTAMP=1\n" + message + "PRIORITY=3\n\n__REALTIME_TIMESTAMP=2\nMESSAGE=after\n\n"))
		if err != nil || len(got) != 2 {
			t.Fatalf("%d entries, %v", len(got), err)
		}
		if first := got[0]; !first.Cut || len(first.Message) > MaxField || len(first.Message) < MaxField-100 || first.Priority != 3 {
			t.Errorf("cut: %v, %d bytes, priority %d", first.Cut, len(first.Message), first.Priority)
		}
		if got[1].Message != "after" || got[1].Cut {
			t.Errorf("then came %+v", got[1])
		}
	}
}

func TestReadRefusesOtherOutput(t *testing.T) {
	for _, text := range []string{
		"Welcome to Debian!\n", "__REALTIME_TIMESTAMP=soon\n\n", "MESSAGE=1\n\n", "lower=1\n", "=1\n",
		"__REALTIME_TIMESTAMP=1\nMESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00ab",
	} {
		if got, err := read(strings.NewReader(text)); !errors.Is(err, ErrOutput) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestReadEndsWithEitherSide(t *testing.T) {
	broken := errors.New("broken")
	if _, err := read(io.MultiReader(strings.NewReader("__REALTIME_TIMESTAMP=1\n"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("the reader's: %v", err)
	}
	err := Read(behindBegin(strings.NewReader("__REALTIME_TIMESTAMP=1\n\n__REALTIME_TIMESTAMP=2\n\n")), testNonce, func(Entry) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("the caller's: %v", err)
	}
}

// Captures are of the hosts of the stack, each with a unit that has printed a line, a tab, what is no UTF-8, and an error.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob("testdata/*.export")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v; want one each of systemd 247, 252 and 257", files, err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(f)
		_ = f.Close() // It was only read.
		if err != nil || len(got) == 0 {
			t.Fatalf("%s: %d entries, %v", file, len(got), err)
		}
		messages := make(map[string]int) // and their priorities
		for _, e := range got {
			messages[e.Message] = e.Priority
			if e.Time.Year() < 2020 || e.Cursor == "" || e.Unit == "" || e.Message == "" || strings.Trim(e.Cursor, cursorChars) != "" {
				t.Errorf("%s: %+v", file, e)
			}
		}
		for message, priority := range map[string]int{"plain": 6, "a\tb": 6, "no \xff text": 6, "failing": 3} {
			if p, ok := messages[message]; !ok || p != priority {
				t.Errorf("%s: %q has priority %d, %t; want %d", file, message, p, ok, priority)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("__REALTIME_TIMESTAMP=1\nMESSAGE=a\n\n"))
	f.Add([]byte("MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00a\n"))
	f.Add(Entry{Time: time.UnixMicro(1), Message: "a\nb", Priority: 1, Cursor: cursor}.Append(nil))
	f.Fuzz(func(t *testing.T, output []byte) {
		got, err := read(strings.NewReader(string(output)))
		if err != nil && !errors.Is(err, ErrOutput) {
			t.Errorf("%v", err)
		}
		if len(got) > len(output)/len("__REALTIME_TIMESTAMP=") {
			t.Errorf("%d entries from %d bytes", len(got), len(output))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	line := Entry{Time: time.Now(), Cursor: cursor, BootID: "b00t", Unit: "nginx.service", Identifier: "nginx", PID: "812", Priority: 6, Message: strings.Repeat("word ", 20)}
	var printed []byte
	for range 1000 {
		printed = line.Append(printed)
	}
	b.SetBytes(int64(len(printed)))
	for b.Loop() {
		if _, err := read(strings.NewReader(string(printed))); err != nil {
			b.Fatal(err)
		}
	}
}

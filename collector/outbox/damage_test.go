package outbox_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// fill makes a state file with some history, and returns it with all that is in it.
func fill(t *testing.T, hosts int) (file []byte, want everything) {
	t.Helper()
	config := onDisk(t)
	o := open(t, config)
	for round := range 3 {
		for h := range hosts {
			commit(t, o, fmt.Sprintf("host-%03d", h), strings.Repeat(fmt.Sprintf("state %d of %d;", round, h), 1+h), 2)
		}
		for range hosts {
			m, _ := o.Take()
			o.Settle(m, publish.Confirmed)
		}
	}
	closeBox(t, o)
	file, err := os.ReadFile(config.Path)
	if err != nil {
		t.Fatal(err)
	}
	o = open(t, config)
	want = contents(o)
	closeBox(t, o)
	return file, want
}

// everything is what an outbox has from its file.
type everything struct {
	Epoch  string
	States map[string]string
	Events []string // With their bodies.
}

func contents(o *outbox.Outbox) everything {
	e := everything{Epoch: o.Epoch(), States: map[string]string{}}
	for host, state := range o.States() {
		e.States[host] = string(state)
	}
	hosts := map[string][]string{}
	for m, ok := o.Take(); ok; m, ok = o.Take() {
		hosts[m.Host] = append(hosts[m.Host], name(m)+string(m.Body))
		o.Settle(m, publish.Confirmed)
	}
	for h := range 1000 {
		e.Events = append(e.Events, hosts[fmt.Sprintf("host-%03d", h)]...)
	}
	return e
}

// reopened opens a file with the given contents. It must have either all of want, or a new epoch, the file beside it, and a word in the
// log.
func reopened(t *testing.T, what string, file []byte, want everything) (whole bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o, err := outbox.Open(outbox.Config{Path: path, Collector: "fleet-a", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return false
	}
	defer closeBox(t, o)
	got := contents(o)
	aside, _ := filepath.Glob(path + ".damaged-*")
	if got.Epoch == want.Epoch {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", what, diff)
		}
		if len(aside) > 0 {
			t.Errorf("%s: set aside although it is whole: %s", what, log.String())
		}
		return true
	}
	if got.Epoch < want.Epoch || len(got.States) > 0 || len(got.Events) > 0 {
		t.Errorf("%s: what was lost is not told by epoch %s: %v", what, got.Epoch, got)
	}
	if len(aside) != 1 || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%s: set aside: %v, log: %s", what, aside, log.String())
		return false
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, file) {
		t.Errorf("%s: what was set aside has changed: %v", what, err)
	}
	return false
}

func TestUndamaged(t *testing.T) {
	file, want := fill(t, 40)
	if len(want.Events) != 40*3 || len(want.States) != 40 {
		t.Fatalf("%d events, %d states", len(want.Events), len(want.States))
	}
	if !reopened(t, "as it was", file, want) {
		t.Error("a whole file is set aside")
	}
}

// intact reads a file, of which it must get all or nothing.
func intact(t *testing.T, what string, file []byte, want []string) bool {
	t.Helper()
	got, whole := outbox.Read(file)
	if whole && !slices.Equal(got, want) {
		t.Errorf("%s: passes for whole with %d of %d values", what, len(got), len(want))
	}
	return whole
}

func TestTruncated(t *testing.T) {
	file, want := fill(t, 40)
	all, _ := outbox.Read(file)
	whole := 0
	for n := range len(file) {
		if n%61 == 0 && intact(t, fmt.Sprintf("%d of %d bytes", n, len(file)), file[:n], all) {
			whole++
		}
	}
	if whole == len(file)/61+1 {
		t.Error("truncation is never seen")
	}
	lengths := []int{0, 1, 15, 16, 80, 81, 4095, 4096, 4097, 8191, 8192, len(file) - 1}
	for n := 0; n < len(file); n += len(file) / 30 {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		reopened(t, fmt.Sprintf("%d of %d bytes", n, len(file)), file[:n], want)
	}
}

// Random bytes are changed; a third of them where all of the structure is, and many to small numbers, which are page ids.
func TestFlippedBytes(t *testing.T) {
	file, want := fill(t, 40)
	all, _ := outbox.Read(file)
	r := rand.New(rand.NewPCG(1, 2))
	whole := 0
	const cases = 3000
	for i := range cases {
		damaged := bytes.Clone(file)
		at, to := r.IntN(len(file)), byte(r.IntN(256))
		if i%3 == 0 {
			at = r.IntN(len(file)/4096)*4096 + r.IntN(64)
		}
		if i%5 == 0 {
			to = byte(r.IntN(len(file) / 4096))
		}
		damaged[at] = to
		what := fmt.Sprintf("case %d: byte %d of %d from %d to %d", i, at, len(file), file[at], to)
		if intact(t, what, damaged, all) {
			whole++
		}
		if i%30 == 0 {
			reopened(t, what, damaged, want)
		}
	}
	t.Logf("of %d cases %d have all of it", cases, whole)
	if whole == cases {
		t.Error("a changed byte is never seen")
	}
}

// Where what a changed byte leaves passes for whole, bbolt must be able to use it: also to write all of it anew.
func TestWhatPassesCanBeUsed(t *testing.T) {
	file, want := fill(t, 40)
	r := rand.New(rand.NewPCG(5, 6))
	for used := 0; used < 50; {
		damaged := bytes.Clone(file)
		at := r.IntN(len(file)/4096)*4096 + r.IntN(256)
		damaged[at] = byte(r.IntN(len(file) / 4096))
		if _, whole := outbox.Read(damaged); !whole || damaged[at] == file[at] {
			continue
		}
		used++
		path := filepath.Join(t.TempDir(), "state.db")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		o := open(t, outbox.Config{Path: path})
		if o.Epoch() != want.Epoch {
			t.Errorf("byte %d from %d to %d: set aside", at, file[at], damaged[at])
		}
		for h := range 40 {
			commit(t, o, fmt.Sprintf("host-%03d", h), "new", 1)
		}
		contents(o)
		closeBox(t, o)
		if got := contents(open(t, outbox.Config{Path: path})); got.Epoch != want.Epoch || len(got.States) != 40 || len(got.Events) != 0 {
			t.Errorf("byte %d from %d to %d: afterwards %v", at, file[at], damaged[at], got)
		}
	}
}

// The first key of a branch page is where bbolt looks for its child. A lesser one is in order, but not the child's.
func TestBranchesWithOtherKeys(t *testing.T) {
	t.Parallel()
	file, _ := fill(t, 40)
	const page, header = 4096, 16
	seen := 0
	for at := 0; at < len(file); at += page {
		if file[at+8] != 1 || file[at+9] != 0 { // No branch page.
			continue
		}
		key := at + header + int(binary.NativeEndian.Uint32(file[at+header:]))
		last := key + int(binary.NativeEndian.Uint32(file[at+header+4:])) - 1
		if file[last] == 0 {
			continue
		}
		damaged := bytes.Clone(file)
		damaged[last]--
		if _, whole := outbox.Read(damaged); !whole {
			seen++
		}
	}
	if seen == 0 {
		t.Error("of no branch the first key counts")
	}
}

func TestZeroedPages(t *testing.T) {
	file, want := fill(t, 40)
	for page := 0; page*4096 < len(file); page++ {
		damaged := bytes.Clone(file)
		clear(damaged[page*4096 : min(len(file), (page+1)*4096)])
		reopened(t, fmt.Sprintf("page %d is zero", page), damaged, want)
	}
}

func TestForeignFiles(t *testing.T) {
	_, want := fill(t, 1)
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	empty, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, file := range map[string][]byte{
		"text":         []byte(strings.Repeat("[collector]\nname = \"fleet-a\"\n", 1000)),
		"nothing":      nil,
		"empty bbolt":  empty,
		"other bbolt":  foreign(t, "users"),
		"a meta bbolt": foreign(t, "meta"),
	} {
		if reopened(t, what, file, want) {
			t.Errorf("%s passes for a state file", what)
		}
	}
}

// foreign returns a bbolt file of another program.
func foreign(t *testing.T, bucket string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte(bucket))
		if err != nil {
			return err
		}
		return b.Put([]byte("format"), []byte("1"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// What damages the file may have put the clock back, too.
func TestTheEpochIsGreaterAlsoAfterTheClockWasPutBack(t *testing.T) {
	config := onDisk(t)
	later := publish.NewEpoch(time.Now().Add(24 * time.Hour))
	if err := os.WriteFile(config.Path+".lock", []byte(later+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	epoch := later
	for range 3 {
		o := open(t, config)
		if o.Epoch() <= epoch {
			t.Errorf("epoch %s after %s", o.Epoch(), epoch)
		}
		epoch = o.Epoch()
		closeBox(t, o)
		if err := os.WriteFile(config.Path, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that fails to read for a while must not cost the file.
func TestADiskThatFailsIsNoDamage(t *testing.T) {
	file, _ := fill(t, 40)
	last := 0
	for n := range 100 {
		failing := &failingDisk{ReaderAt: bytes.NewReader(file), after: n}
		damaged, err := outbox.ReadFrom(failing, len(file))
		switch {
		case failing.reads <= n && err == nil:
			last = n
		case damaged || !errors.Is(err, syscall.EIO):
			t.Errorf("after %d reads: damaged %v, error %v", n, damaged, err)
		}
	}
	if last == 0 {
		t.Error("the file is not read to its end")
	}
}

// A failingDisk fails after so many reads.
type failingDisk struct {
	io.ReaderAt

	after, reads int
}

func (d *failingDisk) ReadAt(b []byte, offset int64) (int, error) {
	d.reads++
	if d.reads > d.after {
		return 0, &fs.PathError{Op: "read", Path: "state.db", Err: syscall.EIO}
	}
	return d.ReaderAt.ReadAt(b, offset)
}

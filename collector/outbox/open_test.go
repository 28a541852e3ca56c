package outbox_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

func TestOneProcessPerFile(t *testing.T) {
	config := onDisk(t)
	o := open(t, config)
	config.Collector = "fleet-a"
	_, err := outbox.Open(config)
	if !errors.Is(err, outbox.ErrInUse) || !strings.Contains(err.Error(), "is in use by another service_manager") {
		t.Errorf("got %v", err)
	}
	commit(t, o, "a", "1", 1)
	closeBox(t, o)
	open(t, config)
}

// A lock that its process no longer gives up would keep a collector from starting after a crash.
func TestLockEndsWithItsProcess(t *testing.T) {
	if path := os.Getenv("OUTBOX_TEST_LOCK"); path != "" {
		o, err := outbox.Open(outbox.Config{Path: path, Collector: "fleet-a"})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Commit("a", []byte("1"), changes("a", 1)); err != nil {
			t.Fatal(err)
		}
		os.Exit(0) // Without Close.
	}
	config := onDisk(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockEndsWithItsProcess$")
	cmd.Env = append(os.Environ(), "OUTBOX_TEST_LOCK="+config.Path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	expect(t, open(t, config), 1, "a#1")
}

func TestOpenSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tc := range map[string]struct {
		path string
		want string
	}{
		"no directory":        {filepath.Join(dir, "no", "state.db"), "mkdir -p " + filepath.Join(dir, "no")},
		"a file above":        {filepath.Join(write("file", 0o600), "state.db"), "not a directory"},
		"a directory":         {dir, "no regular file"},
		"read-only directory": {"/proc/state.db", "opening the state file /proc/state.db"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := outbox.Open(outbox.Config{Path: tc.path, Collector: "fleet-a"})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestANewerFileIsRefused(t *testing.T) {
	config := onDisk(t)
	o := open(t, config)
	commit(t, o, "a", "1", 1)
	closeBox(t, o)
	db, err := bbolt.Open(config.Path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		key, value := []byte("format"), []byte("3")
		sum := crc32.Checksum(append(key, value...), crc32.MakeTable(crc32.Castagnoli))
		return tx.Bucket([]byte("meta")).Put([]byte("format"), append(binary.BigEndian.AppendUint32(nil, sum), value...))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(config.Path)
	if err != nil {
		t.Fatal(err)
	}
	config.Collector = "fleet-a"
	if _, err := outbox.Open(config); err == nil || !strings.Contains(err.Error(), "format 3") {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(config.Path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a newer file was touched: %v", err)
	}
}

func TestALinkStaysOne(t *testing.T) {
	config := onDisk(t)
	link := filepath.Join(t.TempDir(), "link.db")
	o := open(t, config)
	commit(t, o, "a", "1", 1)
	closeBox(t, o)
	if err := os.Symlink(config.Path, link); err != nil {
		t.Fatal(err)
	}
	o = open(t, outbox.Config{Path: link})
	expect(t, o, 1, "a#1")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link has become %v: %v", info.Mode(), err)
	}
}

// wasteful makes a file of some megabytes that hold nothing.
func wasteful(t *testing.T, o *outbox.Outbox) {
	t.Helper()
	for range 10 {
		commit(t, o, "b", "1", 1000)
	}
	for m, ok := o.Take(); ok; m, ok = o.Take() {
		o.Settle(m, publish.Confirmed)
	}
}

func TestAFileShrinksWhenOpened(t *testing.T) {
	config := onDisk(t)
	o := open(t, config)
	wasteful(t, o)
	closeBox(t, o)
	before, err := os.Stat(config.Path)
	if err != nil {
		t.Fatal(err)
	}
	closeBox(t, open(t, config))
	after, err := os.Stat(config.Path)
	if err != nil {
		t.Fatal(err)
	}
	if after.Size() > before.Size()/10 {
		t.Errorf("%d bytes, before %d", after.Size(), before.Size())
	}
}

// Without room for a copy the file itself must do.
func TestNoRoomForACopy(t *testing.T) {
	config := onDisk(t)
	o := open(t, config)
	wasteful(t, o)
	commit(t, o, "a", "1", 3)
	closeBox(t, o)
	if err := os.MkdirAll(filepath.Join(config.Path+".new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	o = open(t, config)
	expect(t, o, 3, "a#1")
	commit(t, o, "a", "2", 1)
	settle(o, publish.Confirmed, "a#1")
	closeBox(t, o)
	if !strings.Contains(log.String(), "cannot be copied") {
		t.Errorf("log: %s", log.String())
	}
	o = open(t, config)
	if got := contents(o); got.States["a"] != "2" {
		t.Errorf("states: %v", got.States)
	}
}

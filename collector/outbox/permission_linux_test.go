package outbox_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"service_manager/collector/outbox"
)

func TestOpenWithoutPermission(t *testing.T) {
	config := onDisk(t)
	o := open(t, config)
	commit(t, o, "a", "1", 1)
	closeBox(t, o)
	if err := os.Chmod(config.Path, 0); err != nil {
		t.Fatal(err)
	}
	config.Collector = "fleet-a"
	if err := asNobody(t, config); err == nil || !strings.Contains(err.Error(), "must belong to the user") {
		t.Errorf("got %v", err)
	}
	if err := os.Chmod(config.Path, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, open(t, config), 1, "a#1")
}

// asNobody opens the outbox as a user whose file it is not. Root may do anything, so the thread gives up being it, for files only.
func asNobody(t *testing.T, config outbox.Config) error {
	t.Helper()
	if os.Geteuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		const nobody = 65534
		if err := unix.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Setfsuid(0) }() // It was so before.
	}
	o, err := outbox.Open(config)
	if err == nil {
		closeBox(t, o)
	}
	return err
}

//go:build integration

package integration

import (
	"strings"
	"testing"
	"time"

	"service_manager/hosts"
)

// Without privileges systemctl asks PID 1 by way of dbus-daemon. That this is not there, or does not let the account ask, is told as
// what it is, and passes.
func TestTroubleWithDBus(t *testing.T) {
	consume(t, "status.db.db-01").wait(t, "an ok status", isOK)
	h, stop := secondLogin(t, "monitor")
	defer stop()
	pool := hosts.New(hosts.Config{})
	t.Cleanup(pool.Close)
	if err := pool.Connect(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	const policy = "/etc/dbus-1/system.d/integration-test.conf"
	for _, test := range []struct {
		name, begin, end string
		want             hosts.Outcome
		text             string
	}{
		{
			name: "down", begin: "systemctl stop dbus.socket dbus.service", end: "systemctl start dbus.socket dbus.service",
			want: hosts.CommandFailed, text: "Connection refused",
		},
		{
			name: "denied",
			begin: `printf '%s' '<busconfig><policy user="monitor"><deny send_destination="org.freedesktop.systemd1"/></policy></busconfig>' >` +
				policy + " && systemctl reload dbus",
			end:  "rm -f " + policy + " && systemctl reload dbus",
			want: hosts.Denied, text: "Access denied",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer stack.must(t, "db-01", test.end)
			stack.must(t, "db-01", test.begin)
			_, err := pool.Poll(t.Context(), h)
			if outcome := hosts.OutcomeOf(err); outcome != test.want || !strings.Contains(err.Error(), test.text) {
				t.Errorf("outcome %q, error %v; want %q and %q", outcome, err, test.want, test.text)
			}
		})
		deadline := time.Now().Add(patience)
		for _, err := pool.Poll(t.Context(), h); err != nil; _, err = pool.Poll(t.Context(), h) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: it does not pass: %v", test.name, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

//go:build integration

package integration

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

// systemctl asks PID 1 by way of dbus-daemon, or as root without it (/run/systemd/private). Where PID 1 hangs, it would wait for 25 s on
// one way and 90 s on the other. Both must end in time, as must a login, which waits for PID 1 too (pam_systemd(8)).
func TestFrozenPID1OnEitherWay(t *testing.T) {
	consume(t, "status.db.db-01").wait(t, "an ok status", isOK)
	pool := hosts.New(hosts.Config{})
	t.Cleanup(pool.Close)
	var users []inventory.Host
	for _, user := range []string{"monitor", "root"} {
		h, stop := secondLogin(t, user)
		defer stop()
		users = append(users, h)
		if err := pool.Connect(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Poll(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	signal := func(name string) { stack.docker(t, "kill --signal="+name, "db-01") }
	signal("STOP")
	defer signal("CONT")
	for _, h := range users {
		t.Run(h.SSH.User, func(t *testing.T) {
			for range 2 {
				began := time.Now()
				_, err := pool.Poll(t.Context(), h)
				if outcome := hosts.OutcomeOf(err); outcome != hosts.Timeout || !strings.Contains(err.Error(), "PID 1") {
					t.Errorf("outcome %q, error %v; want a timeout that names PID 1", outcome, err)
				}
				if took := time.Since(began); took > h.Timeout+5*time.Second {
					t.Errorf("the poll took %v, more than its timeout, %v", took, h.Timeout)
				}
			}
		})
	}
	t.Run("login", func(t *testing.T) {
		h := users[0]
		h.Name, h.ConnectTimeout = "db-01 anew", 3*time.Second
		began := time.Now()
		if err := pool.Connect(t.Context(), h); err != nil && hosts.OutcomeOf(err) != hosts.Timeout {
			t.Errorf("outcome %q, error %v; want a timeout, if any", hosts.OutcomeOf(err), err)
		}
		if took := time.Since(began); took > h.ConnectTimeout+5*time.Second {
			t.Errorf("the login took %v, more than its timeout, %v", took, h.ConnectTimeout)
		}
	})
}

// secondLogin makes a key of the test's own that lets a user into db-01, through an sshd of its own there: the stack's keys are the
// collector's, and root may not log in.
func secondLogin(t *testing.T, user string) (h inventory.Host, stop func()) {
	t.Helper()
	dir := t.TempDir()
	private, key, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(stack.do(t, "exec", "-T", "db-01", "hostname", "--all-ip-addresses"))
	address, _, _ = strings.Cut(address, " ")
	port := map[string]string{"monitor": "2222", "root": "2223"}[user]
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	authorized := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	stack.must(t, "db-01", strings.NewReplacer("USER", user, "KEY", authorized, "PORT", port).Replace(
		"echo 'KEY' >/run/USER.keys && /usr/sbin/sshd -o Port=PORT -o PidFile=/run/USER.pid -o PermitRootLogin=prohibit-password "+
			"-o StrictModes=no -o AuthorizedKeysFile=/run/USER.keys"))
	public := stack.must(t, "db-01", "ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key")
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	if err != nil {
		t.Fatal(err)
	}
	known := knownhosts.Line([]string{knownhosts.Normalize(net.JoinHostPort(address, port))}, hostKey)
	for name, text := range map[string]string{"id": string(private), "known_hosts": known + "\n"} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h = inventory.Host{
		Name: "db-01 as " + user, Address: address, Units: []string{"mount_controller.service"}, Interval: 10 * time.Second,
		Timeout: 4 * time.Second, ConnectTimeout: 20 * time.Second,
		SSH: inventory.SSH{User: user, Port: number, IdentityFile: dir + "/id", KnownHosts: []string{dir + "/known_hosts"}},
	}
	return h, func() { stack.must(t, "db-01", "kill $(cat /run/"+user+".pid)") }
}

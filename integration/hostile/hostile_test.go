package hostile_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
	"service_manager/integration/hostile"
)

// What no act takes over must be as on a healthy host, or a test would see another failure than the one it is about.
func TestTheZeroActIsHealthy(t *testing.T) {
	_, user, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	server, err := hostile.Start(hostile.Act{}, user.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := ssh.Dial("tcp", server.Addr().String(), &ssh.ClientConfig{
		User: "monitor", Auth: []ssh.AuthMethod{ssh.PublicKeys(user)}, HostKeyCallback: ssh.FixedHostKey(server.HostKey()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }() // Nothing is pending on it.
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	query := systemctl.Query{Nonce: systemctl.NewNonce(), Units: []string{"nginx.service", "backup.timer"}, Limit: time.Second}
	command, err := query.Command()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := session.Output(command)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := query.Parse(stdout, nil)
	if err != nil || len(answer.Units) != 2 || answer.Units[1].Name != "backup.timer" || answer.Units[1].ActiveState != "active" {
		t.Errorf("units %+v, error %v", answer.Units, err)
	}
}

func TestBlackhole(t *testing.T) {
	hole, err := hostile.NewBlackhole()
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		c, err := new(net.Dialer).DialContext(ctx, "tcp", hole.Addr().String())
		cancel()
		if err == nil {
			_ = c.Close()
			t.Fatal("a connection came about")
		}
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
			t.Errorf("error %v, want that the time is up", err)
		}
	}
}

//go:build integration

package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"service_manager/integration/broker"
	"service_manager/integration/proxy"
)

// The program is ready while it has a broker, and says so when that goes and comes; it is alive all the time.
func TestRunIsReadyWithABroker(t *testing.T) {
	p := newProgram(t)
	port, err := broker.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.inventory)
	if err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("[collector]\nlisten = \"127.0.0.1:%d\"\n", port)
	if err := os.WriteFile(p.inventory, []byte(strings.Replace(string(text), "[collector]\n", listen, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	end := p.start(t, "run")
	get := func(path string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil { // It does not listen yet.
			return 0, err.Error()
		}
		defer func() { _ = answer.Body.Close() }() // It is read to its end.
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	defer http.DefaultClient.CloseIdleConnections()
	becomes := func(want int, reason string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			code, body := get("/readyz")
			if code == want && strings.Contains(body, reason) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("after a minute /readyz says %d %s, want %d and %q", code, body, want, reason)
			}
		}
	}
	becomes(http.StatusOK, "ok")
	p.proxy.SetMode(proxy.Refuse)
	becomes(http.StatusServiceUnavailable, "there is no connection to a broker")
	if code, body := get("/healthz"); code != http.StatusOK {
		t.Errorf("not alive without a broker: %d %s", code, body)
	}
	p.proxy.SetMode(proxy.Forward)
	becomes(http.StatusOK, "ok")
	if code, body := get("/metrics"); code != http.StatusOK || !strings.Contains(body, "\nservice_manager_publisher_connected 1\n") {
		t.Errorf("%d, or it does not count as connected in:\n%s", code, body)
	}
	if code := end(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

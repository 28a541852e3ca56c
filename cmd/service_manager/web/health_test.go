package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/inventory"
	"service_manager/publish"
)

func TestHealth(t *testing.T) {
	c := config("web-01")
	var dead error
	broker := publish.Stats{Broker: "rabbit:5672"}
	c.Alive = func() error { return dead }
	c.Publisher = func() publish.Stats { return broker }
	h := handler(t, c)
	check := func(path string, reasons ...string) {
		t.Helper()
		want := http.StatusOK
		if len(reasons) > 0 {
			want = http.StatusServiceUnavailable
		} else {
			reasons = []string{"ok"}
		}
		code, body := get(t, h, path)
		lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
		if code != want || len(lines) != len(reasons) {
			t.Errorf("%s: %d %s, want %d and %q", path, code, body, want, reasons)
			return
		}
		for i, reason := range reasons {
			if !strings.Contains(lines[i], reason) {
				t.Errorf("%s: %q, want %q in it", path, lines[i], reason)
			}
		}
	}
	check("/healthz")
	check("/readyz")
	broker.Blocked = true
	check("/healthz")
	check("/readyz", "the broker rabbit:5672 takes no messages: it has an alarm")
	broker = publish.Stats{}
	check("/readyz", "there is no connection to a broker")
	c.Latest.SetHosts(nil)
	dead = errors.New("the schedule has not turned for 1m0s")
	check("/healthz", "the schedule has not turned")
	check("/readyz", "the schedule has not turned", "there are no hosts", "no connection to a broker")
	c.Publisher = nil
	dead = nil
	c.Latest.SetHosts(inventoryOf("web-01"))
	h = handler(t, c)
	check("/readyz")
}

// Polling has stalled when there is no news of any host for longer than there should be of the most frequent one.
func TestReadyKnowsAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.Latest.SetHosts([]inventory.Host{
			{Name: "a", Interval: time.Hour, Timeout: 8 * time.Second, ConnectTimeout: 5 * time.Second},
			{Name: "b", Interval: 24 * time.Hour, Timeout: 8 * time.Second, ConnectTimeout: 5 * time.Second},
		})
		h := handler(t, c)
		ready := func(want bool) {
			t.Helper()
			code, body := get(t, h, "/readyz")
			if (code == http.StatusOK) != want {
				t.Errorf("code %d, ready should be %v: %s", code, want, body)
			}
		}
		time.Sleep(2*time.Hour + 13*time.Second)
		ready(true)
		time.Sleep(time.Second)
		ready(false)
		c.Latest.Observe(status("b"))
		ready(true)
		time.Sleep(2 * time.Hour)
		ready(true)
		time.Sleep(time.Minute)
		ready(false)
	})
}

// A reload to shorter intervals does not make the silence that the longer ones had look like a stall, but a stall is seen after it too.
func TestReadyAfterReloadToShorterInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.Latest.SetHosts([]inventory.Host{{Name: "a", Interval: time.Hour}})
		h := handler(t, c)
		time.Sleep(50 * time.Minute)
		for _, name := range []string{"reloaded", "and again, with nothing changed"} {
			c.Latest.SetHosts([]inventory.Host{{Name: "a", Interval: 10 * time.Second}})
			if code, body := get(t, h, "/readyz"); code != http.StatusOK {
				t.Errorf("%s: code %d: %s", name, code, body)
			}
			time.Sleep(40 * time.Second)
		}
		c.Latest.SetHosts([]inventory.Host{{Name: "a", Interval: 10 * time.Second}})
		if code, body := get(t, h, "/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("stalled, and reloaded: code %d: %s", code, body)
		}
	})
}

package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"service_manager/cmd/service_manager/web"
	"service_manager/collector/outbox"
	"service_manager/hosts"
	"service_manager/publish"
)

// lively is a fleet in which there is something of everything.
func lively(t *testing.T) http.Handler {
	t.Helper()
	c := config("web-01", "web-02", "db-01", "db-02")
	c.UnitMetrics = true
	c.Latest.Observe(status("web-01", unit("nginx.service", "active"), unit("cron.service", "failed")))
	c.Latest.Observe(trouble("web-02", "unreachable", unit("nginx.service", "active")))
	never := trouble("db-01", "auth_failed")
	never.StaleSince, never.System = nil, nil
	c.Latest.Observe(never)
	return handler(t, c)
}

func TestMetricsFollowTheConventions(t *testing.T) {
	_, body := get(t, lively(t), "/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Every series of the hosts, by name and labels; of the others one of each source.
func TestMetrics(t *testing.T) {
	got := scrape(t, lively(t))
	host := func(name, metric, more string) string {
		group, _, _ := strings.Cut(name, "-")
		return fmt.Sprintf(`service_manager_host_%s{group=%q,host=%q%s}`, metric, group, name, more)
	}
	moment := float64(at.Unix())
	want := map[string]float64{
		host("web-01", "up", ""):                            1,
		host("web-01", "outcome", `,outcome="ok"`):          1,
		host("web-01", "last_read_timestamp_seconds", ""):   moment,
		host("web-01", "interval_seconds", ""):              10,
		host("web-01", "failed_units", ""):                  1,
		host("web-01", "poll_seconds", `,phase="queue"`):    0.01,
		host("web-01", "poll_seconds", `,phase="dial"`):     0.2,
		host("web-01", "poll_seconds", `,phase="remote"`):   0.05,
		host("web-02", "up", ""):                            0,
		host("web-02", "outcome", `,outcome="unreachable"`): 1,
		host("web-02", "last_read_timestamp_seconds", ""):   moment - 3600,
		host("web-02", "interval_seconds", ""):              10,
		host("web-02", "poll_seconds", `,phase="queue"`):    0.01,
		host("web-02", "poll_seconds", `,phase="dial"`):     0.2,
		host("web-02", "poll_seconds", `,phase="remote"`):   0.05,
		host("db-01", "up", ""):                             0,
		host("db-01", "outcome", `,outcome="auth_failed"`):  1,
		host("db-01", "interval_seconds", ""):               10,
		host("db-01", "poll_seconds", `,phase="queue"`):     0.01,
		host("db-01", "poll_seconds", `,phase="dial"`):      0.2,
		host("db-01", "poll_seconds", `,phase="remote"`):    0.05,
		host("db-02", "up", ""):                             0,
		host("db-02", "outcome", `,outcome="pending"`):      1,
	}
	ofHosts := maps.Clone(got)
	maps.DeleteFunc(ofHosts, func(name string, _ float64) bool { return !strings.HasPrefix(name, "service_manager_host_") })
	if diff := cmp.Diff(want, ofHosts); diff != "" {
		t.Errorf("of hosts (-want +got):\n%s", diff)
	}
	for name, want := range map[string]float64{
		`service_manager_hosts{outcome="ok"}`:                                                      1,
		`service_manager_hosts{outcome="unreachable"}`:                                             1,
		`service_manager_hosts{outcome="pending"}`:                                                 1,
		`service_manager_hosts{outcome="timeout"}`:                                                 0,
		`service_manager_units{state="active"}`:                                                    1,
		`service_manager_units{state="failed"}`:                                                    1,
		`service_manager_unit_state{group="web",host="web-01",state="failed",unit="cron.service"}`: 1,
		`service_manager_unit_series_omitted`:                                                      0,
		`service_manager_polls_total{outcome="ok"}`:                                                1,
		`service_manager_polls_total{outcome="auth_failed"}`:                                       1,
		`service_manager_poll_duration_seconds{phase="dial"}`:                                      3,
		`service_manager_overruns_total{cause="host"}`:                                             2,
		`service_manager_ssh_connections`:                                                          3,
		`service_manager_ssh_dials_total`:                                                          4,
		`service_manager_outbox_events`:                                                            5,
		`service_manager_outbox_oldest_event_timestamp_seconds`:                                    moment,
		`service_manager_outbox_dropped_events_total`:                                              6,
		`service_manager_publisher_connected`:                                                      1,
		`service_manager_publisher_settled_messages_total{result="confirmed"}`:                     7,
		`service_manager_publisher_settled_messages_total{result="refused"}`:                       8,
		`service_manager_inventory_last_reload_successful`:                                         1,
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s is %v (there: %v), want %v", name, v, there, want)
		}
	}
	if _, there := got[`service_manager_unit_state{group="web",host="web-02",state="active",unit="nginx.service"}`]; there {
		t.Error("a unit of a host that could not be read has a state")
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds"} {
		if got[name] == 0 {
			t.Errorf("there is no %s", name)
		}
	}
}

// What says again what is known was no poll, and leaves the figures of the last one.
func TestRepeatIsNoPoll(t *testing.T) {
	c := config("web-01")
	c.Latest.Observe(trouble("web-01", "timeout"))
	again := trouble("web-01", "timeout")
	again.Poll = publish.Poll{QueuedMS: 1}
	c.Latest.Observe(again)
	got := scrape(t, handler(t, c))
	if polls, dial := got[`service_manager_polls_total{outcome="timeout"}`], got[`service_manager_host_poll_seconds{group="web",host="web-01",phase="dial"}`]; polls != 1 || dial != 0.2 {
		t.Errorf("%v polls, the last one with %v s of connecting; want 1 and 0.2", polls, dial)
	}
}

// A series is another one when its outcome, state or group changes, and is gone with its host.
func TestSeriesGoAway(t *testing.T) {
	c := config("web-01", "db-01")
	c.UnitMetrics = true
	h := handler(t, c)
	of := func(host string) int {
		n := 0
		for name := range scrape(t, h) {
			if strings.Contains(name, fmt.Sprintf("host=%q", host)) {
				n++
			}
		}
		return n
	}
	c.Latest.Observe(status("web-01", unit("a.service", "active")))
	was := of("web-01")
	for _, s := range []publish.Status{
		status("web-01", unit("a.service", "failed")),
		status("web-01", unit("a.service", "a state of tomorrow")),
		status("web-01", unit("a.service", "active")),
	} {
		c.Latest.Observe(s)
		if n := of("web-01"); n != was {
			t.Errorf("%d series with the unit %s, %d before", n, s.Units[0].ActiveState, was)
		}
	}
	strange := trouble("web-01", "an outcome of tomorrow")
	c.Latest.Observe(strange)
	if got := scrape(t, h); got[`service_manager_host_outcome{group="web",host="web-01",outcome="other"}`] != 1 {
		t.Error("an outcome that no one has heard of is not told as other")
	}
	moved := inventoryOf("web-01")
	moved[0].Group = "edge"
	c.Latest.SetHosts(moved)
	c.Latest.Observe(status("db-01")) // Its poll was under way.
	got := scrape(t, h)
	if of("db-01") != 0 {
		t.Error("a host that is no longer in the inventory has series")
	}
	if _, there := got[`service_manager_host_last_read_timestamp_seconds{group="edge",host="web-01"}`]; !there {
		t.Error("a host that moved to another group is forgotten")
	}
}

// The inventory may name a unit twice, by an alias; and what a host says is not always text.
func TestUnitNames(t *testing.T) {
	c := config("web-01")
	c.UnitMetrics = true
	c.Latest.Observe(status("web-01", unit("ssh.service", "active"), unit("ssh.service", "active"), unit("\xff\"\n.service", "active")))
	got := scrape(t, handler(t, c))
	if n := got[`service_manager_units{state="active"}`]; n != 2 {
		t.Errorf("%v units, want 2", n)
	}
	if _, there := got[`service_manager_unit_state{group="web",host="web-01",state="active",unit="ssh.service"}`]; !there {
		t.Error("a unit that is there twice is not there once")
	}
}

func TestUnitSeriesAreBounded(t *testing.T) {
	c := config("web-01", "web-02")
	c.Latest.Observe(status("web-01", unit("a.service", "active"), unit("b.service", "active")))
	c.Latest.Observe(status("web-02", unit("a.service", "active"), unit("b.service", "active")))
	got := scrape(t, web.FewUnits(c.Latest, 3))
	series := 0
	for name := range got {
		if strings.HasPrefix(name, "service_manager_unit_state{") {
			series++
		}
	}
	if omitted := got["service_manager_unit_series_omitted"]; series != 3 || omitted != 1 {
		t.Errorf("%d series and %v omitted, want 3 and 1", series, omitted)
	}
	for name := range scrape(t, handler(t, c)) {
		if strings.HasPrefix(name, "service_manager_unit_") {
			t.Errorf("%s, though no one asked for it", name)
		}
	}
}

// The registry collects in goroutines of its own, where a panic would end the program.
func TestPanicInAMetric(t *testing.T) {
	c := config("web-01")
	c.Pool = func() hosts.Stats { panic("no pool") }
	got := scrape(t, handler(t, c))
	if _, there := got["service_manager_hosts{outcome=\"pending\"}"]; !there {
		t.Error("the other metrics are missing too")
	}
}

// Without a broker and without events that wait there are no series of them.
func TestAbsent(t *testing.T) {
	c := config("web-01")
	c.Publisher, c.Outbox = nil, func() outbox.Stats { return outbox.Stats{} }
	for name := range scrape(t, handler(t, c)) {
		if strings.HasPrefix(name, "service_manager_publisher_") || strings.HasPrefix(name, "service_manager_outbox_oldest") {
			t.Errorf("there is %s", name)
		}
	}
}

// The series per host are as many in a large fleet as in a small one, and are made in a fraction of a scrape's interval.
func TestLargeFleet(t *testing.T) {
	count := func(fleet int) int {
		names := make([]string, fleet)
		for i := range names {
			names[i] = fmt.Sprintf("web-%05d", i)
		}
		c := config(names...)
		for _, name := range names {
			c.Latest.Observe(status(name, unit("nginx.service", "active")))
		}
		h := handler(t, c)
		start := time.Now()
		n := len(scrape(t, h))
		t.Logf("%d hosts: %d series, made and parsed in %v", fleet, n, time.Since(start))
		return n
	}
	const many = 2000
	one := count(1)
	if got, want := count(many), one+(many-1)*8; got != want {
		t.Errorf("%d series for %d hosts, want %d: 8 for each", got, many, want)
	}
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"service_manager/integration/fleet"
	"service_manager/publish"
)

// withHTTP writes an inventory of the fleet's hosts with a broker that is not there, and HTTP at the address.
func withHTTP(t *testing.T, simulated *fleet.Fleet, listen string) string {
	t.Helper()
	text, err := os.ReadFile(simulated.InventoryPath())
	if err != nil {
		t.Fatal(err)
	}
	before, after, there := strings.Cut(string(text), "[collector]\n")
	if !there {
		t.Fatalf("no [collector] in:\n%s", text)
	}
	with := fmt.Sprintf("%s[collector]\nlisten = %q\nunit_metrics = true\nstate = \"state.db\"\n%s", before, listen, after)
	path := filepath.Join(t.TempDir(), "inventory.toml")
	if err := os.WriteFile(path, []byte("[broker]\nurl = \"amqp://127.0.0.1:1/\"\n"+with), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A serving is the program at work.
type serving struct {
	url  string
	log  *strings.Builder
	stop func() int
}

var servingAt = regexp.MustCompile(`msg="serving HTTP" address=(\S+)`)

// startRun starts the program, and returns when it serves HTTP.
func startRun(t *testing.T, args ...string) serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := execute(ctx, append([]string{"run"}, args...), nil, io.Discard, w)
		_ = w.Close()
		ended <- code
	}()
	lines := bufio.NewScanner(r)
	started := serving{log: new(strings.Builder)}
	for started.url == "" && lines.Scan() {
		fmt.Fprintln(started.log, lines.Text())
		if at := servingAt.FindStringSubmatch(lines.Text()); at != nil {
			started.url = "http://" + at[1]
		}
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			fmt.Fprintln(started.log, lines.Text())
		}
	}()
	started.stop = func() int {
		cancel()
		<-read
		return <-ended
	}
	if started.url == "" {
		t.Fatalf("it does not serve HTTP; exit code %d:\n%s", started.stop(), started.log)
	}
	return started
}

func (r serving) get(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // It is read to its end.
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// series are the samples of a gauge or counter, by the values of some of its labels.
func (r serving) series(t *testing.T, metric string, labels ...string) map[string]float64 {
	t.Helper()
	_, body := r.get(t, "/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range families[metric].GetMetric() {
		var words []string
		for _, label := range labels {
			words = append(words, labelOf(m, label))
		}
		values[strings.Join(words, " ")] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return values
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// metric is the sum of all samples.
func (r serving) metric(t *testing.T, name string) float64 {
	t.Helper()
	return r.series(t, name)[""]
}

func (r serving) eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s; the log:\n%s", what, r.log)
		}
	}
}

// Of a reload HTTP tells the outcome. Only the host that is reached in another way is connected to again.
func TestReloadOverHTTP(t *testing.T) {
	simulated, err := fleet.Start(fleet.Config{Dir: t.TempDir(), Seed: 1, Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	path := withHTTP(t, simulated, "127.0.0.1:0")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	run := startRun(t, "-i", path)
	reload := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hosts := func(outcome string) float64 { return run.series(t, "service_manager_hosts", "outcome")[outcome] }
	run.eventually(t, "every host read", func() bool { return hosts("ok") == 5 })
	if got := run.metric(t, "service_manager_ssh_dials_total"); got != 5 {
		t.Errorf("%v connections begun to 5 hosts", got)
	}

	less, _, _ := strings.Cut(string(text), "[[hosts]]\nname = \"worker-01\"")
	reload(strings.Replace(less, `address = "127.0.0.1"`, `address = "localhost"`, 1)) // By that name its key is not known.
	run.eventually(t, "one host gone, one elsewhere", func() bool { return hosts("ok") == 3 && hosts("host_key_unknown") == 1 })
	if code, _ := run.get(t, "/api/v1/hosts/worker-01"); code != http.StatusNotFound {
		t.Errorf("the host that is gone: %d", code)
	}
	if got := run.metric(t, "service_manager_ssh_dials_total"); got != 6 {
		t.Errorf("%v connections begun, want the one more to the host that is elsewhere", got)
	}
	if got := run.metric(t, "service_manager_inventory_last_reload_successful"); got != 1 {
		t.Errorf("last reload successful: %v", got)
	}
	read := run.metric(t, "service_manager_inventory_last_reload_success_timestamp_seconds")

	reload("[[hosts]]\n")
	run.eventually(t, "a reload that is refused", func() bool { return run.metric(t, "service_manager_inventory_last_reload_successful") == 0 })
	if got := run.metric(t, "service_manager_inventory_last_reload_success_timestamp_seconds"); got != read || hosts("ok") != 3 {
		t.Errorf("the inventory in use is of %v, %v hosts are ok; want %v and 3", got, hosts("ok"), read)
	}
	if code := run.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What run tells over HTTP is what the simulated hosts are.
func TestRunServesHTTP(t *testing.T) {
	defer goleak.VerifyNone(t)
	simulated, err := fleet.Start(fleet.Config{Dir: t.TempDir(), Seed: 1, Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	if _, err := simulated.Leave("db-01"); err != nil {
		t.Fatal(err)
	}
	run := startRun(t, "--pprof", "-i", withHTTP(t, simulated, "127.0.0.1:0"))
	polled := func() bool { return run.series(t, "service_manager_hosts", "outcome")["pending"] == 0 }
	for deadline := time.Now().Add(time.Minute); !polled(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("hosts are pending after a minute:\n%s", run.log)
		}
	}

	outcomes := run.series(t, "service_manager_hosts", "outcome")
	for outcome, n := range map[string]float64{"ok": 4, "unreachable": 1, "timeout": 0} {
		if got, there := outcomes[outcome]; !there || got != n {
			t.Errorf("%v hosts are %s, want %v", got, outcome, n)
		}
	}
	truth := map[string]string{}
	for _, h := range simulated.States() {
		for _, u := range h.Units {
			truth[h.Name+" "+u.Name] = u.ActiveState
			if u.LoadState != "loaded" {
				truth[h.Name+" "+u.Name] = u.LoadState
			}
		}
	}
	units := run.series(t, "service_manager_unit_state", "host", "unit", "state")
	for unit := range units {
		at := strings.LastIndex(unit, " ")
		if want := cmp.Or(truth[unit[:at]], "not-found"); unit[at+1:] != want || strings.HasPrefix(unit, "db-01") {
			t.Errorf("%s, want %s, and nothing of a host that is away", unit, want)
		}
	}
	for _, unit := range []string{"web-01 certbot.service failed", "web-01 nginx.service active", "cache-01 redis-server.service active"} {
		if units[unit] != 1 {
			t.Errorf("there is no %s in %v", unit, units)
		}
	}
	up := run.series(t, "service_manager_host_up", "host")
	if len(up) != 5 || up["web-01"] != 1 || up["db-01"] != 0 {
		t.Errorf("hosts up: %v", up)
	}
	if n := run.series(t, "service_manager_ssh_connections")[""]; n != 4 {
		t.Errorf("%v connections, want 4", n)
	}
	if code, body := run.get(t, "/readyz"); code != http.StatusServiceUnavailable || body != "there is no connection to a broker; events are kept in the state file\n" {
		t.Errorf("ready without a broker: %d %s", code, body)
	}
	if code, body := run.get(t, "/healthz"); code != http.StatusOK {
		t.Errorf("not alive: %d %s", code, body)
	}
	if code, _ := run.get(t, "/debug/pprof/"); code != http.StatusOK {
		t.Errorf("--pprof: %d", code)
	}
	var status publish.Status
	code, body := run.get(t, "/api/v1/hosts/db-01")
	if err := json.Unmarshal([]byte(body), &status); err != nil || code != http.StatusOK || status.Outcome != "unreachable" {
		t.Errorf("db-01: %d %s (%v)", code, body, err)
	}
	if code := run.stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, run.log)
	}
}

// An address that another program has is trouble of its own, told at once: nothing is polled.
func TestRunWantsItsAddress(t *testing.T) {
	simulated, err := fleet.Start(fleet.Config{Dir: t.TempDir(), Seed: 1, Steady: true, Hosts: 1, Served: func(string, int, time.Time) {
		t.Error("a host was polled")
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }() // It has done its part.
	var stderr strings.Builder
	code := execute(t.Context(), []string{"run", "-i", withHTTP(t, simulated, taken.Addr().String())}, nil, io.Discard, &stderr)
	if code != exitOwn || !strings.Contains(stderr.String(), taken.Addr().String()+", as listen in [collector] says: address already in use") {
		t.Errorf("exit code %d, want %d; it said:\n%s", code, exitOwn, stderr.String())
	}
}

package fleet

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts/systemctl"
)

func TestTimespan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second:                                           "1s",
		9646660 * time.Microsecond:                            "9.646660s",
		time.Hour + 9646660*time.Microsecond:                  "1h 9.646660s",
		26*time.Hour + 30*time.Minute:                         "1d 2h 30min",
		31*24*time.Hour + time.Minute + 1500*time.Microsecond: "1month 13h 31min 1.500ms",
		time.Minute + time.Millisecond:                        "1min 1ms",
		15 * 24 * time.Hour:                                   "2w 1d",
	} {
		if got := string(appendTimespan([]byte("x"), d)); got != "x"+want {
			t.Errorf("%v is %q, want %q", d, got[1:], want)
		}
	}
}

// The keys of each record must come in the order in which a real systemd prints them.
func TestOrderIsThatOfRealHosts(t *testing.T) {
	for _, version := range []string{"247", "252", "257"} {
		folder := "../../hosts/systemctl/testdata/captures/" + version
		unitKeys := make(map[string][]string)
		for record := range strings.SplitSeq(readFile(t, folder+"/units.txt"), "\n\n") {
			keys := keysOf(record)
			unitKeys[suffixOf(record)] = keys
		}
		managerKeys := keysOf(readFile(t, folder+"/manager.txt"))
		for _, h := range simulate(Config{Hosts: 5, Seed: 1}) {
			out, _ := ask(t, h, h.group.watched(), start())
			parts := strings.Split(string(out), "\n--")
			if diff := cmp.Diff(managerKeys, keysOf(parts[1])); diff != "" {
				t.Errorf("systemd %s, manager (-real +simulated):\n%s", version, diff)
			}
			for record := range strings.SplitSeq(parts[5], "\n\n") {
				suffix := suffixOf(record)
				want := unitKeys[suffix]
				if suffix == "mount" { // No mount was captured; a socket has the same of what is asked for.
					want = unitKeys["socket"]
				}
				if diff := cmp.Diff(want, keysOf(record)); diff != "" {
					t.Errorf("systemd %s, %s (-real +simulated):\n%s", version, suffix, diff)
				}
			}
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func keysOf(record string) []string {
	var keys []string
	for line := range strings.Lines(record) {
		if key, _, ok := strings.Cut(line, "="); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

func suffixOf(record string) string {
	_, id, _ := strings.Cut(record, "\nId=")
	id, _, _ = strings.Cut(id, "\n")
	return id[strings.LastIndexByte(id, '.')+1:]
}

func TestUnitsThatAHostDoesNotHave(t *testing.T) {
	h := simulate(Config{Hosts: 1, Seed: 1})[0]
	names := []string{"ghost.service", `system-a\x2db.slice`, "ghost.timer", "ghost.target", "nginx.service", "ghost.service"}
	_, answer := ask(t, h, names, start())
	var got []string
	for _, u := range answer.Units {
		got = append(got, u.Name+" "+u.LoadState+" "+u.ActiveState)
	}
	want := []string{
		"ghost.service not-found inactive", `system-a\x2db.slice not-found inactive`, "ghost.timer not-found inactive",
		"ghost.target not-found inactive", "nginx.service loaded active", "ghost.service not-found inactive",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("units (-want +got):\n%s", diff)
	}
}

func TestListing(t *testing.T) {
	hosts := simulate(Config{Hosts: 5, Seed: 1})
	find := func(group string) *host {
		return hosts[slices.IndexFunc(hosts, func(h *host) bool { return h.group.name == group })]
	}
	for _, tt := range []struct {
		group string
		globs []string
		want  string
	}{
		{"worker", []string{"worker@*"}, "worker@1.service worker@2.service"},
		{"db", []string{"postgres*"}, "postgres.service postgresql.service"},
		{"db", []string{"*.timer", "exim?.service"}, "backup.timer exim4.service"},
		{"web", []string{"syslog*"}, ""},
		{"web", []string{"*.target"}, "shutdown.target"},
	} {
		listing := systemctl.Listing{Nonce: systemctl.NewNonce(), Globs: tt.globs, Limit: time.Second}
		command, err := listing.Command()
		if err != nil {
			t.Fatal(err)
		}
		request, err := systemctl.ParseCommand(command)
		if err != nil {
			t.Fatal(err)
		}
		names, err := listing.Parse(find(tt.group).answer(nil, request, start()), nil)
		if got := strings.Join(names, " "); got != tt.want || err != nil {
			t.Errorf("%s, %q: %s (%v), want %s", tt.group, tt.globs, got, err, tt.want)
		}
	}
	request := systemctl.Request{Nonce: "n", Globs: []string{"worker@*"}}
	want := "\n--BEGIN-n list-units\n" +
		"shutdown.target  loaded inactive dead    System Shutdown\n" +
		"worker@1.service loaded active   running Job worker 1\n" +
		"worker@2.service loaded active   running Job worker 2\n" +
		"\n--END-n list-units 0\n\n--BEGIN-n list-unit-files\n" +
		"shutdown.target static   -\nworker@.service indirect -\n" +
		"\n--END-n list-unit-files 0\n"
	if diff := cmp.Diff(want, string(find("worker").answer(nil, request, start()))); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestAlias(t *testing.T) {
	hosts := simulate(Config{Hosts: 3, Seed: 1})
	db := hosts[slices.IndexFunc(hosts, func(h *host) bool { return h.group.name == "db" })]
	_, answer := ask(t, db, []string{"postgres.service", "postgresql.service"}, start())
	alias, primary := answer.Units[0], answer.Units[1]
	if alias.Name != "postgresql.service" || alias.RequestedAs != "postgres.service" || primary.RequestedAs != "" {
		t.Errorf("asked as alias: %+v, as primary: %+v", alias, primary)
	}
}

func TestOnlyWhatIsRequested(t *testing.T) {
	h := simulate(Config{Hosts: 1, Seed: 1})[0]
	request := systemctl.Request{
		Nonce: "n", ManagerProperties: []string{"SystemState", "Bogus"},
		Groups: []systemctl.Group{{Properties: []string{"SubState", "Id", "Bogus"}, Units: []string{"nginx.service", "api.socket"}}},
	}
	want := "\n--BEGIN-n manager\nSystemState=degraded\n\n--END-n manager 0\n" +
		"\n--BEGIN-n boot\n" + h.bootID + "\n\n--END-n boot 0\n" +
		"\n--BEGIN-n units\nId=nginx.service\nSubState=running\n\nId=api.socket\nSubState=running\n\n--END-n units 0\n"
	if diff := cmp.Diff(want, string(h.answer(nil, request, start()))); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func BenchmarkAnswer(b *testing.B) {
	h := simulate(Config{Hosts: 1, Seed: 1})[0]
	query := systemctl.Query{Nonce: systemctl.NewNonce(), Units: h.group.watched(), Limit: time.Second}
	command, err := query.Command()
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	now := start()
	for b.Loop() {
		request, err := systemctl.ParseCommand(command)
		if err != nil {
			b.Fatal(err)
		}
		now = now.Add(time.Millisecond)
		h.advance(now)
		out = h.answer(out[:0], request, now)
	}
}

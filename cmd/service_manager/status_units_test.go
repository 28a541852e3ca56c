package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/publish"
)

func TestUnitChoice(t *testing.T) {
	alias := func(u *publish.Unit) { u.RequestedAs = new("postgres.service") }
	statuses := []publish.Status{
		testStatus("db", "db-01", testUnit("postgresql.service", time.Hour, alias), testUnit("backup.timer", time.Hour), missing("backup.service")),
		testStatus("web", "web-01", testUnit("nginx.service", time.Hour), testUnit("worker@1.service", time.Hour)),
	}
	away := slices.Concat(statuses, []publish.Status{unreachable("web", "web-07")})
	for _, c := range []struct {
		name     string
		given    []string
		statuses []publish.Status
		shown    []string // HOST/UNIT, or HOST
		exit     int
		says     string
	}{
		{"none", nil, statuses, []string{"db-01/postgresql.service", "db-01/backup.timer", "db-01/backup.service", "web-01/nginx.service", "web-01/worker@1.service"}, exitUnit, ""},
		{"a bare name is a service's", []string{"backup"}, statuses, []string{"db-01/backup.service"}, exitUnit, ""},
		{"other types", []string{"backup.timer"}, statuses, []string{"db-01/backup.timer"}, 0, ""},
		{"an alias", []string{"postgres"}, statuses, []string{"db-01/postgresql.service"}, 0, ""},
		{"what an alias leads to", []string{"postgresql"}, statuses, []string{"db-01/postgresql.service"}, 0, ""},
		{"a glob is for the whole name", []string{"backup.*", "w*@[0-9].service"}, statuses, []string{"db-01/backup.timer", "db-01/backup.service", "web-01/worker@1.service"}, exitUnit, ""},
		{"a host that cannot be read", []string{"nginx"}, away, []string{"web-01/nginx.service", "web-07/nginx.service"}, exitHost, ""},
		{"a slip", []string{"ngnix"}, statuses, nil, exitUsage, `-u "ngnix" matches no unit that is watched on the selected hosts; did you mean "nginx.service"?`},
		{"one of two", []string{"nginx", "redis-*"}, statuses, []string{"web-01/nginx.service"}, exitUsage, `-u "redis-*" matches no unit`},
		{"no match where a host may have it", []string{"redis"}, away, []string{"web-07"}, exitHost, "on the hosts that could be read; there are backup.service, "},
	} {
		t.Run(c.name, func(t *testing.T) {
			choice, err := newUnitChoice(c.given)
			if err != nil {
				t.Fatal(err)
			}
			chosen := choice.of(c.statuses)
			var shown []string
			for _, s := range choice.shown(chosen) {
				if len(s.Units) == 0 {
					shown = append(shown, s.Host.Name)
				}
				for _, u := range s.Units {
					shown = append(shown, s.Host.Name+"/"+u.Name)
				}
			}
			if diff := cmp.Diff(c.shown, shown); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			err = choice.exit(chosen)
			if exitOf(err) != c.exit {
				t.Errorf("exit code %d, want %d", exitOf(err), c.exit)
			}
			if c.says != "" && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q, want %q in it", err, c.says)
			}
			if len(c.statuses[0].Units) != 3 {
				t.Error("it has changed the statuses that it chooses from")
			}
		})
	}
	for _, refused := range []string{"", "a/b.mount", "worker@[1", "nginx.servise", "812"} {
		if _, err := newUnitChoice([]string{refused}); exitOf(err) != exitUsage {
			t.Errorf("-u %q: %v", refused, err)
		}
	}
}

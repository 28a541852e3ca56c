package hosts_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

func TestExamineUnits(t *testing.T) {
	for name, want := range map[string]string{
		"nginx.service":         "ngnix.service",
		"postgres.service":      "postgresql.service",
		"rabbitmq.service":      "rabbitmq-server.service",
		"metrics.socket":        "",
		"nothing-alike.service": "",
	} {
		t.Run(name, func(t *testing.T) {
			facts := well("units", "ngnix.service enabled enabled\npostgresql.service enabled -\npostgresql@.service disabled -\n"+
				"rabbitmq-server.service enabled\nmetrics.service enabled\n")
			r := examine(t, sshtest.Config{Exec: commandsOf(missing, seen(facts))}, func(h *inventory.Host) { h.Units = []string{name} }, 0)
			detail := name
			if want != "" {
				detail += " (did you mean " + want + "?)"
			}
			if f := finding(t, r, "unit_not_found"); f.Detail != detail {
				t.Errorf("%q, want %q", f.Detail, detail)
			}
		})
	}
}

// missing answers the command of a poll like a host that has none of the units.
func missing(_ context.Context, command string, stdout, stderr io.Writer) int {
	return answerUnits(command, stdout, stderr, "Version=252\nSystemState=degraded\nNFailedUnits=2\nNJobs=0\n", func(name string) string {
		return "Id=" + name + "\nNames=" + name + "\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n"
	})
}

func commandsOf(poll func(context.Context, string, io.Writer, io.Writer) int, other func(string, io.Writer, io.Writer) int,
) func(context.Context, string, io.Writer, io.Writer) int {
	return func(ctx context.Context, command string, stdout, stderr io.Writer) int {
		if _, err := systemctl.ParseCommand(command); err == nil {
			return poll(ctx, command, stdout, stderr)
		}
		return commands(other)(ctx, command, stdout, stderr)
	}
}

// answerUnits answers the command of a poll with what record says of each unit.
func answerUnits(command string, stdout, stderr io.Writer, manager string, record func(name string) string) int {
	request, err := systemctl.ParseCommand(command)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 127
	}
	section := func(name, body string) {
		_, _ = io.WriteString(stdout, systemctl.BeginMarker(request.Nonce, name)+body+systemctl.EndMarker(request.Nonce, name, 0))
	}
	section(systemctl.SectionManager, manager)
	section(systemctl.SectionBoot, "8d3f3f3c-7a1f-4a53-9d1e-2f4f5b0c9a11\n")
	for _, group := range request.Groups {
		var records []string
		for _, name := range group.Units {
			records = append(records, record(name))
		}
		section(systemctl.SectionUnits, strings.Join(records, "\n"))
	}
	return 0
}

// Units that tell less than they should, and systemds that know less.
func TestExamineAnswers(t *testing.T) {
	const loaded = "LoadState=loaded\nActiveState=active\nSubState=running\n"
	for name, test := range map[string]struct {
		manager, record string
		want            string
		in              string
	}{
		"masked":          {record: "Id=a.service\nNames=a.service\nLoadState=masked\nActiveState=inactive\nSubState=dead\n", want: "unit_masked", in: "unmask a.service"},
		"broken":          {record: "Id=a.service\nNames=a.service\nLoadState=bad-setting\nActiveState=inactive\nSubState=dead\n", want: "unit_broken", in: "a.service (bad-setting)"},
		"alias":           {record: "Id=b.service\nNames=b.service a.service\n" + loaded, want: "unit_alias", in: "a.service is b.service"},
		"stale":           {record: "Id=a.service\nNames=a.service\nNeedDaemonReload=yes\n" + loaded, want: "need_daemon_reload", in: "daemon-reload"},
		"no memory":       {record: "Id=a.service\nNames=a.service\nMainPID=7\nMemoryCurrent=[not set]\n" + loaded, want: "no_memory_accounting", in: "DefaultMemoryAccounting=yes"},
		"failed":          {record: "Id=a.service\nNames=a.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\n", want: "unit_failed", in: "{selector}"},
		"degraded":        {manager: "Version=252\nSystemState=degraded\nNFailedUnits=1\n", want: "degraded", in: "1 unit failed"},
		"rescue":          {manager: "Version=252\nSystemState=maintenance\n", want: "system_state", in: "maintenance"},
		"systemd 219":     {manager: "Version=219\nSystemState=running\n", want: "old_systemd", in: "systemd 219"},
		"systemd 234":     {manager: "Version=234\nSystemState=running\n", want: "old_systemd", in: "systemd 234"},
		"systemd 241":     {manager: "Version=241\nSystemState=running\n", want: "aged_systemd", in: "systemd 241"},
		"unknown systemd": {manager: "Version=x\nSystemState=running\n", want: "unknown_systemd"},
	} {
		t.Run(name, func(t *testing.T) {
			manager, record := "Version=252\nSystemState=running\n", "Id=a.service\nNames=a.service\n"+loaded
			if test.manager != "" {
				manager = test.manager
			}
			if test.record != "" {
				record = test.record
			}
			poll := func(_ context.Context, command string, stdout, stderr io.Writer) int {
				return answerUnits(command, stdout, stderr, manager, func(string) string { return record })
			}
			r := examine(t, sshtest.Config{Exec: commandsOf(poll, seen(well()))}, func(h *inventory.Host) { h.Units = []string{"a.service"} }, 0)
			f := finding(t, r, test.want)
			if !strings.Contains(f.Detail+"\n"+f.Remedy, test.in) || f.Problem == "" || f.Why == "" {
				t.Errorf("%+v, want %q in it", f, test.in)
			}
		})
	}
}

// A name that is no unit's reaches no shell, also where the poll has failed because of it.
func TestExamineSendsValidUnitsOnly(t *testing.T) {
	const evil = `x' && touch /tmp/evil; echo '.service`
	var mu sync.Mutex
	var sent []string
	answer := commands(seen(well()))
	r := examine(t, sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
		mu.Lock()
		sent = append(sent, command)
		mu.Unlock()
		return answer(ctx, command, stdout, stderr)
	}}, func(h *inventory.Host) { h.Units, h.SSH.Become = []string{evil}, "sudo" }, 0)
	if r.Outcome != hosts.CommandFailed || len(sent) == 0 {
		t.Errorf("outcome %s, %d commands", r.Outcome, len(sent))
	}
	for _, command := range sent {
		if strings.Contains(command, "touch") {
			t.Errorf("sent: %s", command)
		}
	}
}

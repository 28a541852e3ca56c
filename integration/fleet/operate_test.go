package fleet

import (
	"errors"
	"strings"
	"testing"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// operator runs operators' commands on the hosts of a fleet.
type operator struct {
	fleet *Fleet
	pool  *hosts.Pool
	hosts map[string]inventory.Host
}

func newOperator(t *testing.T) operator {
	t.Helper()
	f, inv := startFleet(t, Config{Seed: 1, Steady: true})
	o := operator{f, newPool(t), make(map[string]inventory.Host)}
	for _, h := range inv.Hosts {
		if err := o.pool.Connect(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		o.hosts[h.Name] = h
	}
	return o
}

// do runs a command such as "restart nginx.service", and returns the unit then.
func (o operator) do(t *testing.T, host, command string, sudo bool) (UnitState, error) {
	t.Helper()
	verb, unit, _ := strings.Cut(command, " ")
	err := o.pool.Operate(t.Context(), o.hosts[host], systemctl.Operation{Verb: systemctl.Verb(verb), Unit: unit, Sudo: sudo})
	for _, s := range o.fleet.States() {
		for _, u := range s.Units {
			if s.Name == host && u.Name == unit {
				return u, err
			}
		}
	}
	return UnitState{}, err
}

func TestOperators(t *testing.T) {
	o := newOperator(t)
	for _, step := range []struct {
		host, command string
		fails         string // or else
		state, file   string
	}{
		{"web-02", "restart nginx.service", "", "active/running", "enabled"},
		{"web-02", "reload nginx.service", "", "active/running", "enabled"},
		{"web-02", "stop nginx.service", "", "inactive/dead", "enabled"},
		{"web-02", "stop nginx.service", "", "inactive/dead", "enabled"},
		{"web-02", "reload nginx.service", "nginx.service is not active, cannot reload.", "inactive/dead", "enabled"},
		{"web-02", "start nginx.service", "", "active/running", "enabled"},
		{"web-02", "disable nginx.service", "", "active/running", "disabled"},
		{"web-01", "start nginx.service", "", "active/running", "enabled"}, // Another host's.
		{"web-02", "enable nginx.service", "", "active/running", "enabled"},
		{"web-02", "enable certbot.service", "", "inactive/dead", "static"},
		{"web-02", "start certbot.service", "", "inactive/dead", "static"},
		{"web-02", "restart api.socket", "", "active/listening", "enabled"},
		{"web-02", "reload api.service", "Job type reload is not applicable", "active/running", "static"},
		{"web-01", "reset-failed certbot.service", "", "inactive/dead", "static"},
		{"web-01", "start certbot.service", "Job for certbot.service failed", "failed/failed", "static"},
		{"db-01", "start exim4.service", "Unit exim4.service is masked.", "inactive/dead", "masked"},
		{"db-01", "stop backup.timer", "", "inactive/dead", "enabled"},
		{"db-01", "start backup.timer", "", "active/waiting", "enabled"},
	} {
		u, err := o.do(t, step.host, step.command, false)
		if step.fails == "" && err != nil || step.fails != "" && (err == nil || !strings.Contains(err.Error(), step.fails)) {
			t.Errorf("%s: %s: %v, want %q", step.host, step.command, err, step.fails)
		}
		if state := u.ActiveState + "/" + u.SubState; state != step.state || u.UnitFileState != step.file {
			t.Errorf("%s: after %s it is %s, %s; want %s, %s", step.host, step.command, state, u.UnitFileState, step.state, step.file)
		}
	}
	for command, want := range map[string]systemctl.Cause{
		"start ghost.service": systemctl.CauseNotFound, "reload ghost.service": systemctl.CauseNotFound,
		"enable ghost.service": systemctl.CauseNotFound, "disable ghost.service": systemctl.CauseNotFound,
	} {
		verb, unit, _ := strings.Cut(command, " ")
		err := o.pool.Operate(t.Context(), o.hosts["web-01"], systemctl.Operation{Verb: systemctl.Verb(verb), Unit: unit})
		if got := causeOf(err); got != want {
			t.Errorf("%s: %v, cause %d", command, err, got)
		}
	}
}

// A restart is a new invocation, a reload is not.
func TestOperatorsInvocations(t *testing.T) {
	o := newOperator(t)
	first, _ := o.do(t, "web-01", "reload nginx.service", false)
	second, _ := o.do(t, "web-01", "reload nginx.service", false)
	third, _ := o.do(t, "web-01", "restart nginx.service", false)
	if first.InvocationID == "" || first.InvocationID != second.InvocationID || second.InvocationID == third.InvocationID {
		t.Errorf("invocations %s, reloaded %s, restarted %s", first.InvocationID, second.InvocationID, third.InvocationID)
	}
}

// Not every account may change units, and the fleet shows how that looks.
func TestOperatorsRights(t *testing.T) {
	o := newOperator(t)
	for _, test := range []struct {
		host, command string
		sudo          bool
		want          systemctl.Cause
	}{
		{"cache-01", "restart memcached.service", false, systemctl.CauseNotPermitted},
		{"cache-01", "enable memcached.service", false, systemctl.CauseNotPermitted},
		{"cache-01", "reset-failed memcached.service", false, systemctl.CauseNotPermitted},
		{"worker-01", "restart worker@1.service", true, systemctl.CauseNoSudo},
		{"web-01", "restart nginx.service", true, systemctl.CauseNoSudo},
	} {
		if _, err := o.do(t, test.host, test.command, test.sudo); hosts.OutcomeOf(err) != hosts.Denied || causeOf(err) != test.want {
			t.Errorf("%s: %s: %v", test.host, test.command, err)
		}
	}
	if _, err := o.do(t, "cache-01", "restart memcached.service", o.hosts["cache-01"].SSH.Become == "sudo"); err != nil {
		t.Errorf("as the inventory says: %v", err)
	}
}

func causeOf(err error) systemctl.Cause {
	if failed, ok := errors.AsType[*systemctl.OperationError](err); ok {
		return failed.Cause
	}
	return -1
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"service_manager/hosts"
	"service_manager/integration/farm"
	"service_manager/inventory"
)

// nothing is a folder on a host in whose name systemctl is a program that does nothing.
const nothing = "/run/nothing"

// hostcost measures what a poll costs the host: on each Debian, for Sizes.Watched units, by the program over its standing connection, and by
// what people do.
func (r Run) hostcost(ctx context.Context) (t Table, err error) {
	f, err := farm.Start(ctx, farm.Config{Stack: r.Stack, Project: r.Project, Debian: []string{"11", "12", "13"}})
	if err != nil {
		return Table{}, err
	}
	defer func() { err = errors.Join(err, f.Stop(ctx)) }()
	list, err := inventoryOf(f, nil)
	if err != nil {
		return Table{}, err
	}
	t.Title = "CPU time of a host for one poll, with all that it starts; " + lastLine(ctx, "docker", "version", "--format", "Docker {{.Server.Version}}")
	for i, h := range f.Hosts {
		rows, err := r.hostRows(ctx, f, h, list[i])
		if err != nil {
			return Table{}, fmt.Errorf("a host of Debian %s: %w", h.Debian, err)
		}
		t.Rows = append(t.Rows, rows...)
	}
	return t, nil
}

// hostRows makes the rows of one host.
func (r Run) hostRows(ctx context.Context, f *farm.Farm, h *farm.Host, in inventory.Host) (rows []Row, err error) {
	most := slices.Max(r.Watched)
	if _, err := h.Root(ctx, fmt.Sprintf("mkdir %s && ln -s /bin/true %[1]s/systemctl && seq --format='worker@%%g.service' 2 %d | xargs systemctl start",
		nothing, max(most, 2))); err != nil {
		return nil, err
	}
	v, err := newVisit(ctx, f, h, in)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.end(ctx)) }()
	for _, n := range r.Watched {
		v.setUnits(n)
		// As in acquaint.
		if err := v.ask(ctx, v.in.Units); err != nil {
			return nil, err
		}
		of, err := r.costRows(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("%d units: %w", n, err)
		}
		rows = append(rows, of...)
	}
	return rows, nil
}

// A visit is a host that is polled, with two connections that stand: the program's, and one of OpenSSH's client.
type visit struct {
	farm  *farm.Farm
	host  *farm.Host
	in    inventory.Host
	pool  *hosts.Pool
	other *hosts.Pool // with the other mode
	group *farm.Group // of OpenSSH's client
	ssh   []string    // its options

	ours, theirs *farm.Session
	systemd      string // the version
}

func newVisit(ctx context.Context, f *farm.Farm, h *farm.Host, in inventory.Host) (*visit, error) {
	v := &visit{farm: f, host: h, in: in, pool: hosts.New(hosts.Config{}), other: hosts.New(hosts.Config{})}
	if err := v.connect(ctx); err != nil {
		return nil, errors.Join(err, v.end(ctx))
	}
	return v, nil
}

func (v *visit) connect(ctx context.Context) error {
	dir, err := v.farm.Dir("ssh-" + v.host.Debian)
	if err != nil {
		return err
	}
	config, err := writeSSHConfig(v.farm, dir)
	if err != nil {
		return err
	}
	v.ssh = []string{"-F", config}
	if v.group, err = farm.NewGroup("ssh"); err != nil {
		return err
	}
	if v.ours, err = v.session(func() error { return v.connectPool(ctx) }); err != nil {
		return err
	}
	if v.theirs, err = v.session(func() error { _, err := v.run(ctx, "true"); return err }); err != nil {
		return err
	}
	return v.other.Connect(ctx, v.in)
}

func (v *visit) connectPool(ctx context.Context) error {
	if err := v.pool.Connect(ctx, v.in); err != nil {
		return err
	}
	s, err := v.pool.Poll(ctx, v.in)
	v.systemd = s.Manager.Version
	return err
}

// session connects, and has a command run, before which not all of sshd's processes need be there.
func (v *visit) session(connect func() error) (*farm.Session, error) {
	before, err := v.host.Processes()
	if err != nil {
		return nil, err
	}
	if err := connect(); err != nil {
		return nil, err
	}
	return v.host.NewSession(before)
}

func (v *visit) end(ctx context.Context) error {
	v.pool.Close()
	v.other.Close()
	if v.group == nil {
		return nil
	}
	return v.group.End(ctx)
}

// setUnits watches n units: those of a sweep, and copies of one of them.
func (v *visit) setUnits(n int) {
	v.in.Units = watchedUnits()
	for i := 2; len(v.in.Units) < n; i++ {
		v.in.Units = append(v.in.Units, fmt.Sprintf("worker@%d.service", i))
	}
	v.in.Units = v.in.Units[:n]
}

// run runs a command by OpenSSH's client, and returns what that printed.
func (v *visit) run(ctx context.Context, command string, options ...string) ([]byte, error) {
	args := slices.Concat(v.ssh, options, []string{v.host.Address, command})
	cmd := v.group.Command(ctx, "ssh", args...)
	out, err := cmd.Output()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("ssh: %w: %s", err, ended.Stderr)
	}
	return out, err
}

// poll is a poll by the program.
func (v *visit) poll(ctx context.Context) error { return v.pollBy(ctx, v.pool, inventory.ModeExec) }

// stream is one by the shell that stays on the host.
func (v *visit) stream(ctx context.Context) error {
	return v.pollBy(ctx, v.other, inventory.ModeStream)
}

func (v *visit) pollBy(ctx context.Context, pool *hosts.Pool, mode string) error {
	in := v.in
	in.SSH.Mode = mode
	s, err := pool.Poll(ctx, in)
	if err == nil && len(s.Units) != len(v.in.Units) {
		err = fmt.Errorf("%d units, want %d", len(s.Units), len(v.in.Units))
	}
	return err
}

// shell is a poll by OpenSSH's client in which systemctl does nothing: what is left of the commands is the shell, and starting programs.
func (v *visit) shell(ctx context.Context) error {
	command, err := newQuestion(v.in.Units).commandLine()
	if err == nil {
		_, err = v.run(ctx, "PATH="+nothing+":$PATH; "+command)
	}
	return err
}

// ask asks for some units by systemctl alone.
func (v *visit) ask(ctx context.Context, units []string, options ...string) error {
	q := newQuestion(units)
	command, err := q.bare()
	if err != nil {
		return err
	}
	answer, err := v.run(ctx, command, options...)
	if err != nil {
		return err
	}
	return q.checkBare(answer)
}

// askEach asks for each unit by a command of its own.
func (v *visit) askEach(ctx context.Context) error {
	for _, unit := range v.in.Units {
		if err := v.ask(ctx, []string{unit}); err != nil {
			return fmt.Errorf("%s: %w", unit, err)
		}
	}
	return nil
}

// A cost is what one poll has cost, in milliseconds.
type cost struct{ all, pid1, dbus, session, sshd float64 }

// costs is how long everything has worked so far. A session is that of the connection which is looked at.
func (v *visit) costs(s *farm.Session) (c cost, err error) {
	for _, part := range []struct {
		to   *float64
		read func() (time.Duration, error)
	}{
		{&c.all, func() (time.Duration, error) { return v.host.CPU("") }},
		{&c.pid1, func() (time.Duration, error) { return v.host.CPU("init.scope") }},
		{&c.dbus, func() (time.Duration, error) { return v.host.CPU("system.slice/dbus.service") }},
		{&c.session, s.CPU},
		{&c.sshd, s.SSHD},
	} {
		used, err := part.read()
		if err != nil {
			return cost{}, err
		}
		*part.to = float64(used.Microseconds()) / 1000
	}
	return c, nil
}

// measure polls again and again for a time, and returns what one poll has cost, with what the host does after it.
func (v *visit) measure(ctx context.Context, d time.Duration, s *farm.Session, poll func(context.Context) error) (cost, error) {
	if err := v.farm.Quiet(ctx); err != nil {
		return cost{}, err
	}
	before, err := v.costs(s)
	if err != nil {
		return cost{}, err
	}
	runtime.GC()
	n, err := spread(ctx, 1, d, func(_, _ int) error { return poll(ctx) })
	if err != nil {
		return cost{}, err
	}
	if err := v.farm.Quiet(ctx); err != nil {
		return cost{}, err
	}
	after, err := v.costs(s)
	each := 1 / float64(n)
	return cost{
		(after.all - before.all) * each, (after.pid1 - before.pid1) * each, (after.dbus - before.dbus) * each,
		(after.session - before.session) * each, (after.sshd - before.sshd) * each,
	}, err
}

// costRows makes the rows of one number of units.
func (r Run) costRows(ctx context.Context, v *visit) ([]Row, error) {
	name := fmt.Sprintf("systemd %s, %d units", v.systemd, len(v.in.Units))
	row := func(unit, floor string) Row { return Row{Case: name, Unit: unit, Floor: floor} }
	const total, anew = "ms/poll", "a new connection"
	ways := []struct {
		name string
		ask  func(context.Context) error
	}{
		{streams, v.stream},
		{"ssh, ControlPersist", func(ctx context.Context) error { return v.ask(ctx, v.in.Units) }},
		{"the same for each unit", v.askEach},
		{anew, func(ctx context.Context) error {
			return v.ask(ctx, v.in.Units, "-o", "ControlMaster=no", "-o", "ControlPath=none")
		}},
	}
	totals := make([]Row, len(ways))
	for i, way := range ways {
		totals[i] = row(total, way.name)
	}
	sshd, shell, systemctl := row("of it sshd", ""), row("of it shell", ""), row("of it systemctl", "")
	pid1, dbus := row("of it PID 1", anew), row("of it dbus-daemon", anew)
	for range r.Rounds {
		ours, err := v.measure(ctx, r.For, v.ours, v.poll)
		if err != nil {
			return nil, err
		}
		idle, err := v.measure(ctx, r.For, v.theirs, v.shell)
		if err != nil {
			return nil, fmt.Errorf("shell alone: %w", err)
		}
		shellAlone := idle.session - idle.sshd
		sshd, shell, systemctl = sshd.alone(ours.sshd), shell.alone(shellAlone), systemctl.alone(ours.session-ours.sshd-shellAlone)
		for i, way := range ways {
			its, err := v.measure(ctx, r.For, v.theirs, way.ask)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			totals[i] = totals[i].with(ours.all, its.all)
			if way.name == anew {
				pid1, dbus = pid1.with(ours.pid1, its.pid1), dbus.with(ours.dbus, its.dbus)
			}
		}
	}
	return append(totals, sshd, shell, systemctl, pid1, dbus), nil
}

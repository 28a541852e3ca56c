package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"service_manager/hosts/systemctl"
)

// results are what became of the hosts. They are told as they come, but for the format json.
type results struct {
	out    io.Writer
	format string
	quiet  bool // the table was shown otherwise

	all   []operated
	width int // of the longest host name
	wrong error
}

// begin makes ready for the results of a plan.
func (r *results) begin(p plan) {
	r.width = len("HOST")
	for _, batch := range p.batches {
		for _, t := range batch {
			r.width = max(r.width, len(t.host.Name))
		}
	}
	for _, o := range p.leftOut {
		r.width = max(r.width, len(o.Host))
	}
}

// add takes in a result, of that batch or, with 0, of none.
func (r *results) add(o operated, batch int) {
	if batch > 0 {
		o.Batch = &batch
	}
	r.all = append(r.all, o)
	switch {
	case r.format == "jsonl":
		r.failed(printJSON(r.out, r.format, []operated{o}))
	case r.format == "table" && !r.quiet:
		if len(r.all) == 1 {
			r.row("HOST", "RESULT", "STATE", "TOOK", "NOTE")
		}
		r.row(o.cells()...)
	}
}

func (r *results) row(cells ...string) {
	line := fmt.Sprintf("%-*s  %-8s  %-16s  %-6s  %s", r.width, cells[0], cells[1], cells[2], cells[3], cells[4])
	_, err := fmt.Fprintln(r.out, strings.TrimRight(line, " "))
	r.failed(err)
}

// failed keeps the first failure of a write.
func (r *results) failed(err error) {
	if r.wrong == nil {
		r.wrong = err
	}
}

func (o *operated) cells() []string {
	state, took := "-", "-"
	if u := o.After; u != nil {
		state = stateOf(systemctl.Verb(o.Verb), systemctl.Unit{
			LoadState: u.LoadState, ActiveState: u.ActiveState, SubState: u.SubState, UnitFileState: u.UnitFileState,
		})
	}
	if o.TookMS != nil {
		took = fmt.Sprintf("%.1fs", *o.TookMS/1000)
	}
	return []string{o.Host, strings.ReplaceAll(o.Result, "_", " "), state, took, o.note()}
}

// end tells the rest, and returns the first failure of a write.
func (r *results) end() error {
	if r.format == "json" {
		r.failed(printJSON(r.out, r.format, r.all))
	}
	return r.wrong
}

// exit is the highest exit code that a host asks for.
func (r *results) exit() int {
	code := 0
	for _, o := range r.all {
		code = max(code, o.exit())
	}
	return code
}

// undone are the hosts that were not told to.
func (r *results) undone() []string {
	var names []string
	for _, o := range r.all {
		if o.Result == resultNotDone {
			names = append(names, o.Host)
		}
	}
	return names
}

// tellRights tells which rules are missing on hosts whose account may not do what it was to.
func (r *results) tellRights(out io.Writer, p plan) {
	type account struct {
		user string
		sudo bool
		name string // of the unit, which polkit is told in place of an alias
	}
	var (
		accounts []account
		names    = make(map[account][]string)
	)
	for _, batch := range p.batches {
		for _, t := range batch {
			if i := slices.IndexFunc(r.all, func(o operated) bool { return o.Host == t.host.Name }); i < 0 || !lacksRights(r.all[i].err) {
				continue
			}
			a := account{t.host.SSH.User, t.operation.Sudo, t.before.Name}
			if names[a] == nil {
				accounts = append(accounts, a)
			}
			names[a] = append(names[a], t.host.Name)
		}
	}
	for _, a := range accounts {
		o := systemctl.Operation{Verb: p.verb, Unit: p.unit, Sudo: a.sudo}
		fmt.Fprintf(out, "\n%s may not %s %s on %s. To allow that and nothing else, on each of them\n", a.user, p.verb, p.unit, strings.Join(names[a], ", "))
		fmt.Fprint(out, rulesFor(o, a.user, a.name))
	}
}

// rulesFor tells what allows an operation on the unit of that name to a user.
func rulesFor(o systemctl.Operation, user, name string) string {
	inInventory := `, and become = "sudo" in the ssh table of the inventory`
	if o.Sudo {
		inInventory = ""
	}
	text := "by sudo" + inInventory + ": visudo -f /etc/sudoers.d/service_manager\n\n" + o.SudoersRule(user) + "\n\n"
	o.Unit = name
	if rule := o.PolkitRule(user); rule != "" {
		without := "without become"
		if !o.Sudo {
			without = "as it is"
		}
		text += "or by polkit from version 0.106 on, " + without + ": /etc/polkit-1/rules.d/50-service_manager.rules\n\n" + rule + "\n"
	}
	return text
}

// lacksRights reports whether rules are missing.
func lacksRights(err error) bool {
	refused, ok := errors.AsType[*systemctl.OperationError](err)
	return ok && (refused.Cause == systemctl.CauseNotPermitted || refused.Cause == systemctl.CauseNoSudo)
}

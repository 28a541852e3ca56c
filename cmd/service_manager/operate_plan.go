package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// defaultBatch is careful: a mistake shows on the first few hosts, and a small fleet goes one by one.
const defaultBatch = "10%"

// batchSize reads --batch, "2" or "10%", for so many hosts. A share is rounded down, but at least one host.
func batchSize(text string, total int) (int, error) {
	number, isShare := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || n < 1 || isShare && n > 100:
		return 0, fmt.Errorf("--batch %q: write how many hosts at a time, such as 2, or a share of them, such as 10%%", text)
	case isShare:
		n = total * n / 100
	}
	return max(n, 1), nil
}

// A target is a host that something is to be done on.
type target struct {
	host      inventory.Host // that watches the unit only
	operation systemctl.Operation
	before    systemctl.Unit
}

// newTarget makes the target of a host.
func newTarget(h inventory.Host, verb systemctl.Verb, unit string) target {
	h.Units, h.Globs = []string{unit}, nil
	return target{host: h, operation: systemctl.Operation{Verb: verb, Unit: unit, Sudo: h.SSH.Become == "sudo"}}
}

// A plan is what is to be done where.
type plan struct {
	verb    systemctl.Verb
	unit    string
	batches [][]target
	leftOut []operated // hosts on which it cannot be done, so that nothing is
}

// hosts is on how many hosts something is to be done.
func (p plan) hosts() int {
	n := 0
	for _, batch := range p.batches {
		n += len(batch)
	}
	return n
}

// question asks whether to do it.
func (p plan) question() string {
	verb := string(p.verb)
	question := fmt.Sprintf("%s %s on %s", strings.ToUpper(verb[:1])+verb[1:], p.unit, count(p.hosts(), "host"))
	if len(p.batches) > 1 {
		question += fmt.Sprintf(", in %d batches", len(p.batches))
	}
	return question + "?"
}

// print says exactly what will run where.
func (p plan) print(out io.Writer) {
	type how struct{ command, user string }
	var (
		ways  []how
		names = make(map[how][]string)
	)
	for _, batch := range p.batches {
		for _, t := range batch {
			w := how{t.operation.String(), t.host.SSH.User}
			if names[w] == nil {
				ways = append(ways, w)
			}
			names[w] = append(names[w], t.host.Name)
		}
	}
	for _, w := range ways {
		on := ""
		if len(ways) > 1 {
			on = " on " + strings.Join(foldNames(names[w]), ", ")
		}
		fmt.Fprintf(out, "to run as %s%s:\n  %s\n", w.user, on, w.command)
	}
	for i, batch := range p.batches {
		fmt.Fprintf(out, "batch %d of %d: %s\n", i+1, len(p.batches), p.describe(batch))
	}
	for _, o := range p.leftOut {
		fmt.Fprintf(out, "left out: %s: %s\n", o.Host, o.note())
	}
}

// describe names the hosts of a batch and how the unit is there, of many those together where it is the same.
func (p plan) describe(batch []target) string {
	const many = 10
	var (
		hosts, states []string
		names         = make(map[string][]string)
	)
	for _, t := range batch {
		state := stateOf(p.verb, t.before)
		hosts = append(hosts, fmt.Sprintf("%s (now %s)", t.host.Name, state))
		if names[state] == nil {
			states = append(states, state)
		}
		names[state] = append(names[state], t.host.Name)
	}
	if len(batch) < many {
		return strings.Join(hosts, ", ")
	}
	for i, state := range states {
		states[i] = fmt.Sprintf("%s (now %s)", strings.Join(foldNames(names[state]), ", "), state)
	}
	return strings.Join(states, "; ")
}

// stateOf is what matters to the verb of a unit's state.
func stateOf(verb systemctl.Verb, u systemctl.Unit) string {
	switch {
	case u.LoadState != "loaded":
		return printable(u.LoadState)
	case verb == systemctl.Enable || verb == systemctl.Disable:
		return printable(u.UnitFileState)
	}
	return printable(u.ActiveState + "/" + u.SubState)
}

// inBatches divides the targets.
func inBatches(targets []target, size int) [][]target {
	return slices.Collect(slices.Chunk(targets, size))
}

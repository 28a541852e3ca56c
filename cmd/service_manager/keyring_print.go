package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"text/tabwriter"

	"service_manager/hosts"
	"service_manager/hosts/knownhosts"
)

// printKeys prints a line for each host that was asked and is not printed yet; at the end also for those that could not be, unless
// that is because of an interruption.
func (a *app) printKeys(out io.Writer, keys *keyRing) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rows := 0
	for _, c := range keys.candidates {
		if c.printed || !c.asked && (keys.interrupted || keys.waitsFor(c)) {
			continue
		}
		c.printed = true
		if rows == 0 {
			fmt.Fprintln(w, "HOST\tADDRESS\tTYPE\tFINGERPRINT\tSTANDING\tNOTE")
		}
		rows++
		address := net.JoinHostPort(c.host.Address, strconv.Itoa(c.host.SSH.Port))
		if err := keys.why(c); err != nil {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t%s\t%s\n", c.host.Name, address, c.outcome(), printable(err.Error()))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.host.Name, address, c.offer.Key.Type(), c.offer.Fingerprint(),
			c.offer.Verdict.Standing, printable(c.note()))
	}
	return w.Flush()
}

// waitsFor reports whether a host can still be asked: when the key of a jump host before it has been written.
func (k *keyRing) waitsFor(c *candidate) bool {
	for jump := c.host.Via; jump != nil; jump = jump.Via {
		before := k.byName[jump.Name]
		if add, replace := k.treatable(before); add || replace {
			return true
		}
	}
	return false
}

func (c *candidate) outcome() hosts.Outcome {
	if !c.asked {
		return hosts.Unreachable
	}
	return hosts.OutcomeOf(c.err)
}

// note says where it stands what is known of the key, and what was done.
func (c *candidate) note() string {
	v := c.offer.Verdict
	note := c.done
	add := func(format string, args ...any) {
		if note != "" {
			note += ", "
		}
		note += fmt.Sprintf(format, args...)
	}
	switch v.Standing {
	case knownhosts.Known:
		add("at %s", v.Lines[0])
	case knownhosts.Signed:
		add("by the authority at %s", v.Lines[0])
	case knownhosts.Revoked:
		add("at %s", v.Lines[0])
	case knownhosts.Changed:
		add("was %s %s at %s", v.Lines[0].Type, v.Lines[0].Fingerprint(), v.Lines[0])
	case knownhosts.Unknown:
		if len(v.Lines) > 0 && v.Certificate == nil {
			add("showed no certificate of the authority at %s", v.Lines[0])
		}
	}
	if v.Certificate != nil {
		add("%v", v.Certificate)
	}
	if c.host.SSH.HostKeyAlias != "" {
		add("as %s", c.offer.Name)
	}
	return note
}

// tellChanged says of each changed or revoked key that was not treated what to make of it.
func (a *app) tellChanged(keys *keyRing) {
	for _, c := range keys.candidates {
		if c.err != nil || c.done != "" {
			continue
		}
		v := c.offer.Verdict
		switch v.Standing {
		case knownhosts.Revoked:
			fmt.Fprintf(a.stderr, "\nWARNING: %s SHOWED A REVOKED KEY\n  %s revokes it or its authority; find out why before anything else\n",
				c.host.Name, v.Lines[0])
		case knownhosts.Changed:
			fmt.Fprintf(a.stderr, "\nWARNING: THE HOST KEY OF %s HAS CHANGED\n  known  %s %s (%s)\n  shown  %s %s\n"+
				"  Either the host was installed anew, or someone stands between. %s\n", c.host.Name, v.Lines[0].Type, v.Lines[0].Fingerprint(),
				v.Lines[0], c.offer.Key.Type(), c.offer.Fingerprint(), a.remedy(c))
		default:
		}
	}
}

func (a *app) remedy(c *candidate) string {
	if line := c.pattern(); line != nil {
		return fmt.Sprintf("%s has the old key for several hosts: if the new fingerprint\n  is the host's own, change that line by hand", line)
	}
	return "If the new fingerprint is the\n  host's own: service_manager trust --replace " + a.selectorOf(nil)([]string{c.host.Name})
}

// maxProblems is how many bad lines are told one by one.
const maxProblems = 10

// tellProblems tells the lines of known_hosts files that could not be read: a missing key may stand there.
func (a *app) tellProblems(keys *keyRing) {
	told := make(map[knownhosts.Problem]bool)
	for _, c := range keys.candidates {
		for _, problem := range c.offer.Problems {
			if told[problem] {
				continue
			}
			told[problem] = true
			if len(told) <= maxProblems {
				fmt.Fprintf(a.stderr, "%s; the line is left out\n", printable(problem.String()))
			}
		}
	}
	if more := len(told) - maxProblems; more > 0 {
		fmt.Fprintf(a.stderr, "%s more could not be read\n", count(more, "line"))
	}
}

// A keyResult is a host's key as trust prints it for programs.
type keyResult struct {
	Host        string      `json:"host"`
	Address     string      `json:"address"`
	Port        int         `json:"port"`
	Name        string      `json:"name"` // in known_hosts
	Outcome     string      `json:"outcome"`
	Error       *string     `json:"error"`
	Type        *string     `json:"type"`
	Fingerprint *string     `json:"fingerprint"`
	Standing    *string     `json:"standing"`
	Lines       []keyOnFile `json:"lines"` // on which the standing rests
	Done        *string     `json:"done"`
	Trusted     bool        `json:"trusted"`
}

type keyOnFile struct {
	File        string `json:"file"`
	Line        int    `json:"line"`
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
}

func (k *keyRing) results() []keyResult {
	results := make([]keyResult, 0, len(k.candidates))
	for _, c := range k.candidates {
		if !c.asked && k.interrupted {
			continue
		}
		r := keyResult{
			Host: c.host.Name, Address: c.host.Address, Port: c.host.SSH.Port, Name: hosts.KnownHostsName(c.host).String(),
			Outcome: string(hosts.OK), Lines: []keyOnFile{}, Trusted: c.trusted(),
		}
		if err := k.why(c); err != nil {
			r.Outcome, r.Error = string(c.outcome()), new(err.Error())
			results = append(results, r)
			continue
		}
		r.Type, r.Fingerprint, r.Standing = new(c.offer.Key.Type()), new(c.offer.Fingerprint()), new(string(c.offer.Verdict.Standing))
		if c.done != "" {
			r.Done = &c.done
		}
		for _, line := range c.offer.Verdict.Lines {
			r.Lines = append(r.Lines, keyOnFile{File: line.File, Line: line.Number, Type: line.Type, Fingerprint: line.Fingerprint()})
		}
		results = append(results, r)
	}
	return results
}

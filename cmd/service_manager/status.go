package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"service_manager/publish"
)

// statusFlags are the flags of status.
type statusFlags struct {
	units      []string
	onlyFailed bool
	format     string
	watch      string // interval; empty: one look
}

func (a *app) statusCommand() *cobra.Command {
	var flags statusFlags
	cmd := &cobra.Command{
		Use:        "status [flags] [SELECTOR…]",
		Short:      "Read every host once and show its units",
		SuggestFor: []string{"list", "list-units", "ls", "ps", "show", "top", "watch", "is-active", "is-failed"},
		Long: `Status reads the selected hosts now and shows their units, trouble first: hosts that cannot be
read, then units that are failed or missing (both marked !), then those that systemd starts again
and again (~). Of many units, those that are well are summed up, a line for each name and state;
-o wide shows each, and more of it. It needs no broker and publishes nothing.

` + aboutSelectors + `

-u limits it to units: a name, without a type that of a service, or a glob for the whole name. Only
these count for the exit code then. One that matches nothing is an error, with exit code 3 if all
hosts could be read.

--watch redraws the table until q or Ctrl-C, over connections that stay: what has changed just now is
marked *, and is shown also where it is well. The exit code is that of what was known last.`,
		Example: `  service_manager status -i inventory.toml
  service_manager status --failed @web
  service_manager status -u nginx -u 'worker@*' -o wide
  service_manager status --watch=2s @web
  service_manager status -o json 'db-*' | jq '.[].units[].name'`,
		ValidArgsFunction: a.completeSelectors,
		RunE: func(cmd *cobra.Command, selectors []string) error {
			return a.status(cmd.Context(), selectors, flags)
		},
	}
	cmd.Flags().StringArrayVarP(&flags.units, "unit", "u", nil, "only the units of this name or `GLOB`; may be repeated")
	cmd.Flags().BoolVar(&flags.onlyFailed, "failed", false, "show only what is in trouble")
	cmd.Flags().StringVarP(&flags.format, "output", "o", "table", "table, wide, json or jsonl (the messages that run would publish)")
	cmd.Flags().StringVar(&flags.watch, "watch", "", "redraw every `INTERVAL`, such as 5s; auto: each host at its interval in the inventory")
	cmd.Flags().Lookup("watch").NoOptDefVal = watchAuto
	offer(cmd, "unit", a.completeUnits)
	offerWords(cmd, "output", "table", "wide", "json", "jsonl")
	offerWords(cmd, "watch", watchAuto, "2s", "5s", "10s", "1m")
	return cmd
}

func (a *app) status(ctx context.Context, selectors []string, flags statusFlags) error {
	if err := checkFormat(flags.format, "wide"); err != nil {
		return err
	}
	if flags.watch != "" {
		if err := a.canWatch(flags.format); err != nil {
			return err
		}
	}
	units, err := newUnitChoice(flags.units)
	if err != nil {
		return err
	}
	inv, selected, err := a.loadHosts(selectors)
	if err != nil {
		return err
	}
	a.tellNotices(inv)
	if flags.watch != "" {
		return a.watchStatus(ctx, inv, selected, units, flags)
	}
	var seen tally
	bar := newProgress(a.stderr, hostNames(selected))
	observe := func(s publish.Status) {
		seen.observe(s)
		bar.step(s.Host.Name, exitCode(s) != 0)
	}
	p := pipeline{inventory: inv, hosts: selected, observe: observe, trust: a.howToTrust(), log: a.logger(slog.LevelError)}
	swept := p.sweep(ctx)
	bar.end()
	if swept != nil && ctx.Err() == nil {
		return swept
	}
	statuses := units.of(seen.statuses())
	if err := a.printStatuses(statuses, units, flags, len(selected)); err != nil {
		return failed(exitOwn, err)
	}
	if swept != nil { // Interrupted. What was read by then has been shown.
		return swept
	}
	return units.exit(statuses)
}

// printStatuses prints what is chosen of the statuses and, under a table, how the hosts are.
func (a *app) printStatuses(statuses []publish.Status, units *unitChoice, flags statusFlags, selected int) error {
	shown := units.shown(statuses)
	if flags.onlyFailed {
		shown = troubled(shown)
	}
	if flags.format == "json" || flags.format == "jsonl" {
		return printJSON(a.stdout, flags.format, shown)
	}
	t := table{hosts: selected, wide: flags.format == "wide", coloured: colours(a.stdout)}
	if isTerminal(a.stdout) {
		t.width = terminalWidth(a.stdout)
	}
	rows, summed := t.rows(shown, time.Now())
	lines, leftOut := t.lines(rows)
	if len(lines) > 0 {
		if _, err := io.WriteString(a.stdout, strings.Join(lines, "\n")+"\n"); err != nil {
			return err
		}
	}
	total := fleetOf(statuses).String()
	if summed {
		total += "; -o wide shows each unit"
	}
	if len(leftOut) > 0 {
		total += fmt.Sprintf("; no room in %d columns for %s", t.width, strings.Join(leftOut, ", "))
	}
	fmt.Fprintln(a.stderr, total)
	return nil
}

// exit is the error with the highest exit code that the chosen statuses ask for, or a pattern that matched none of their units.
func (c *unitChoice) exit(statuses []publish.Status) error {
	worst := exitOfStatuses(statuses)
	if missed := c.missed(); missed != nil {
		if !c.unread {
			return failed(exitUsage, missed)
		}
		return failed(exitOf(worst), missed)
	}
	return worst
}

// troubled keeps the hosts and units that a person should look at.
func troubled(statuses []publish.Status) []publish.Status {
	var kept []publish.Status
	for _, s := range statuses {
		s.Units = slices.DeleteFunc(slices.Clone(s.Units), func(u publish.Unit) bool { return !inTrouble(u) })
		if exitCode(s) != 0 {
			kept = append(kept, s)
		}
	}
	return kept
}

func systemState(s publish.Status) string {
	if s.System == nil {
		return "-"
	}
	return cmp.Or(printable(deref(s.System.State)), "-")
}

func unitState(u publish.Unit) string {
	if u.LoadState != "loaded" {
		return unitWord(u)
	}
	return printable(u.ActiveState + "/" + u.SubState)
}

// note says why a unit is in its state, as far as systemd knows.
func note(u publish.Unit) string {
	var words []string
	if u.Result != nil && *u.Result != "success" {
		words = append(words, *u.Result)
	}
	if u.ActiveState != "active" && u.ExitCode != nil && u.ExitStatus != nil && (*u.ExitCode != "exited" || *u.ExitStatus != 0) {
		words = append(words, fmt.Sprintf("%s %d", *u.ExitCode, *u.ExitStatus))
	}
	if u.StatusText != nil {
		words = append(words, *u.StatusText)
	}
	if u.RequestedAs != nil {
		words = append(words, "asked for as "+*u.RequestedAs)
	}
	return printable(strings.Join(words, ", "))
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"service_manager/hosts"
	"service_manager/publish"
)

func (a *app) statusCommand() *cobra.Command {
	var onlyFailed bool
	var format string
	cmd := &cobra.Command{
		Use:   "status [flags] [SELECTOR…]",
		Short: "Read every host once and show its units",
		Long: `Status reads the selected hosts now and shows their units, trouble first: hosts that cannot be
read, then units that are failed or missing. It needs no broker and publishes nothing.

` + aboutSelectors,
		Example: `  service_manager status -i inventory.toml
  service_manager status --failed @web
  service_manager status -o json 'db-*' | jq '.[].units[].name'`,
		RunE: func(cmd *cobra.Command, selectors []string) error {
			return a.status(cmd.Context(), selectors, onlyFailed, format)
		},
	}
	cmd.Flags().BoolVar(&onlyFailed, "failed", false, "show only what is in trouble")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table, json or jsonl (the messages that run would publish)")
	return cmd
}

func (a *app) status(ctx context.Context, selectors []string, onlyFailed bool, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	inv, selected, err := a.loadHosts(selectors)
	if err != nil {
		return err
	}
	a.tellNotices(inv)
	var seen tally
	bar := newProgress(a.stderr, len(selected))
	observe := func(s publish.Status) {
		seen.observe(s)
		bar.step(exitCode(s) != 0)
	}
	p := pipeline{inventory: inv, hosts: selected, observe: observe, trust: a.howToTrust(), log: a.logger(slog.LevelError)}
	swept := p.sweep(ctx)
	bar.end()
	if swept != nil && ctx.Err() == nil {
		return swept
	}
	statuses := seen.statuses()
	if onlyFailed {
		statuses = troubled(statuses)
	}
	if format == "table" {
		err = printTable(a.stdout, statuses, time.Now())
	} else {
		err = printJSON(a.stdout, format, statuses)
	}
	if err != nil {
		return failed(exitOwn, err)
	}
	if format == "table" {
		fmt.Fprintln(a.stderr, seen.line(time.Now()))
	}
	if swept != nil { // Interrupted. What was read by then has been shown.
		return swept
	}
	return seen.exit()
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

// A row is one line of the table.
type row struct {
	rank  int // trouble first
	cells [6]string
}

// printTable prints a line for each unit, and for each host that could not be read.
func printTable(out io.Writer, statuses []publish.Status, now time.Time) error {
	var rows []row
	for _, s := range statuses {
		rows = append(rows, hostRows(s, now)...)
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.rank, b.rank) })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tUNIT\tSTATE\tSINCE\tRESTARTS\tNOTE")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.cells[0], r.cells[1], r.cells[2], r.cells[3], r.cells[4], r.cells[5])
	}
	return w.Flush()
}

func hostRows(s publish.Status, now time.Time) []row {
	if s.Outcome != string(hosts.OK) {
		return []row{{rank: 0, cells: [6]string{s.Host.Name, "-", s.Outcome, "-", "-", printable(deref(s.Error))}}}
	}
	if len(s.Units) == 0 {
		return []row{{rank: 2, cells: [6]string{s.Host.Name, "-", systemState(s), "-", "-", "no units watched"}}}
	}
	rows := make([]row, 0, len(s.Units))
	for _, u := range s.Units {
		r := row{rank: 2, cells: [6]string{s.Host.Name, printable(u.Name), unitState(u), since(u, now), "-", note(u)}}
		if u.Restarts != nil {
			r.cells[4] = strconv.Itoa(*u.Restarts)
		}
		if inTrouble(u) {
			r.rank = 1
		}
		rows = append(rows, r)
	}
	return rows
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

// since is how long the unit has been as it is, in the two greatest units of time.
func since(u publish.Unit, now time.Time) string {
	if u.Since == nil {
		return "-"
	}
	d := max(now.Sub(u.Since.Time), 0)
	days, d := d/(24*time.Hour), d%(24*time.Hour)
	switch {
	case days > 0:
		return fmt.Sprintf("%dd %dh", days, d/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
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

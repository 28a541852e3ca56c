package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"service_manager/inventory"
	"service_manager/publish"
)

func (a *app) checkCommand() *cobra.Command {
	var show, quiet, run bool
	var format string
	cmd := &cobra.Command{
		Use:        "check [flags] [SELECTOR…]",
		Short:      "Validate the inventory",
		SuggestFor: []string{"validate", "verify", "lint", "config"},
		Long: `Check reads the inventory and the files that it names, and reports every mistake at once as
FILE:LINE: what is wrong. It dials nothing. With --print it shows the resolved hosts, with --quiet
nothing where all is well. With --run it wants what run wants too, a host and a broker; so the unit
file finds out on a reload whether the running collector takes the inventory.

` + aboutSelectors,
		Example: `  service_manager check -i inventory.toml
  service_manager check --print -i inventory.toml
  service_manager check --print -o json -i inventory.toml | jq -r '.[].routing_keys.status'`,
		ValidArgsFunction: a.completeSelectors,
		RunE: func(cmd *cobra.Command, selectors []string) error {
			if cmd.Flags().Changed("output") && !show {
				return failed(exitUsage, errors.New("-o says how --print prints: add --print"))
			}
			if show && quiet {
				return failed(exitUsage, errors.New("--print and --quiet: write one of them"))
			}
			return a.check(selectors, show, quiet, run, format)
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "show the resolved hosts and routing keys")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print mistakes only")
	cmd.Flags().BoolVar(&run, "run", false, "want what run wants too: a host and a broker")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "with --print: table, json or jsonl")
	offerWords(cmd, "output", "table", "json", "jsonl")
	return cmd
}

// loadForRun refuses what run would refuse, at its start or on a reload.
func (a *app) loadForRun(selectors []string) (*inventory.Inventory, []inventory.Host, error) {
	inv, selected, err := a.loadHosts(selectors)
	if err == nil {
		_, err = a.sender(inv, nil, false, false)
	}
	return inv, selected, err
}

func (a *app) check(selectors []string, show, quiet, run bool, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	load := a.load
	if run {
		load = a.loadForRun
	}
	inv, selected, err := load(selectors)
	if err != nil {
		return err
	}
	if quiet {
		return nil
	}
	a.tellNotices(inv)
	if show {
		return a.printHosts(selected, format)
	}
	units, globs := 0, 0
	groups := make(map[string]bool)
	for _, h := range selected {
		units += len(h.Units)
		globs += len(h.Globs)
		groups[h.Group] = true
	}
	watched := count(units, "unit")
	if globs > 0 {
		watched += " and " + count(globs, "glob")
	}
	_, err = fmt.Fprintf(a.stdout, "%s: ok: %s in %s, %s watched\n", a.inventory, count(len(selected), "host"), count(len(groups), "group"),
		watched)
	return err
}

// A resolvedHost is a host as check prints it: with all defaults, groups and ranges applied.
type resolvedHost struct {
	Name            string            `json:"name"`
	Address         string            `json:"address"`
	Port            int               `json:"port"`
	User            string            `json:"user"`
	Group           string            `json:"group"`
	Labels          map[string]string `json:"labels"`
	Units           []string          `json:"units"`
	IntervalSeconds float64           `json:"interval_seconds"`
	Jump            *string           `json:"jump"` // the nearest; null for a direct connection
	RoutingKeys     routingKeys       `json:"routing_keys"`
}

type routingKeys struct {
	Status string `json:"status"`
	Event  string `json:"event"`
}

func resolve(h inventory.Host) resolvedHost {
	r := resolvedHost{
		Name:            h.Name,
		Address:         h.Address,
		Port:            h.SSH.Port,
		User:            h.SSH.User,
		Group:           h.Group,
		Labels:          h.Labels,
		Units:           append(append([]string{}, h.Units...), h.Globs...),
		IntervalSeconds: h.Interval.Seconds(),
		RoutingKeys: routingKeys{
			Status: publish.RoutingKey(publish.KindStatus, h.Group, h.Name),
			Event:  publish.RoutingKey(publish.KindEvent, h.Group, h.Name),
		},
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	if h.Via != nil {
		r.Jump = &h.Via.Name
	}
	return r
}

func (a *app) printHosts(selected []inventory.Host, format string) error {
	resolved := make([]resolvedHost, 0, len(selected))
	for _, h := range selected {
		resolved = append(resolved, resolve(h))
	}
	if format != "table" {
		return printJSON(a.stdout, format, resolved)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tGROUP\tSSH\tJUMP\tINTERVAL\tROUTING KEY\tUNITS")
	for i, r := range resolved {
		fmt.Fprintf(w, "%s\t%s\t%s@%s\t%s\t%v\t%s\t%s\n", r.Name, r.Group, r.User, net.JoinHostPort(r.Address, strconv.Itoa(r.Port)),
			way(selected[i]), selected[i].Interval, r.RoutingKeys.Status, strings.Join(r.Units, " "))
	}
	return w.Flush()
}

// way writes the jump hosts of a host in the order in which they are passed, or a dash.
func way(h inventory.Host) string {
	var names []string
	for via := h.Via; via != nil; via = via.Via {
		names = append(names, via.Name)
	}
	if names == nil {
		return "-"
	}
	slices.Reverse(names)
	return strings.Join(names, " > ")
}

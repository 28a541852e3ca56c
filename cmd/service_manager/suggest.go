package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"service_manager/inventory"
)

// unknownCommand refuses a word where a command of cmd is wanted, and says what was probably meant.
func (a *app) unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	instead := otherCommand(cmd, args[0])
	if instead == "" && !cmd.HasParent() {
		instead = a.commandFor(cmd, args)
	}
	if instead == "" {
		instead = fmt.Sprintf("; see '%s --help'", cmd.CommandPath())
	}
	return failed(exitUsage, fmt.Errorf("unknown command %q%s", args[0], instead))
}

// otherCommand is "; did you mean X?" for the command with a name like word, or with what word does elsewhere.
func otherCommand(cmd *cobra.Command, word string) string {
	names := make(map[string]string) // by what may be written
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		names[sub.Name()] = sub.Name()
		for _, elsewhere := range sub.SuggestFor {
			names[elsewhere] = sub.Name()
		}
	}
	if name, ok := names[inventory.Nearest(word, maps.Keys(names))]; ok {
		return fmt.Sprintf("; did you mean %q?", name)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if len(word) > 1 && strings.HasPrefix(name, word) {
			return fmt.Sprintf("; did you mean %q?", names[name])
		}
	}
	return ""
}

// commandFor says which command is for a unit or for hosts, where one stands in its place.
func (a *app) commandFor(root *cobra.Command, args []string) string {
	for _, sub := range root.Commands() {
		if len(args) > 1 && args[1] == sub.Name() {
			return fmt.Sprintf("; the command comes first, as in: service_manager %s %s", args[1], shellWord(args[0]))
		}
	}
	inv, err := inventory.Load(a.inventory)
	if err != nil {
		return ""
	}
	word := shellWord(args[0])
	if _, err := inv.Select(args[:1]); err == nil {
		return "; it selects hosts, as in: service_manager status " + word
	}
	if isWatched(inv, args[0]) {
		return fmt.Sprintf("; it is a unit, as in: service_manager status -u %s, or: service_manager restart %[1]s SELECTOR", word)
	}
	return ""
}

// isWatched reports whether any host watches the unit.
func isWatched(inv *inventory.Inventory, unit string) bool {
	return slices.ContainsFunc(inv.Hosts, func(h inventory.Host) bool { return watches(h, unit) })
}

// explainSelectors adds to the error of Select where units go, if one of the selectors is a unit.
func explainSelectors(err error, inv *inventory.Inventory, selectors []string) error {
	for _, selector := range selectors {
		if _, none := inv.Select([]string{selector}); none != nil && isWatched(inv, selector) {
			return fmt.Errorf("%w\n%q is a unit, not a host: write -u %[2]s behind status, or the unit and then its hosts behind restart and the like",
				err, selector)
		}
	}
	return err
}

// unlessSwapped is err or, if hosts stand before the unit, what says so.
func (a *app) unlessSwapped(err error, cmd *cobra.Command, args []string) error {
	last := len(args) - 1
	if last < 1 || exitOf(err) != exitUsage || !a.areSwapped(args[:last], args[last]) {
		return err
	}
	return failed(exitUsage, fmt.Errorf("the unit comes first, then the hosts; did you mean: service_manager %s %s",
		cmd.Name(), a.selectorOf(nil)(append(args[last:], args[:last]...))))
}

// areSwapped reports whether hosts could only be selectors, and unit a unit.
func (a *app) areSwapped(hosts []string, unit string) bool {
	if _, err := inventory.UnitName(unit); err != nil {
		return false
	}
	if strings.HasPrefix(hosts[0], "@") || strings.Contains(hosts[0], "=") {
		return true
	}
	inv, err := inventory.Load(a.inventory)
	if err != nil || !isWatched(inv, unit) {
		return false
	}
	_, err = inv.Select(hosts)
	return err == nil
}

// explainFlag refuses what pflag could not make sense of, and says what to write.
func (a *app) explainFlag(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); !cmd.HasParent() && len(args) > 0 {
		return a.unknownCommand(cmd, args) // The flags are those of another one.
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := unknown.GetSpecifiedName()
		if letters := unknown.GetSpecifiedShortnames(); len(letters) > 1 {
			name = letters // such as -once, with one dash
		}
		if near := inventory.Nearest(name, flagNames(cmd)); near != "" && len(name) > 1 {
			return failed(exitUsage, fmt.Errorf("%w; did you mean %q?", err, "--"+near))
		}
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if want, ok := map[string]string{
			"int": "a whole number", "uint64": "a whole number", "duration": "a duration such as 10s or 5m", "bool": "true or false",
		}[bad.GetFlag().Value.Type()]; ok {
			return failed(exitUsage, fmt.Errorf("--%s %q: write %s", bad.GetFlag().Name, bad.GetValue(), want))
		}
	}
	return failed(exitUsage, fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath()))
}

// flagNames yields the flags that a command takes.
func flagNames(cmd *cobra.Command) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		more := true
		cmd.Flags().VisitAll(func(f *pflag.Flag) { more = more && yield(f.Name) })
	}
}

// atMost refuses more arguments than n, which is 0 or 1.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return failed(exitUsage, fmt.Errorf("%s takes %s: leave out %q", cmd.Name(), cmp.Or(map[int]string{1: "one argument"}[n], "no arguments"), args[n]))
	}
}

package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"service_manager/inventory"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man [flags] [DIR]",
		Short: "Write the manual pages",
		Long: `Man writes the manual pages into DIR, by default the current folder: service_manager.1, one page for each
command with the text of its --help, and service_manager-inventory.5 with every key of the inventory. They
are dated by the environment variable SOURCE_DATE_EPOCH, else by the commit that the program was built
from, if it knows that.`,
		Example: `  service_manager man /usr/local/share/man/man1
  service_manager man . && man -l service_manager-run.1`,
		Args: atMost(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			date, err := manDate()
			if err != nil {
				return failed(exitUsage, err)
			}
			return writeManual(cmd.Root(), append(args, ".")[0], date)
		},
	}
}

// manDate is the day that the pages show, or empty where it is not known: never the day on which they were written, so that
// one version has one set of pages.
func manDate() (string, error) {
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return "", fmt.Errorf("SOURCE_DATE_EPOCH is %q: write the seconds since 1970", epoch)
		}
		return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.time" && len(setting.Value) >= len(time.DateOnly) {
				return setting.Value[:len(time.DateOnly)], nil
			}
		}
	}
	return "", nil
}

// writeManual writes the pages of root and all its commands into the folder dir.
func writeManual(root *cobra.Command, dir, date string) error {
	write := func(name string, p *manPage) error {
		if err := os.WriteFile(filepath.Join(dir, name), p.text.Bytes(), 0o644); err != nil { //nolint:gosec // For all to read.
			return failed(exitOwn, fmt.Errorf("%w; write them into a folder that is there, may be written to and has room", err))
		}
		return nil
	}
	for _, cmd := range manual(root) {
		if err := write(manName(cmd)+".1", commandPage(cmd, date)); err != nil {
			return err
		}
	}
	return write("service_manager-inventory.5", inventoryPage(date))
}

// manual returns the commands that have a page: root, and all that its --help shows but help itself.
func manual(root *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{root}
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			all = append(all, cmd)
		}
	}
	return all
}

// manName is the name of a command's page.
func manName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}

// commandPage is the page of a command: what its --help says, in the order of man-pages(7).
func commandPage(cmd *cobra.Command, date string) *manPage {
	p := newManPage(manName(cmd), 1, date)
	p.heading("NAME")
	p.line(manName(cmd), " - ", strings.ToLower(cmd.Short[:1])+cmd.Short[1:])
	p.heading("SYNOPSIS")
	p.synopsis(cmd)
	p.heading("DESCRIPTION")
	p.prose(cmd.Long)
	if !cmd.HasParent() {
		p.heading("COMMANDS")
		for _, sub := range manual(cmd)[1:] {
			p.item(fmt.Sprintf(`\fB%s\fR(1)`, roff(manName(sub))), sub.Short)
		}
	}
	p.heading("OPTIONS")
	p.flags(cmd.NonInheritedFlags())
	p.flags(cmd.InheritedFlags())
	if cmd.HasExample() {
		p.heading("EXAMPLES")
		p.prose(cmd.Example)
	}
	p.heading("SEE ALSO")
	see := []string{`\fBservice_manager\-inventory\fR(5)`}
	if cmd.HasParent() {
		see = append(see, fmt.Sprintf(`\fB%s\fR(1)`, roff(manName(cmd.Parent()))))
	}
	p.raw(strings.Join(see, ", "))
	return p
}

// inventoryPage shows the inventory with every key, which no help text does.
func inventoryPage(date string) *manPage {
	p := newManPage("service_manager-inventory", 5, date)
	p.heading("NAME")
	p.line("service_manager-inventory - the hosts and units that service_manager watches")
	p.heading("DESCRIPTION")
	p.prose("The inventory is a TOML file, " + inventory.DefaultPath + " unless --inventory names another. All its keys follow.")
	p.verbatim(strings.Split(strings.TrimSpace(inventory.Reference), "\n"))
	p.heading("SEE ALSO")
	p.raw(`\fBservice_manager\-check\fR(1), \fBservice_manager\fR(1)`)
	return p
}

// newManPage begins a page.
func newManPage(name string, section int, date string) *manPage {
	p := new(manPage)
	p.raw(fmt.Sprintf(`.TH %s %d "%s" "service_manager %s" "%s"`, roff(strings.ToUpper(name)), section, roff(date), roff(buildVersion()),
		cmp.Or(map[int]string{5: "File Formats"}[section], "User Commands")))
	p.raw(".ad l") // Justified lines would have wide gaps.
	p.raw(".nh")
	return p
}

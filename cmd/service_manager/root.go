package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"service_manager/inventory"
)

// aboutSelectors stands in the help of each command that takes selectors.
const aboutSelectors = `A selector is a host name, with ranges and lists as in the inventory, a glob, @group or
label=value; none means all hosts.`

// An app is one run of the command line.
type app struct {
	stdin          io.Reader // for answers to questions only
	stdout, stderr io.Writer
	journal        bool      // stderr is the journal
	log            *logQueue // in front of stderr, while run runs; else nil

	inventory string // path
	logFormat string // "text" or "json"
	verbose   bool
}

// execute runs the command line args and returns its exit code.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	if f, ok := stderr.(*os.File); ok {
		a.journal = isJournal(f, os.Getenv("JOURNAL_STREAM"))
	}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	code := a.report(root.ExecuteContext(ctx))
	if a.log != nil {
		a.log.end()
	}
	return code
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "service_manager",
		Short: "Collect the state of systemd services over SSH and publish it to RabbitMQ",
		Long: `service_manager reads a TOML inventory of hosts, runs "systemctl show" on each of them over
one standing SSH connection, and publishes one status message per host and interval to a
RabbitMQ topic exchange, with the host in the routing key. Nothing is installed on the hosts.

See it work, without any host or broker:

  service_manager demo

Then write an inventory and look at your own hosts, still without a broker:

  service_manager check  -i inventory.toml
  service_manager status -i inventory.toml

Exit codes: 0 all fine; 1 a unit is failed or missing; 2 a host could not be read;
3 usage or inventory error; 4 broker error; 5 trouble of the program's own. If several, the highest.`,
		Example: `  service_manager demo --once
  service_manager status --failed @web
  service_manager restart nginx web-01
  service_manager run --dry-run -i inventory.toml`,
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.logFormat != "text" && a.logFormat != "json" {
				return failed(exitUsage, fmt.Errorf("--log-format %q: write text or json", a.logFormat))
			}
			return nil
		},
		Args: a.unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("{{.Version}}")
	root.PersistentFlags().StringVarP(&a.inventory, "inventory", "i", inventory.DefaultPath, "inventory `file`")
	root.PersistentFlags().StringVar(&a.logFormat, "log-format", "text", "how to log to stderr: text or json")
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "log more")
	offer(root, "inventory", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return []cobra.Completion{"toml"}, cobra.ShellCompDirectiveFilterFileExt
	})
	offerWords(root, "log-format", "text", "json")
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetFlagErrorFunc(a.explainFlag)
	root.AddCommand(a.runCommand(), a.statusCommand(), a.checkCommand(), a.doctorCommand(), a.trustCommand(), a.authorizedKeysCommand(),
		a.logsCommand(), a.tailCommand(), a.demoCommand(), a.manCommand(), a.versionCommand())
	root.AddCommand(a.operateCommands()...)
	a.mendOwnCommands(root)
	return root
}

// mendOwnCommands has the commands that cobra adds speak as the others do, and refuse what they do not know.
func (a *app) mendOwnCommands(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Long = "Help prints what --help prints of a command."
			cmd.Example = "  service_manager help restart"
			cmd.Run, cmd.RunE = nil, a.help
		case "completion":
			cmd.Long = `Completion prints a script with which a shell completes command lines of the program:
for bash, zsh, fish or powershell. The Debian package has installed those of the first three.

Hosts, @groups, label=value and units are those of the inventory that -i names on the line, else of the
default one. No host is asked. Of a great many names, only what they begin with is offered at first. Where
the inventory is missing or has mistakes, there are none, and bash and zsh say why, unless
SERVICE_MANAGER_ACTIVE_HELP=0 is set.`
			cmd.Example = `  service_manager completion bash >/etc/bash_completion.d/service_manager`
			cmd.Args = a.unknownCommand
			cmd.RunE = root.RunE // Without one, cobra would show the help for an unknown shell too, and end well.
			for _, shell := range cmd.Commands() {
				shell.Example = "  service_manager " + cmd.Name() + " " + shell.Name()
			}
		}
	}
}

// help shows the help of the command that args name.
func (a *app) help(cmd *cobra.Command, args []string) error {
	named, rest, err := cmd.Root().Find(args)
	if err != nil {
		return err
	}
	if err := a.unknownCommand(named, rest); err != nil {
		return err
	}
	named.InitDefaultHelpFlag()
	return named.Help()
}

// loadHosts is load for a command that reads hosts, and so wants at least one.
func (a *app) loadHosts(selectors []string) (*inventory.Inventory, []inventory.Host, error) {
	inv, selected, err := a.load(selectors)
	if err == nil && len(selected) == 0 {
		err = failed(exitUsage, fmt.Errorf("%s has no hosts: add [[hosts]] with a name, or enable one", a.inventory))
	}
	return inv, selected, err
}

// tellNotices tells what of the inventory is no mistake but may surprise.
func (a *app) tellNotices(inv *inventory.Inventory) {
	for _, notice := range inv.Notices {
		fmt.Fprintln(a.stderr, notice)
	}
}

// load reads the inventory and selects hosts from it.
func (a *app) load(selectors []string) (*inventory.Inventory, []inventory.Host, error) {
	inv, err := inventory.Load(a.inventory)
	if err != nil {
		return nil, nil, failed(exitUsage, err)
	}
	selected, err := inv.Select(selectors)
	if err != nil {
		return nil, nil, failed(exitUsage, explainSelectors(err, inv, selectors))
	}
	return inv, selected, nil
}

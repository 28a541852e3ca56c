package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// allCommands are the program itself and all commands of it, also those that cobra adds.
func allCommands() []*cobra.Command {
	all := []*cobra.Command{(&app{}).rootCommand()}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	return all
}

// Each command explains itself, and shows examples, which the program understands.
func TestEveryHelpHasExamples(t *testing.T) {
	all := allCommands()
	for _, name := range []string{"service_manager", "service_manager help", "service_manager completion zsh", "service_manager reset-failed"} {
		if !slices.ContainsFunc(all, func(cmd *cobra.Command) bool { return cmd.CommandPath() == name }) {
			t.Errorf("%s was not looked at", name)
		}
	}
	for _, cmd := range all {
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s has no Short, Long or Example", cmd.CommandPath())
		}
		own := false
		for line := range strings.Lines(cmd.Example) {
			calls := commandLines(line)
			if len(calls) == 0 || !strings.HasPrefix(line, "  service_manager") {
				t.Errorf("%s: %q is no example of it", cmd.CommandPath(), line)
			}
			for _, call := range calls {
				if _, err := parseCommandLine(call); err != nil {
					t.Errorf("%s: %q: %v", cmd.CommandPath(), call, err)
				}
				own = own || slices.Contains(call, cmd.Name()) || !cmd.HasParent()
			}
		}
		if !own {
			t.Errorf("%s: no example is of it", cmd.CommandPath())
		}
	}
}

// What the shell offers for -o is what the help says of it.
func TestFormatsAreCompleted(t *testing.T) {
	found := 0
	for _, cmd := range allCommands() {
		flag := cmd.Flags().Lookup("output")
		if flag == nil {
			continue
		}
		found++
		offer, there := cmd.GetFlagCompletionFunc("output")
		if !there {
			t.Errorf("%s: nothing is offered for -o", cmd.Name())
			continue
		}
		formats, _ := offer(cmd, nil, "")
		if len(formats) < 2 || flag.DefValue != "" && !slices.Contains(formats, flag.DefValue) {
			t.Errorf("%s: %q are offered, the default is %s", cmd.Name(), formats, flag.DefValue)
		}
		for _, format := range formats {
			if !strings.Contains(flag.Usage, format) {
				t.Errorf("%s: %s is offered for -o, but not in the help", cmd.Name(), format)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d commands have -o", found)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"service_manager/hosts"
	"service_manager/hosts/knownhosts"
	"service_manager/inventory"
)

// trustFlags are the flags of trust.
type trustFlags struct {
	yes, replace, hash bool
	format             string
}

func (a *app) trustCommand() *cobra.Command {
	var flags trustFlags
	cmd := &cobra.Command{
		Use:        "trust [flags] [SELECTOR…]",
		Short:      "Fetch host keys, show their fingerprints, and add them to known_hosts",
		SuggestFor: []string{"keyscan", "ssh-keyscan"},
		Long: `Trust asks the selected hosts for their host keys, shows the fingerprints, and adds those that are
not known to the host's first known_hosts file (~/.ssh/known_hosts unless the inventory names another)
after a yes. No one logs in. Jump hosts come first, also those that are not selected: nothing behind
them can be reached before they are trusted.

Compare the fingerprints with the hosts' own, which ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
prints there: whoever stands between can show any key.

A changed key is never added by --yes alone. Either the host was installed anew, or someone stands
between. When you know that the new fingerprint is the host's own, name the host and add --replace.
A revoked key is never added.

` + aboutSelectors + `

Exit codes: 0 all keys are known in the end; 2 a key is not, or a host could not be asked; 3 usage or
inventory error; 5 a file cannot be written. If several, the highest.`,
		Example: `  service_manager trust -i inventory.toml
  service_manager trust --yes @web
  service_manager trust --replace web-01
  service_manager trust -o json </dev/null | jq -r '.[] | select(.standing == "changed").host'`,
		ValidArgsFunction: a.completeSelectors,
		RunE: func(cmd *cobra.Command, selectors []string) error {
			return a.trust(cmd.Context(), selectors, flags)
		},
	}
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "add without asking")
	cmd.Flags().BoolVar(&flags.replace, "replace", false, "also replace the changed keys of the hosts that the selectors name")
	cmd.Flags().BoolVar(&flags.hash, "hash", false, "write the names hashed, as ssh-keygen -H does")
	cmd.Flags().StringVarP(&flags.format, "output", "o", "table", "table, json or jsonl")
	offerWords(cmd, "output", "table", "json", "jsonl")
	return cmd
}

func (a *app) trust(ctx context.Context, selectors []string, flags trustFlags) error {
	if err := checkFormat(flags.format); err != nil {
		return err
	}
	if flags.replace && len(selectors) == 0 {
		return failed(exitUsage, errors.New("--replace wants the hosts by name or selector, as in: service_manager trust --replace web-01"))
	}
	inv, selected, err := a.loadToTrust(selectors)
	if err != nil {
		return err
	}
	pool := hosts.New(hosts.Config{Trust: a.howToTrust()})
	defer pool.Close()
	keys := newKeyRing(selected, func(ctx context.Context, h inventory.Host) (hosts.Offer, error) { return pool.Scan(ctx, h) })
	keys.limits, keys.replace = inv.Collector, flags.replace
	keys.progress = func(names []string) *progress { return newProgress(a.stderr, names) }
	err = a.trustAll(ctx, keys, flags)
	if flags.format != "table" {
		if wrong := printJSON(a.stdout, flags.format, keys.results()); wrong != nil {
			return failed(exitOwn, wrong)
		}
	} else if wrong := a.printKeys(a.stdout, keys); wrong != nil {
		return failed(exitOwn, wrong)
	}
	a.tellProblems(keys)
	a.tellChanged(keys)
	if err != nil {
		return err
	}
	if left := keys.left(); left != nil {
		return failed(exitHost, left)
	}
	return nil
}

// loadToTrust reads the inventory and selects hosts from it. A selector may also be a jump host that is not in the inventory.
func (a *app) loadToTrust(selectors []string) (*inventory.Inventory, []inventory.Host, error) {
	inv, all, err := a.loadHosts(nil)
	if err != nil {
		return nil, nil, err
	}
	a.tellNotices(inv)
	if len(selectors) == 0 {
		return inv, all, nil
	}
	var chosen []inventory.Host
	rest := slices.DeleteFunc(slices.Clone(selectors), func(selector string) bool {
		jump := findJump(all, selector)
		if jump != nil {
			chosen = append(chosen, *jump)
		}
		return jump != nil
	})
	if len(rest) > 0 {
		named, err := inv.Select(rest)
		if err != nil {
			return nil, nil, failed(exitUsage, explainSelectors(err, inv, rest))
		}
		chosen = append(chosen, named...)
	}
	return inv, chosen, nil
}

// findJump finds a jump host that is no host of the inventory by its name.
func findJump(all []inventory.Host, name string) *inventory.Host {
	if !strings.ContainsAny(name, "@:") {
		return nil // Such a jump host has an address for a name.
	}
	for i := range all {
		for jump := all[i].Via; jump != nil; jump = jump.Via {
			if jump.Name == name {
				return jump
			}
		}
	}
	return nil
}

// trustAll asks the hosts for their keys and adds them, jump hosts first.
func (a *app) trustAll(ctx context.Context, keys *keyRing, flags trustFlags) error {
	for {
		keys.scan(ctx)
		if keys.interrupted {
			return failed(exitHost, fmt.Errorf("interrupted: of %s, %d were asked; nothing more was added",
				count(len(keys.candidates), "host"), keys.asked()))
		}
		plan, err := keys.plan(flags.hash)
		if err != nil {
			return failed(exitUsage, err)
		}
		if len(plan) == 0 {
			return nil
		}
		if err := a.agree(ctx, keys, plan, flags); err != nil {
			return err
		}
		for _, file := range plan {
			if err := file.write(); err != nil {
				return failed(exitOwn, fmt.Errorf("%w; have a folder there that is writable and has room, or name another file in ssh.known_hosts", err))
			}
			fmt.Fprintln(a.stderr, file.said())
		}
	}
}

// agree asks whether to do what is planned. The error says that it is not to be done.
func (a *app) agree(ctx context.Context, keys *keyRing, plan []rewrite, flags trustFlags) error {
	if flags.yes {
		return nil
	}
	if isTerminal(a.stdin) { // What is asked about must be seen before.
		table := a.stdout
		if flags.format != "table" {
			table = a.stderr
		}
		if err := a.printKeys(table, keys); err != nil {
			return failed(exitOwn, err)
		}
	}
	questions := make([]string, 0, len(plan))
	for _, file := range plan {
		questions = append(questions, file.question())
	}
	question := strings.Join(questions, ", and ") + "?"
	yes, err := a.ask(ctx, strings.ToUpper(question[:1])+question[1:])
	switch {
	case errors.Is(err, errNoTerminal):
		return failed(exitUsage, fmt.Errorf("nothing was added: %w; compare the fingerprints, then run it again with --yes", err))
	case err != nil:
		return failed(exitHost, errors.New("interrupted; nothing was added"))
	case !yes:
		return failed(exitHost, errors.New("nothing was added"))
	}
	return nil
}

// A rewrite is what is to be written to one known_hosts file.
type rewrite struct {
	file     string
	add      []knownhosts.Entry // of hosts whose key was not known
	replace  []knownhosts.Entry // of hosts that have another key there, or in another file
	remove   []knownhosts.Name  // whose new key goes to another file
	complete func()             // tells the hosts that it was done
}

// write does what is planned.
func (r rewrite) write() error {
	if len(r.remove) > 0 {
		if err := knownhosts.Remove(r.file, r.remove...); err != nil {
			return err
		}
	}
	if len(r.replace) > 0 {
		if err := knownhosts.Replace(r.file, r.replace...); err != nil {
			return err
		}
	}
	if len(r.add) > 0 {
		if err := knownhosts.Add(r.file, r.add...); err != nil {
			return err
		}
	}
	r.complete()
	return nil
}

// question continues "…?", and said is its answer afterwards.
func (r rewrite) question() string { return r.words("add", "replace", "remove") }

func (r rewrite) said() string { return r.words("added", "replaced", "removed") }

func (r rewrite) words(add, replace, remove string) string {
	var words []string
	if n := len(r.add); n > 0 {
		words = append(words, fmt.Sprintf("%s %s to %s", add, count(n, "key"), r.file))
	}
	if n := len(r.replace); n > 0 {
		words = append(words, fmt.Sprintf("%s the keys of %s in %s", replace, count(n, "host"), r.file))
	}
	if n := len(r.remove); n > 0 {
		words = append(words, fmt.Sprintf("%s the old keys of %s from %s", remove, count(n, "host"), r.file))
	}
	return strings.Join(words, ", ")
}

// trustFile is the file that new keys of a host go to.
func trustFile(h inventory.Host) (string, error) {
	if len(h.SSH.KnownHosts) == 0 {
		if _, err := os.UserHomeDir(); err != nil {
			return "", fmt.Errorf("%w, so there is no ~/.ssh/known_hosts; name a file in ssh.known_hosts", err)
		}
	}
	return hosts.KnownHostsFiles(h)[0], nil
}

package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

var (
	// wrapperPaths need no quotes, neither in authorized_keys nor for the login shell that runs them.
	wrapperPaths = regexp.MustCompile(`^(/[A-Za-z0-9._+-]+)+$`)
	// fromPatterns are host names, addresses and networks as sshd(8) takes them in from=.
	fromPatterns = regexp.MustCompile(`^[A-Za-z0-9.:/*?!_,-]+$`)
)

// authorizedKeysFlags are the flags of authorized-keys.
type authorizedKeysFlags struct {
	keys    []string
	from    string
	path    string
	wrapper bool
}

func (a *app) authorizedKeysCommand() *cobra.Command {
	var flags authorizedKeysFlags
	cmd := &cobra.Command{
		Use:   "authorized-keys [flags] [SELECTOR…]",
		Short: "Print what binds a key on the hosts to reporting status",
		Long: `Authorized-keys prints the lines for authorized_keys that bind the collector's keys to a wrapper, and
with --wrapper that script. Such a key can do nothing but tell the states of systemd's units: no
shell, no file transfer, no forwarding, no other command. The wrapper refuses all else and logs it
(authpriv.warning); the host's status then is "denied". Its account needs no rights at all.

The keys are those of the selected hosts' identity files (the .pub beside one, or the public half of
the private key), or those named with --key, for which no inventory is read.

To set up the account monitor on HOST, from a login that may use sudo there:

  ssh HOST sudo useradd --create-home --shell /bin/sh monitor
  W=` + systemctl.WrapperPath + `
  service_manager authorized-keys --wrapper | ssh HOST \
    "sudo sh -c 'mkdir -p ${W%/*} && cat >$W.new && chmod 755 $W.new && mv $W.new $W'"
  service_manager authorized-keys | ssh HOST \
    "sudo -H -u monitor sh -c 'umask 077 && mkdir -p ~/.ssh && cat >>~/.ssh/authorized_keys'"

Restrict forbids tunnels too. On a jump host, where the same key opens them, append to the word restrict
  ,port-forwarding,permitopen="ADDRESS:PORT"
with one permitopen for each host behind it, by the address that the inventory has; and have
AllowTcpForwarding local in its sshd_config, so that the key opens no ports there.

The wrapper knows the queries of this version of the program. Where an upgrade changes them, its hosts
are "denied", with the advice to install the wrapper again.

` + aboutSelectors,
		Example: `  service_manager authorized-keys -i inventory.toml @web
  service_manager authorized-keys --key /etc/service_manager/id_ed25519.pub --from 192.0.2.10
  service_manager authorized-keys --wrapper >service_manager-report`,
		ValidArgsFunction: a.completeSelectors,
		RunE: func(_ *cobra.Command, selectors []string) error {
			return a.authorizedKeys(flags, selectors)
		},
	}
	cmd.Flags().BoolVar(&flags.wrapper, "wrapper", false, "print the script that the lines name")
	cmd.Flags().StringVar(&flags.path, "path", systemctl.WrapperPath, "where the wrapper lies on the hosts, as a `file`")
	cmd.Flags().StringVar(&flags.from, "from", "", "accept the keys from these `addresses` only, comma-separated; see from= in sshd(8)")
	cmd.Flags().StringArrayVar(&flags.keys, "key", nil, "take the key in this `file`, public or private; may be repeated")
	offer(cmd, "key", completeFiles)
	return cmd
}

func (a *app) authorizedKeys(flags authorizedKeysFlags, selectors []string) error {
	switch {
	case !wrapperPaths.MatchString(flags.path):
		return failed(exitUsage, fmt.Errorf("--path %q: write an absolute path of letters, digits and . _ + -", flags.path))
	case flags.from != "" && !fromPatterns.MatchString(flags.from):
		return failed(exitUsage, fmt.Errorf("--from %q: write addresses, networks or host names, separated by commas", flags.from))
	case flags.wrapper && (len(selectors) > 0 || len(flags.keys) > 0 || flags.from != ""):
		return failed(exitUsage, errors.New("--wrapper prints a script that is the same for all hosts and keys: leave out selectors, --key and --from"))
	case flags.wrapper:
		_, err := fmt.Fprint(a.stdout, systemctl.Wrapper(flags.path))
		return err
	case len(flags.keys) > 0 && len(selectors) > 0:
		return failed(exitUsage, errors.New("--key names the keys: leave out the selectors"))
	}
	files := flags.keys
	if len(files) == 0 {
		var err error
		if files, err = a.identityFiles(selectors); err != nil {
			return err
		}
	}
	options := `restrict,command="` + flags.path + `"`
	if flags.from != "" {
		options = `from="` + flags.from + `",` + options
	}
	var lines []string
	for _, file := range files {
		key, err := hosts.AuthorizedKey(file)
		if err != nil && len(flags.keys) > 0 {
			err = fmt.Errorf("--key: %w; name a key, private or public", err)
		}
		if err != nil {
			return failed(exitUsage, err)
		}
		lines = append(lines, options+" "+key+"\n")
	}
	slices.Sort(lines)
	_, err := fmt.Fprint(a.stdout, strings.Join(slices.Compact(lines), ""))
	return err
}

// identityFiles are those of the selected hosts, each once. Where there are several, it says whose they are.
func (a *app) identityFiles(selectors []string) ([]string, error) {
	inv, selected, err := a.loadHosts(selectors)
	if err != nil {
		return nil, err
	}
	a.tellNotices(inv)
	users := make(map[string][]inventory.Host)
	var files []string
	for _, h := range selected {
		file := h.SSH.IdentityFile
		if file == "" && h.SSH.Agent {
			return nil, failed(exitUsage, fmt.Errorf("%s: its key is in an agent: name the public half with --key", h.Name))
		}
		if users[file] == nil {
			files = append(files, file)
		}
		users[file] = append(users[file], h)
	}
	for _, file := range files {
		if len(files) > 1 {
			fmt.Fprintf(a.stderr, "%s: the key of %s\n", nameOf(file), namesOf(users[file]))
		}
		if i := slices.IndexFunc(users[file], func(h inventory.Host) bool { return h.SSH.CertificateFile != "" }); i >= 0 {
			fmt.Fprintf(a.stderr, "%s: logs in with a certificate, which no line for a key binds: have it signed with -O clear -O force-command\n",
				users[file][i].Name)
		}
	}
	return files, nil
}

func nameOf(file string) string {
	if file == "" {
		return "the default key in ~/.ssh"
	}
	return file
}

// namesOf names a few hosts, and counts the others.
func namesOf(selected []inventory.Host) string {
	const most = 3
	var names []string
	for _, h := range selected[:min(most, len(selected))] {
		names = append(names, h.Name)
	}
	text := strings.Join(names, ", ")
	if more := len(selected) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

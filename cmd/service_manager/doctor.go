package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/spf13/cobra"

	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	only   string
	format string
}

func (a *app) doctorCommand() *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use:        "doctor [flags] [SELECTOR…]",
		Short:      "Explain what is wrong with hosts and broker, and how to mend it",
		SuggestFor: []string{"diagnose", "debug", "ping"},
		Long: `Doctor goes the way of run step by step: it resolves, connects, checks the host key, logs in, asks
systemd, and looks at what may go wrong later: a slow or noisy login shell, an old systemd, units that
do not exist, the host's clock, sshd's limits. Likewise the broker, and the files of this machine.
It changes nothing on the hosts, and says of each trouble what it is, why it matters and what mends it.

What many hosts have in common is told once, the worst last. A key that may only report status (see
authorized-keys) lets it see less of the host; that is as it should be.

` + aboutSelectors + `

Exit codes: 0 also where there are warnings; 2 a host cannot be read; 3 usage or inventory error;
4 broker error; 5 trouble with this machine's own files. If several, the highest.`,
		Example: `  service_manager doctor -i inventory.toml
  service_manager doctor -v web-01             # every step, also what is well
  service_manager doctor --only broker
  service_manager doctor -o json @web | jq -r '.[] | select(.severity == "error") | .name'`,
		ValidArgsFunction: a.completeSelectors,
		RunE: func(cmd *cobra.Command, selectors []string) error {
			return a.doctor(cmd.Context(), selectors, flags)
		},
	}
	cmd.Flags().StringVar(&flags.only, "only", "", "examine only hosts, broker or collector (this machine)")
	cmd.Flags().StringVarP(&flags.format, "output", "o", "table", "table, json or jsonl")
	offerWords(cmd, "output", "table", "json", "jsonl")
	offerWords(cmd, "only", onlyHosts, aboutBroker, aboutCollector)
	return cmd
}

// What doctor examines.
const (
	aboutHost      = "host"
	aboutBroker    = "broker"
	aboutCollector = "collector"

	onlyHosts = "hosts" // in --only
)

func (a *app) doctor(ctx context.Context, selectors []string, flags doctorFlags) error {
	if err := checkFormat(flags.format); err != nil {
		return err
	}
	if !slices.Contains([]string{"", onlyHosts, aboutBroker, aboutCollector}, flags.only) {
		return failed(exitUsage, fmt.Errorf("--only %q: write hosts, broker or collector", flags.only))
	}
	load := a.load
	if flags.only == "" || flags.only == onlyHosts {
		load = a.loadHosts
	}
	inv, selected, err := load(selectors)
	if err != nil {
		return err
	}
	a.tellNotices(inv)
	e := examination{app: a, inventory: inv, hosts: selected, only: flags.only}
	began := time.Now()
	patients := e.make(ctx)
	if flags.format == "table" {
		p := printer{out: a.stdout, verbose: a.verbose, colours: colours(a.stdout), selector: a.selectorOf(selectors)}
		err = p.print(patients)
	} else {
		err = printJSON(a.stdout, flags.format, filledIn(patients, a.selectorOf(selectors)))
	}
	if err != nil {
		return failed(exitOwn, err)
	}
	if flags.format == "table" {
		fmt.Fprintln(a.stderr, diagnosis(patients, a.verbose, time.Since(began)))
	}
	if ctx.Err() != nil {
		err := fmt.Errorf("interrupted: of %s, %d were examined", count(len(selected), "host"), countHosts(patients))
		return failed(max(exitHost, doctorExit(patients)), err)
	}
	if code := doctorExit(patients); code != 0 {
		return failed(code, nil)
	}
	return nil
}

// doctorExit is the highest exit code that a finding asks for. Warnings ask for none.
func doctorExit(patients []patient) int {
	code := 0
	for _, p := range patients {
		if p.Severity == hosts.SeverityError {
			code = max(code, map[string]int{aboutHost: exitHost, aboutBroker: exitBroker, aboutCollector: exitOwn}[p.About])
		}
	}
	return code
}

func countHosts(patients []patient) int {
	n := 0
	for _, p := range patients {
		if p.About == aboutHost {
			n++
		}
	}
	return n
}

// An examination is of everything that was asked for.
type examination struct {
	app       *app
	inventory *inventory.Inventory
	hosts     []inventory.Host
	only      string
}

func (e examination) want(about string) bool { return e.only == "" || e.only == about }

// make examines hosts in parallel, and the broker beside them. When ctx ends it returns what is known by then.
func (e examination) make(ctx context.Context) []patient {
	var (
		ssh      = hosts.New(hosts.Config{Trust: e.app.howToTrust()})
		broker   []patient
		brokers  conc.WaitGroup
		reports  []hosts.Report
		patients []patient
	)
	defer ssh.Close()
	if e.want(aboutBroker) {
		brokers.Go(func() { broker = e.broker(ctx) })
	}
	if e.want(onlyHosts) {
		reports = e.examine(ctx, ssh)
	}
	brokers.Wait()
	slices.SortFunc(reports, func(a, b hosts.Report) int { return cmp.Compare(a.Host.Name, b.Host.Name) })
	for _, report := range reports {
		patients = append(patients, hostPatient(report))
	}
	patients = append(patients, broker...)
	if e.want(aboutCollector) && ctx.Err() == nil {
		patients = append(patients, e.collector(ctx, ssh, reports))
	}
	return patients
}

// examine examines the hosts, within the limits for connections. A host is left out whose examination was interrupted.
func (e examination) examine(ctx context.Context, ssh *hosts.Pool) []hosts.Report {
	var (
		mu      sync.Mutex
		reports []hosts.Report
		behind  = hostsBehind(e.inventory.Hosts)
		bar     = newProgress(e.app.stderr, hostNames(e.hosts))
	)
	defer bar.end()
	dialEach(ctx, e.inventory.Collector, e.hosts, func(h inventory.Host) inventory.Host { return h }, func(h inventory.Host) {
		report := ssh.Examine(ctx, h, behind[h.Name])
		if ctx.Err() != nil {
			return
		}
		bar.step(h.Name, report.Severity() == hosts.SeverityError)
		mu.Lock()
		defer mu.Unlock()
		reports = append(reports, report)
	})
	return reports
}

// hostsBehind counts for each jump host the hosts that are reached through it, by its name.
func hostsBehind(all []inventory.Host) map[string]int {
	behind := make(map[string]int)
	for _, h := range all {
		for via := h.Via; via != nil; via = via.Via {
			behind[via.Name]++
		}
	}
	return behind
}

// broker examines the inventory's broker.
func (e examination) broker(ctx context.Context) []patient {
	if len(e.inventory.Broker.URLs) == 0 {
		return []patient{newPatient(aboutBroker, aboutBroker, []finding{{
			Step: "configuration", Code: codeNoBroker, Severity: hosts.SeverityNote, Detail: e.app.inventory + " names no broker",
			Problem: "there is no broker to publish to", Why: "status and doctor need none; run does, without --dry-run",
			Remedy: `add to the inventory: [broker] with url = "amqps://HOST"`,
		}})}
	}
	found := publish.Examine(ctx, brokerConfig(e.inventory, e.app.logger(slog.LevelError+1)))
	if ctx.Err() != nil {
		return nil // What it says now is that it was interrupted.
	}
	findings := make([]finding, 0, len(found))
	for _, f := range found {
		findings = append(findings, brokerFinding(f))
	}
	return []patient{newPatient(aboutBroker, aboutBroker, findings)}
}

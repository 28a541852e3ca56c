package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	workers "github.com/sourcegraph/conc/pool"
	"github.com/spf13/cobra"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// operateFlags are the flags of the verbs.
type operateFlags struct {
	all, yes, dryRun bool
	batch, format    string
	settle, timeout  time.Duration
}

// operateCommands are the verbs: what a person can have systemctl do on many hosts.
func (a *app) operateCommands() []*cobra.Command {
	return []*cobra.Command{
		a.operateCommand(systemctl.Start, "Start a unit on hosts, batch by batch", "active"),
		a.operateCommand(systemctl.Stop, "Stop a unit on hosts, batch by batch", "inactive"),
		a.operateCommand(systemctl.Restart, "Restart a unit on hosts, batch by batch", "active, and in a new invocation"),
		a.operateCommand(systemctl.Reload, "Have a unit reload its configuration on hosts, batch by batch", "active, and in the same invocation"),
		a.operateCommand(systemctl.Enable, "Have a unit start at boot on hosts, batch by batch", "enabled"),
		a.operateCommand(systemctl.Disable, "Have a unit not start at boot on hosts, batch by batch", "disabled"),
		a.operateCommand(systemctl.ResetFailed, "Forget that a unit has failed on hosts, batch by batch", "not failed"),
	}
}

func (a *app) operateCommand(verb systemctl.Verb, short, wanted string) *cobra.Command {
	var flags operateFlags
	name := string(verb)
	cmd := &cobra.Command{
		Use:   name + " [flags] UNIT [SELECTOR…]",
		Short: short,
		Long: strings.ToUpper(name[:1]) + name[1:] + ` reads the unit on the selected hosts, shows what will run where, and asks. Then it runs
"systemctl ` + name + `" on one batch of hosts after the other, and goes on only while all of a batch is
well: the unit has to be ` + wanted + `, and to stay so for --settle.
Where it is not, or a host does not answer or does not allow it, nothing more is begun, and what was
left undone is named. Hosts that cannot be read, or have no such unit, are left out from the start.

A batch is 10% of the hosts unless --batch says otherwise, so up to 19 hosts go one by one; --batch 100%
is all at once. Hosts with become = "sudo" in their ssh table run it by sudo -n; the others need a rule
of polkit. Where the account may not, the exact rule to add is printed.

A selector is a host name, with ranges and lists as in the inventory, a glob, @group or label=value.
Without one, --all is wanted. .service is implied, and the unit need not be watched by the inventory.

Exit codes: 0 done everywhere; 1 a unit is not where it was to be, or you said no; 2 a host could not be
read, or did not allow it; 3 usage or inventory error. If several, the highest.`,
		Example: fmt.Sprintf(`  service_manager %[1]s nginx @web
  service_manager %[1]s nginx --dry-run --all
  service_manager %[1]s worker@1.service --batch 2 --settle 10s 'worker-*'
  service_manager %[1]s nginx --yes -o jsonl @web | jq -r 'select(.result != "done").host'`, name),
		ValidArgsFunction: a.completeOperation,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return failed(exitUsage, fmt.Errorf("%s wants a unit, then hosts, as in: service_manager %[1]s nginx.service @web", name))
			}
			return a.unlessSwapped(a.operate(cmd.Context(), verb, args[0], args[1:], flags), cmd, args)
		},
	}
	cmd.Flags().BoolVar(&flags.all, "all", false, "on all hosts of the inventory")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do it without asking")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "only show what would be done")
	cmd.Flags().StringVar(&flags.batch, "batch", defaultBatch, "how many hosts at a time: `N` or P%")
	cmd.Flags().DurationVar(&flags.settle, "settle", 2*time.Second, "how long the unit has to stay as it is to be")
	cmd.Flags().DurationVar(&flags.timeout, "timeout", 3*time.Minute, "how long it may take on a host")
	cmd.Flags().StringVarP(&flags.format, "output", "o", "table", "table, json or jsonl")
	offerWords(cmd, "output", "table", "json", "jsonl")
	offerWords(cmd, "batch", "1", "2", "5", "10%", "25%", "50%", "100%")
	return cmd
}

func (a *app) operate(ctx context.Context, verb systemctl.Verb, unit string, selectors []string, flags operateFlags) error {
	unit, err := checkOperation(verb, unit, selectors, flags)
	if err != nil {
		return failed(exitUsage, err)
	}
	inv, selected, err := a.loadHosts(selectors)
	if err != nil {
		return err
	}
	a.tellNotices(inv)
	ssh := hosts.New(hosts.Config{Trust: a.howToTrust()})
	defer ssh.Close()
	o := operation{
		app: a, operator: operator{pool: ssh, timeout: flags.timeout, settle: flags.settle}, limits: inv.Collector,
		results: results{out: a.stdout, format: flags.format},
	}
	if err := o.prepare(ctx, verb, unit, selected, flags.batch); err != nil {
		return err
	}
	if flags.dryRun {
		return o.rehearse()
	}
	if len(o.plan.batches) > 0 {
		o.plan.print(a.stderr)
	}
	if err := o.agree(ctx, flags.yes); err != nil {
		return err
	}
	return o.run(ctx)
}

// checkOperation checks the command line before anything is read for it, and returns the unit's full name.
func checkOperation(verb systemctl.Verb, unit string, selectors []string, flags operateFlags) (string, error) {
	if err := checkFormat(flags.format); err != nil {
		return "", err
	}
	if _, err := batchSize(flags.batch, 1); err != nil {
		return "", err
	}
	full, err := inventory.UnitName(unit)
	switch {
	case err != nil && !strings.HasPrefix(unit, "@"):
		return "", fmt.Errorf("%w; the unit comes first, then the hosts", err)
	case err != nil:
		return "", fmt.Errorf("%s what on %s? The unit comes first, then the hosts, as in: service_manager %[1]s nginx.service %[2]s", verb, unit)
	case len(selectors) == 0 && !flags.all:
		return "", fmt.Errorf("on which hosts? Write selectors behind the unit, or --all, as in: service_manager %s %s @web", verb, full)
	case len(selectors) > 0 && flags.all:
		return "", errors.New("--all and selectors: write one of them")
	case flags.settle < 0 || flags.timeout <= 0:
		return "", errors.New("--settle and --timeout: write durations such as 10s, the latter above 0")
	}
	return full, systemctl.CheckUnitName(full)
}

// An operation is one verb on its way over the hosts.
type operation struct {
	app      *app
	operator operator
	limits   inventory.Collector
	plan     plan
	results  results
}

// prepare reads the hosts and plans.
func (o *operation) prepare(ctx context.Context, verb systemctl.Verb, unit string, selected []inventory.Host, batch string) error {
	var (
		mu      sync.Mutex
		targets []target
		bar     = newProgress(o.app.stderr, hostNames(selected))
	)
	o.plan = plan{verb: verb, unit: unit}
	dialEach(ctx, o.limits, selected, func(h inventory.Host) inventory.Host { return h }, func(h inventory.Host) {
		t := newTarget(h, verb, unit)
		leftOut := o.operator.survey(ctx, &t, h.Units)
		bar.step(h.Name, leftOut != nil)
		mu.Lock()
		defer mu.Unlock()
		if leftOut != nil {
			o.plan.leftOut = append(o.plan.leftOut, *leftOut)
		} else {
			targets = append(targets, t)
		}
	})
	bar.end()
	if ctx.Err() != nil {
		return failed(exitHost, errors.New("interrupted while the hosts were read; nothing was done"))
	}
	slices.SortFunc(targets, func(a, b target) int { return cmp.Compare(a.host.Name, b.host.Name) })
	slices.SortFunc(o.plan.leftOut, func(a, b operated) int { return cmp.Compare(a.Host, b.Host) })
	size, err := batchSize(batch, len(targets))
	if err != nil {
		return failed(exitUsage, err)
	}
	o.plan.batches = inBatches(targets, size)
	o.results.begin(o.plan)
	return nil
}

// rehearse shows the plan as what would be done.
func (o *operation) rehearse() error {
	if o.results.format == "table" {
		o.plan.print(o.app.stdout)
		fmt.Fprintln(o.app.stderr, "nothing was done (--dry-run)")
	}
	o.results.quiet = true
	for i, batch := range o.plan.batches {
		for _, t := range batch {
			o.results.add(newOperated(t, resultPlanned), i+1)
		}
	}
	return o.end(nil, 0)
}

// agree asks whether to do what is planned. The error says that it is not to be done.
func (o *operation) agree(ctx context.Context, yes bool) error {
	if yes || len(o.plan.batches) == 0 {
		return nil
	}
	agreed, err := o.app.ask(ctx, o.plan.question())
	switch {
	case errors.Is(err, errNoTerminal):
		return failed(exitUsage, fmt.Errorf("nothing was done: %w; run it again with --yes", err))
	case err != nil:
		return failed(exitHost, errors.New("interrupted; nothing was done"))
	case !agreed:
		return failed(exitUnit, errors.New("nothing was done"))
	}
	return nil
}

// run does what is planned, one batch after the other, until one is bad.
func (o *operation) run(ctx context.Context) error {
	var stopped error
	code := 0
	for i, batch := range o.plan.batches {
		where := fmt.Sprintf("batch %d of %d", i+1, len(o.plan.batches))
		if stopped == nil && ctx.Err() != nil {
			stopped, code = errors.New("interrupted before "+where), exitHost
		}
		if stopped != nil {
			for _, t := range batch {
				o.results.add(newOperated(t, resultNotDone), i+1)
			}
			continue
		}
		switch bad := o.runBatch(ctx, i, batch); {
		case bad && ctx.Err() != nil:
			stopped, code = errors.New("interrupted in "+where), exitHost
		case bad:
			stopped, code = errors.New(where+" did not go well"), exitUnit
		case o.results.wrong != nil: // No one would see how it goes on.
			stopped, code = fmt.Errorf("after %s the results could not be written: %w", where, o.results.wrong), exitOwn
		}
	}
	return o.end(stopped, code)
}

// runBatch does what is planned on the hosts of a batch, and reports whether any of them is not well then.
func (o *operation) runBatch(ctx context.Context, number int, batch []target) (bad bool) {
	found := make([]operated, len(batch))
	names := make([]string, len(batch))
	for i, t := range batch {
		names[i] = t.host.Name
	}
	bar := newProgress(o.app.stderr, names)
	busy := workers.New().WithMaxGoroutines(o.limits.Parallel)
	for i, t := range batch {
		busy.Go(func() {
			found[i] = o.operator.operate(ctx, t)
			bar.step(t.host.Name, found[i].Result != resultDone)
		})
	}
	busy.Wait()
	bar.end()
	for _, result := range found {
		bad = bad || result.Result != resultDone
		o.results.add(result, number+1)
	}
	return bad
}

// end tells what was left undone and what to do about it. stopped says why there is anything, if there is, and code is its exit code.
func (o *operation) end(stopped error, code int) error {
	for _, result := range o.plan.leftOut {
		o.results.add(result, 0)
	}
	if err := o.results.end(); err != nil && stopped == nil {
		return failed(exitOwn, err)
	}
	o.results.tellRights(o.app.stderr, o.plan)
	interrupted := code == exitHost
	code = max(code, o.results.exit())
	if stopped == nil {
		if code != 0 {
			return failed(code, nil)
		}
		return nil
	}
	if undone := o.results.undone(); len(undone) > 0 {
		when := "when that is mended, "
		if interrupted {
			when = ""
		}
		stopped = fmt.Errorf("%w; it was not done on %s; %sgo on with: service_manager %s %s %s", errors.New(stopped.Error()), // No broken pipe any more.
			count(len(undone), "host"), when, o.plan.verb, shellWord(o.plan.unit), o.app.selectorOf(foldNames(undone))(foldNames(undone)))
	}
	return failed(code, stopped)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/spf13/cobra"

	"service_manager/cmd/service_manager/web"
	"service_manager/inventory"
	"service_manager/publish"
)

// maxBody is more than a host's longest answer makes, and less than what RabbitMQ takes (max_message_size, 16 MiB in 4.x).
const maxBody = 8 << 20

func (a *app) runCommand() *cobra.Command {
	var once, dryRun, pprof bool
	cmd := &cobra.Command{
		Use:        "run [flags] [SELECTOR…]",
		Short:      "Collect and publish until told to stop",
		SuggestFor: []string{"serve", "daemon", "collect"},
		Long: `Run reads every host of the inventory at its interval and publishes one status message per poll,
and one event per change. A host that cannot be read has a message too: with its outcome, the
reason, and the last known states.

A broker that is away is waited for; meanwhile events are kept in the state file, and the newest
status of each host in memory. The state file also holds what was last told of each host, so that
what changed while run was not running is an event too. SIGTERM or Ctrl-C ends it within 10 seconds;
what the broker has not confirmed then stays in the file.

SIGHUP ("systemctl reload") has it read the inventory again. Only the hosts that differ are touched;
a file with mistakes changes nothing, and is reported in the log and to the consumers. systemd is
told when the service is ready, how it is, and that it gets on (Type=notify, WatchdogSec=).

With listen in [collector] it serves HTTP, but not with --once or --dry-run: /metrics for Prometheus,
/healthz, /readyz, and at /api/v1/hosts the latest status of each host. No one is asked who he is, so
keep it on loopback, or behind a proxy that asks.

` + aboutSelectors,
		Example: `  service_manager run -i inventory.toml
  service_manager run --dry-run -i inventory.toml        # messages as JSON lines, no broker needed
  service_manager run --once -i inventory.toml @web      # one sweep of a group, for cron or a test`,
		ValidArgsFunction: a.completeSelectors,
		RunE: func(cmd *cobra.Command, selectors []string) error {
			return a.run(cmd.Context(), selectors, once, dryRun, pprof)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "read every host once, publish, wait for the confirms, end")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, `print messages to stdout as JSON lines {"routing_key": …, "body": {…}} instead of publishing them`)
	cmd.Flags().BoolVar(&pprof, "pprof", false, "serve profiles of the program over HTTP, at /debug/pprof/")
	return cmd
}

func (a *app) run(ctx context.Context, selectors []string, once, dryRun, pprof bool) error {
	log := a.runLog()
	var again reloading
	if !once { // Before the inventory is read, which takes a moment: a SIGHUP by then asks for a reload, and must not kill.
		requests, stop := hangups()
		defer stop()
		again = reloading{requests: requests, load: a.loadAgain(log, selectors, dryRun)}
	}
	inv, selected, err := a.loadHosts(selectors)
	if err != nil {
		return err
	}
	// Either may run beside the service, which has the address then.
	serves := inv.Collector.Listen != "" && !once && !dryRun
	if pprof && !serves {
		return failed(exitUsage, errors.New("--pprof is for the HTTP server: write listen into [collector], and leave out --once and --dry-run"))
	}
	var seen tally
	p := pipeline{inventory: inv, hosts: selected, trust: a.howToTrust(), heartbeat: inv.Collector.Interval, log: log}
	p.tellNotices()
	if !dryRun {
		p.state = inv.Collector.State
	}
	if p.sender, err = a.sender(inv, log, once, dryRun); err != nil {
		return err
	}
	log.Info("collecting", slog.String("collector", inv.Collector.Name), slog.Int("hosts", len(selected)))
	if !once {
		limitGarbage()
		p.reloading = again
		p.systemd = notifier{log: log}
		if serves {
			p.latest, p.pprof = web.NewLatest(), pprof
			p.latest.SetHosts(selected)
			p.observe = p.latest.Observe
		}
		return p.run(ctx)
	}
	p.observe = seen.observe
	if err := p.sweep(ctx); err != nil {
		return err
	}
	return seen.exit()
}

// loadAgain returns what reads the inventory for a reload.
func (a *app) loadAgain(log *slog.Logger, selectors []string, dryRun bool) func(*inventory.Inventory) (*inventory.Inventory, []inventory.Host, sender, error) {
	return func(before *inventory.Inventory) (*inventory.Inventory, []inventory.Host, sender, error) {
		inv, selected, err := a.loadHosts(selectors)
		if err != nil || dryRun || reflect.DeepEqual(brokerConfig(before, nil), brokerConfig(inv, nil)) {
			return inv, selected, nil, err
		}
		next, err := a.sender(inv, log, false, false)
		return inv, selected, next, err
	}
}

// sender makes what the messages go to: the inventory's broker, or stdout.
func (a *app) sender(inv *inventory.Inventory, log *slog.Logger, once, dryRun bool) (sender, error) {
	if dryRun {
		return publish.NewWriter(a.stdout), nil
	}
	if len(inv.Broker.URLs) == 0 {
		return nil, failed(exitUsage, fmt.Errorf("%s names no broker: add [broker] with a url, or use --dry-run", a.inventory))
	}
	config := brokerConfig(inv, log)
	if once {
		config.Attempts = 1
	}
	p, err := publish.New(config)
	if err != nil {
		return nil, failed(exitUsage, err)
	}
	return p, nil
}

// brokerConfig says how to reach the inventory's broker.
func brokerConfig(inv *inventory.Inventory, log *slog.Logger) publish.Config {
	return publish.Config{
		URLs:           inv.Broker.URLs,
		Exchange:       inv.Broker.Exchange,
		Declare:        publish.Declare(inv.Broker.Declare),
		Queues:         brokerQueues(inv.Broker.Queues),
		CAFile:         inv.Broker.CAFile,
		CertFile:       inv.Broker.CertFile,
		KeyFile:        inv.Broker.KeyFile,
		External:       inv.Broker.External,
		ConnectionName: "service_manager " + inv.Collector.Name,
		MaxBody:        maxBody,
		Log:            log,
	}
}

func brokerQueues(queues []inventory.Queue) []publish.Queue {
	all := make([]publish.Queue, 0, len(queues))
	for _, q := range queues {
		all = append(all, publish.Queue{
			Name: q.Name, Type: publish.QueueType(q.Type), Bindings: q.Bindings,
			MaxMessages: q.MaxMessages, MaxBytes: q.MaxBytes, MaxAge: q.MaxAge,
		})
	}
	return all
}

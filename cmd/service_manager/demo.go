package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/spf13/cobra"

	"service_manager/integration/fleet"
	"service_manager/inventory"
)

// demoFlags are the flags of demo.
type demoFlags struct {
	once   bool
	hosts  int
	broker string
	seed   uint64
	format string
}

func (a *app) demoCommand() *cobra.Command {
	var flags demoFlags
	cmd := &cobra.Command{
		Use:   "demo [flags]",
		Short: "Watch simulated hosts; needs neither hosts nor a broker",
		Long: `Demo starts simulated hosts in this process, each a real SSH server on loopback with its own host
key, and collects from them as run would: the same connections, command, parser and messages. Only
what the hosts answer is made up; now and then a unit fails or restarts, or a host goes away.

Their journals are made up, too, and readable but on the last host of the group db.

Which commands to try on them from another terminal it prints at the start, with the inventory to
use; what they change is seen here, too. The inventory and its key are removed at the end.

On a terminal it shows what happens, as tail does, above a line about the whole fleet, at most ten
events a second. Else messages go to stdout as JSON lines, as run --dry-run prints them, a summary
line per interval to stderr. With --broker they are published, too, for tail and consumers of your own.

A host takes four open files while another command reads it, too: of thousands, raise the limit
(ulimit -n) where demo says so. Up to 100 hosts are read every 2 s, up to 1,000 every 5 s, more every 10 s.

Exit codes: 0 after Ctrl-C, or all hosts were read; 3 usage error; 4 no broker at the start, or it
refuses; later it is waited for; 5 too few open files, or other trouble of its own.`,
		Example: `  service_manager demo
  service_manager demo --hosts 1000
  service_manager demo --once -o jsonl | jq -r '.routing_key'
  service_manager demo --hosts 100 --broker amqp://guest:guest@localhost:5672/`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context(), flags)
		},
	}
	cmd.Flags().BoolVar(&flags.once, "once", false, "read every host once, then end")
	cmd.Flags().IntVar(&flags.hosts, "hosts", 5, "how many hosts to simulate")
	cmd.Flags().StringVar(&flags.broker, "broker", "", "publish to the RabbitMQ at this `URL`")
	cmd.Flags().Uint64Var(&flags.seed, "seed", 0, "repeat the same course of events; 0 means a new one")
	cmd.Flags().StringVarP(&flags.format, "output", "o", "", `text, or jsonl: messages as {"routing_key": …, "body": {…}} (default: text on a terminal, else jsonl)`)
	offerWords(cmd, "output", "text", "jsonl")
	return cmd
}

func (a *app) demo(ctx context.Context, flags demoFlags) error {
	if flags.hosts < 1 {
		return failed(exitUsage, fmt.Errorf("--hosts %d: simulate at least one", flags.hosts))
	}
	switch {
	case flags.format == "" && isTerminal(a.stdout):
		flags.format = "text"
	case flags.format == "" && flags.broker == "":
		flags.format = "jsonl"
	case flags.format != "" && flags.format != "text" && flags.format != "jsonl":
		return failed(exitUsage, fmt.Errorf("-o %q: write text or jsonl", flags.format))
	}
	d := demo{app: *a, flags: flags, feed: newFeed(a.stdout, flags)}
	if canRedraw(a.stdout) {
		d.footer = &footer{out: a.stdout, width: func() int { return terminalWidth(a.stdout) }}
		d.feed.out, d.app.stdout = d.footer, d.footer
		if isTerminal(a.stderr) {
			d.app.stderr = d.footer
		}
	}
	d.log = d.app.logger(slog.LevelWarn)
	d.pollLog = d.log
	if flags.format == "text" {
		d.pollLog = d.app.logger(slog.LevelError) // What it warns of is an event.
	}
	defer d.footer.end()
	return d.run(ctx)
}

// A demo is a run of the command.
type demo struct {
	app    app
	flags  demoFlags
	footer *footer // nil where stdout is no terminal
	feed   *feed
	seen   tally

	log, pollLog *slog.Logger
}

func (d *demo) run(ctx context.Context) error {
	if err := d.checkOpenFiles(); err != nil {
		return err
	}
	sender, err := d.sender(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "service_manager-demo-")
	if err != nil {
		return failed(exitOwn, err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // A demo's leftovers in the temporary folder hurt no one.
	simulated, err := d.start(dir)
	if err != nil {
		return failed(exitOwn, err)
	}
	defer simulated.Close()
	inv, err := inventory.Load(simulated.InventoryPath())
	if err != nil {
		return failed(exitOwn, err)
	}
	p := pipeline{inventory: inv, hosts: inv.Hosts, sender: sender, observe: d.seen.observe, log: d.pollLog}
	if d.flags.once {
		return d.sweep(ctx, p)
	}
	d.hint(simulated.InventoryPath(), inv)
	return d.watch(ctx, p)
}

// start starts the hosts, and shows how far that is.
func (d *demo) start(dir string) (*fleet.Fleet, error) {
	started := 0
	var shown time.Time
	return fleet.Start(fleet.Config{
		Hosts: d.flags.hosts, Seed: d.flags.seed, Dir: dir, Broker: d.flags.broker,
		Started: func() {
			if started++; time.Since(shown) >= redrawInterval {
				shown = time.Now()
				d.footer.set(fmt.Sprintf("starting %d of %s", started, count(d.flags.hosts, "host")))
			}
		},
	})
}

func (d *demo) sweep(ctx context.Context, p pipeline) error {
	err := d.besides(func(time.Time) { d.footer.set(d.line(time.Now())) }, redrawInterval, func() error { return p.sweep(ctx) })
	d.footer.end()
	fmt.Fprintln(d.app.stderr, d.seen.line(time.Now()))
	if ctx.Err() != nil && exitOf(err) == exitHost {
		return nil // Told to stop: no failure of a demo.
	}
	return err
}

// watch runs p until ctx ends, and tells of the fleet: in the footer each second, else in a line for each interval.
func (d *demo) watch(ctx context.Context, p pipeline) error {
	if d.footer == nil {
		return d.besides(func(now time.Time) { fmt.Fprintln(d.app.stderr, d.seen.line(now)) }, p.inventory.Collector.Interval,
			func() error { return p.run(ctx) })
	}
	err := d.besides(func(now time.Time) {
		d.feed.rest(now)
		d.footer.set(d.line(now))
	}, time.Second, func() error { return p.run(ctx) })
	d.footer.end()
	fmt.Fprintln(d.app.stderr, d.seen.line(time.Now()))
	return err
}

// line says how the fleet is or, while there are hosts never read, how many have been.
func (d *demo) line(now time.Time) string {
	if read := d.seen.hosts(); read < d.flags.hosts {
		return fmt.Sprintf("%s  reading %d of %s for the first time", now.Format(time.TimeOnly), read, count(d.flags.hosts, "host"))
	}
	f := fleetOf(d.seen.statuses())
	return fmt.Sprintf("%s  %s  %d in trouble  %s", now.Format(time.TimeOnly), f.hostsText(), len(f.trouble), f.unitsText())
}

// besides calls tell after each interval, until work is done.
func (d *demo) besides(tell func(now time.Time), interval time.Duration, work func() error) error {
	done := make(chan struct{})
	var teller conc.WaitGroup
	teller.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				tell(now)
			}
		}
	})
	err := work()
	close(done)
	teller.Wait()
	return err
}

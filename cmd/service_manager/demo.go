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
}

func (a *app) demoCommand() *cobra.Command {
	var flags demoFlags
	cmd := &cobra.Command{
		Use:   "demo [flags]",
		Short: "Watch simulated hosts; needs neither hosts nor a broker",
		Long: `Demo starts simulated hosts in this process, each a real SSH server on loopback with its own host
key, and collects from them as run would: the same connections, command, parser and messages. Only
what the hosts answer is made up; now and then a unit fails or restarts, or a host goes away.

Messages go to stdout as JSON lines, a summary line per sweep to stderr. With --broker they are
published instead. While it runs, the inventory that it names can be used from another terminal.`,
		Example: `  service_manager demo
  service_manager demo --once | jq -r '.routing_key'
  service_manager demo --hosts 100 --broker amqp://guest:guest@localhost:5672/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context(), flags)
		},
	}
	cmd.Flags().BoolVar(&flags.once, "once", false, "read every host once, then end")
	cmd.Flags().IntVar(&flags.hosts, "hosts", 5, "how many hosts to simulate")
	cmd.Flags().StringVar(&flags.broker, "broker", "", "publish to the RabbitMQ at this `URL` instead of printing")
	cmd.Flags().Uint64Var(&flags.seed, "seed", 0, "repeat the same course of events; 0 means a new one")
	return cmd
}

func (a *app) demo(ctx context.Context, flags demoFlags) error {
	if flags.hosts < 1 {
		return failed(exitUsage, fmt.Errorf("--hosts %d: simulate at least one", flags.hosts))
	}
	log := a.logger(slog.LevelWarn)
	dir, err := os.MkdirTemp("", "service_manager-demo-")
	if err != nil {
		return failed(exitOwn, err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // A demo's leftovers in the temporary folder hurt no one.
	simulated, err := fleet.Start(fleet.Config{Hosts: flags.hosts, Seed: flags.seed, Dir: dir})
	if err != nil {
		return failed(exitOwn, err)
	}
	defer simulated.Close()
	inv, err := inventory.Load(simulated.InventoryPath())
	if err != nil {
		return failed(exitOwn, err)
	}
	inv.Broker = inventory.Broker{URLs: []string{flags.broker}, Exchange: "service_manager", Declare: inventory.DeclareActive}
	var seen tally
	p := pipeline{inventory: inv, hosts: inv.Hosts, observe: seen.observe, log: log}
	if p.sender, err = a.sender(inv, log, flags.once, flags.broker == ""); err != nil {
		return err
	}
	if flags.once {
		err := p.sweep(ctx)
		fmt.Fprintln(a.stderr, seen.line(time.Now()))
		if ctx.Err() != nil && exitOf(err) == exitHost {
			return nil // Told to stop: no failure of a demo.
		}
		return err
	}
	fmt.Fprintf(a.stderr, "simulating %s; try in another terminal: service_manager status -i %s\nCtrl-C ends it\n",
		count(flags.hosts, "host"), simulated.InventoryPath())
	return a.watch(ctx, p, &seen, inv.Collector.Interval)
}

// watch runs p, and prints a line about the fleet after each interval.
func (a *app) watch(ctx context.Context, p pipeline, seen *tally, interval time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var printer conc.WaitGroup
	printer.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-ticker.C:
				fmt.Fprintln(a.stderr, seen.line(now))
			}
		}
	})
	err := p.run(ctx)
	cancel()
	printer.Wait()
	return err
}

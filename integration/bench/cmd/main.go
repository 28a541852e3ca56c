// Command cmd runs the benchmarks of package bench, all of them or those that are named as arguments. It prints their tables on stdout and
// writes the same as JSON. Where it is given no broker it starts one, in a container, if one is needed.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"service_manager/integration/bench"
	"service_manager/integration/broker"
)

// version is that of service_manager, set by the linker (-X main.version=v1.2.3).
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const (
	stack   = "integration/stack"
	project = "service_manager_bench"
)

// options are those of the command line. Folders are seen from the repository's top, where the command is to be run.
type options struct {
	bench.Run
	parts []bench.Part
	json  string
}

func parse(args []string) (options, error) {
	o := options{Run: bench.Run{
		Hosting: bench.Hosting{Stack: stack, Project: cmp.Or(os.Getenv("COMPOSE_PROJECT_NAME"), project), Peers: bench.AllPeers()},
		Sizes:   bench.FullSizes(),
	}}
	const folder = "integration/bench/results"
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: bench [FLAGS] [BENCHMARK...]\n\nBenchmarks: %s\n\nFlags:\n", names())
		fs.PrintDefaults()
	}
	fs.IntVar(&o.Rounds, "rounds", 5, "how often each thing is measured; the median counts")
	fs.DurationVar(&o.For, "for", 2*time.Second, "how long each measurement lasts")
	fs.DurationVar(&o.Interval, "interval", o.Interval, "of fleet: from one poll of a host to its next")
	fs.Func("fleets", "of fleet: how many are simulated, several numbers with commas between (default 1000,5000,10000)", func(text string) (err error) {
		o.Fleets, err = numbers(text)
		return err
	})
	fs.StringVar(&o.Broker, "broker", "", "URL of a RabbitMQ, with an account that may declare and delete (default a container of our own)")
	fs.IntVar(&o.Swept, "swept", o.Swept, "of sweep: how many real hosts")
	fs.StringVar(&o.Dir, "dir", folder, "where state files are made and removed, on the disk to be measured")
	fs.Func("scenes", `of fleet: measures only those whose names match a regular expression, such as "20 units" (default all)`, func(text string) (err error) {
		o.Scenes, err = regexp.Compile(text)
		return err
	})
	fs.StringVar(&o.Profiles, "profiles", "", "of fleet: folder to keep profiles in, of the CPU time of each round and of the memory after the last")
	fs.StringVar(&o.json, "json", filepath.Join(folder, time.Now().UTC().Format("20060102T150405Z.json")), "file to write")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if o.Rounds < 1 || o.For <= 0 || o.Swept < 1 || o.Interval < time.Second {
		return options{}, errors.New("-rounds, -for and -swept must be positive, and -interval 1s or more")
	}
	var err error
	o.parts, err = choose(fs.Args())
	return o, err
}

// numbers are those between the commas, all positive.
func numbers(text string) ([]int, error) {
	var all []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of simulated hosts", field)
		}
		all = append(all, n)
	}
	return all, nil
}

// names lists all benchmarks.
func names() string {
	var all []string
	for _, p := range bench.Parts() {
		all = append(all, p.Name)
	}
	return strings.Join(all, ", ")
}

// choose returns the parts of the given names, all that can be where there is none.
func choose(wanted []string) ([]bench.Part, error) {
	all := bench.Parts()
	if len(wanted) == 0 {
		if os.Geteuid() != 0 {
			all = slices.DeleteFunc(all, func(p bench.Part) bool {
				if p.NeedsHosts {
					fmt.Fprintf(os.Stderr, "bench: left out, since it takes root to read what hosts use: %s\n", p.Name)
				}
				return p.NeedsHosts
			})
		}
		return all, nil
	}
	var chosen []bench.Part
	for _, name := range wanted {
		i := slices.IndexFunc(all, func(p bench.Part) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no benchmark %q, but %s", name, names())
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	for _, folder := range []string{o.Dir, o.Profiles} {
		if folder == "" {
			continue
		}
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return err
		}
	}
	if o.Broker == "" && slices.ContainsFunc(o.parts, func(p bench.Part) bool { return p.NeedsBroker }) {
		b, err := broker.Start(ctx, stack, project)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.Stop(ctx)) }()
		o.Broker = b.URL("admin")
	}
	report := bench.Report{}
	command := strings.Join(append([]string{"go run ./integration/bench/cmd"}, args...), " ")
	if report.Machine, err = o.Describe(ctx, command, cmp.Or(version, "(devel)")); err != nil {
		return err
	}
	fmt.Fprintln(stdout, report.Machine)
	for _, p := range o.parts {
		t, err := p.Measure(ctx, o.Run)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, t)
		report.Tables = append(report.Tables, t)
		if err := report.Save(o.json); err != nil { // Each time: the next may fail.
			return err
		}
	}
	fmt.Fprintln(stdout, "written to", o.json)
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"slices"

	"service_manager/inventory"
	"service_manager/publish"
)

// howToStartBroker stands below why there is none.
const howToStartBroker = `start one, and then demo again:
  docker run --rm --publish 127.0.0.1:5672:5672 rabbitmq:4    # --broker amqp://guest:guest@localhost:5672/
  make up    # in a checkout; --broker amqp://admin:admin@localhost:5672/`

// The open files that simulated hosts take.
const (
	filesPerHost = 3 // a listener, and both ends of a connection
	filesToRead  = 1 // more of each host that is read from another terminal: the end of that connection
	filesBesides = 64
)

// checkOpenFiles sees that the hosts can be played, and raises the limit where that is possible.
func (d *demo) checkOpenFiles() error {
	limit, ok := raiseOpenFiles(uint64(d.flags.hosts*(filesPerHost+filesToRead) + filesBesides)) //nolint:gosec // G115: positive.
	if !ok {
		return nil
	}
	warning, err := fewFiles(d.flags.hosts, int(min(limit, math.MaxInt)))
	if warning != "" {
		fmt.Fprintln(d.app.stderr, warning)
	}
	return err
}

// fewFiles says what so many hosts want where they cannot be played, or cannot all be read from another terminal.
func fewFiles(hosts, limit int) (warning string, err error) {
	least, enough := hosts*filesPerHost+filesBesides, hosts*(filesPerHost+filesToRead)+filesBesides
	remedy := fmt.Sprintf("run ulimit -n %d before it, as root if need be", enough)
	switch possible := (limit - filesBesides) / (filesPerHost + filesToRead); {
	case limit >= enough:
		return "", nil
	case limit >= least:
		return fmt.Sprintf("only %d files may be open: from another terminal no more than %d hosts can be read at a time; for all of them %s",
			limit, (limit-least)/filesToRead, remedy), nil
	case possible > 0:
		remedy += fmt.Sprintf("; or simulate fewer: --hosts %d", possible)
	}
	return "", failed(exitOwn, fmt.Errorf("%s want %d open files, and only %d may be open: %s", count(hosts, "simulated host"), enough, limit, remedy))
}

// sender makes what the messages go to. A broker has to be there at the start.
func (d *demo) sender(ctx context.Context) (sender, error) {
	if d.flags.broker == "" {
		if d.flags.format == "jsonl" {
			return publish.NewWriter(d.app.stdout), nil
		}
		return onlooker{publish.NewWriter(io.Discard), d.feed.show}, nil
	}
	config := brokerConfig(&inventory.Inventory{
		Collector: inventory.Collector{Name: "demo"},
		Broker:    inventory.Broker{URLs: []string{d.flags.broker}, Exchange: "service_manager", Declare: inventory.DeclareActive},
	}, d.log)
	if d.flags.once {
		config.Attempts = 1
	}
	p, err := publish.New(config)
	if err != nil {
		return nil, failed(exitUsage, err)
	}
	d.footer.set("connecting to the broker")
	if err := knock(ctx, config); err != nil {
		advice := "or name another account: " + useBroker
		if _, ok := errors.AsType[*net.OpError](err); ok {
			advice = howToStartBroker
		}
		return nil, failed(exitBroker, fmt.Errorf("%w\n%s", err, advice))
	}
	if d.flags.format == "" || d.flags.once && d.flags.format == "text" {
		return p, nil
	}
	return onlooker{p, d.feed.show}, nil
}

// knock fails unless there is a broker that takes messages.
func knock(ctx context.Context, config publish.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config.Attempts, config.Log = 1, nil
	p, err := publish.New(config)
	if err != nil {
		return err
	}
	return p.Run(ctx, noMessages{asked: cancel})
}

// noMessages is a source of none. It is asked for one when there is a broker that would take it.
type noMessages struct{ asked func() }

func (s noMessages) Ready() <-chan struct{} { return nil }

func (s noMessages) Take() (publish.Message, bool) {
	s.asked()
	return publish.Message{}, false
}

func (s noMessages) Settle(publish.Message, publish.Fate) {}

// hint prints what can be tried in another terminal.
func (d *demo) hint(path string, inv *inventory.Inventory) {
	fmt.Fprintf(d.app.stderr, "simulating %s; try in another terminal:\n", count(d.flags.hosts, "host"))
	for _, arguments := range triable(inv) {
		fmt.Fprintf(d.app.stderr, "  %s %s -i %s\n", ownName(), arguments, shellWord(path))
	}
	if d.flags.format != "" {
		fmt.Fprintln(d.app.stderr, "what happens is seen here, too")
	}
	fmt.Fprintln(d.app.stderr, "Ctrl-C ends it")
}

// triable are commands for the hosts of the inventory. Certbot fails on the first one.
func triable(inv *inventory.Inventory) []string {
	web := slices.IndexFunc(inv.Hosts, func(h inventory.Host) bool { return h.Group == "web" })
	all := []string{
		"status",
		"status --failed",
		"status --watch",
		"restart nginx @web",
		"restart certbot " + inv.Hosts[web].Name,
		"logs certbot " + inv.Hosts[web].Name,
		"logs -f nginx @web",
	}
	if len(inv.Broker.URLs) > 0 { // From the file, which no one else can read, so that no password is seen.
		all = append(all, "tail 'event.#'")
	}
	return all
}

// ownName is how a shell in any folder finds this program.
func ownName() string {
	const name = "service_manager"
	own, err := os.Executable()
	if err != nil {
		return name
	}
	if found, err := exec.LookPath(name); err == nil && isSameFile(found, own) {
		return name
	}
	return shellWord(own)
}

func isSameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

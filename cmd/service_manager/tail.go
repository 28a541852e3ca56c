package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"service_manager/inventory"
	"service_manager/publish"
)

const useBroker = "--broker amqp://USER:PASSWORD@HOST:5672/" //nolint:gosec // a pattern, no password

// tailFlags are the flags of tail.
type tailFlags struct {
	broker, exchange string
	format           string
	count            int
}

func (a *app) tailCommand() *cobra.Command {
	var flags tailFlags
	cmd := &cobra.Command{
		Use:        "tail [flags] [KEY…]",
		Short:      "Print messages as they arrive at the broker",
		SuggestFor: []string{"listen", "consume", "subscribe"},
		Long: `Tail binds a temporary queue to the exchange and prints what arrives, a line per message; ! marks
trouble. A KEY is three words, kind.group.host, of which * stands for any one and # for any number;
none means '#', everything. The kinds are status, event and collector; a dot in a name is _ there.

The queue ends with its connection. When that is lost, tail connects again and says on stderr since
when messages were missed. It also says which events of a host are missing, by their numbers. Events
that arrive again are printed once. Whoever must miss nothing wants a durable queue instead.

The account of the collector may do no more than write, so --broker names another. For it, none of
the inventory is read unless -i is given too, and then only the exchange's name and ca_file count.
While tail runs, events that no other queue is bound for count as delivered.

Exit codes: 0 after Ctrl-C or COUNT messages; 3 usage or inventory error; 4 no broker at the start,
or it refuses; later it is waited for; 5 trouble with stdout.`,
		Example: `  service_manager tail --broker amqp://consumer:PASSWORD@localhost:5672/
  service_manager tail --broker amqps://consumer:PASSWORD@broker.example/ 'event.#' 'collector.#'
  service_manager tail -i inventory.toml '*.*.web-01'
  service_manager tail -n 1 -o jsonl 'event.web.*' | jq .body.event`,
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, keys []string) error {
			config, err := a.tailBroker(flags, cmd.Flag("inventory").Changed)
			if err != nil {
				return err
			}
			return a.tail(cmd.Context(), config, keys, flags)
		},
	}
	cmd.Flags().StringVar(&flags.broker, "broker", "", "receive from the RabbitMQ at this `URL` instead of the inventory's")
	cmd.Flags().StringVar(&flags.exchange, "exchange", "", "`name` of the exchange (default: the inventory's, else service_manager)")
	cmd.Flags().StringVarP(&flags.format, "output", "o", "text", `text, or jsonl: messages as {"routing_key": …, "body": {…}}, as they are`)
	cmd.Flags().IntVarP(&flags.count, "count", "n", 0, "end after so many messages; 0 means never")
	offerWords(cmd, "output", "text", "jsonl")
	return cmd
}

// tailBroker says from where to receive. Named is whether the inventory was asked for.
func (a *app) tailBroker(flags tailFlags, named bool) (publish.Config, error) {
	config := publish.Config{Exchange: "service_manager"}
	if flags.broker == "" || named {
		if _, err := os.Stat(a.inventory); !named && errors.Is(err, fs.ErrNotExist) {
			return config, failed(exitUsage, fmt.Errorf("there is no %s: name an inventory with -i, or a broker: %s", a.inventory, useBroker))
		}
		inv, err := inventory.Load(a.inventory)
		if err != nil {
			return config, failed(exitUsage, err)
		}
		config = brokerConfig(inv, nil)
		if flags.broker == "" && len(config.URLs) == 0 {
			return config, failed(exitUsage, fmt.Errorf("%s names no broker: name one: %s", a.inventory, useBroker))
		}
	}
	if flags.broker != "" {
		config.URLs = []string{flags.broker}
		config.CertFile, config.KeyFile, config.External = "", "", false // Of the collector's account.
		if !strings.HasPrefix(flags.broker, "amqps:") {
			config.CAFile = ""
		}
	}
	if flags.exchange != "" {
		config.Exchange = flags.exchange
	}
	config.ConnectionName = "service_manager tail"
	return config, nil
}

func (a *app) tail(ctx context.Context, broker publish.Config, keys []string, flags tailFlags) error {
	if flags.format != "text" && flags.format != "jsonl" {
		return failed(exitUsage, fmt.Errorf("-o %q: write text or jsonl", flags.format))
	}
	if flags.count < 0 {
		return failed(exitUsage, fmt.Errorf("-n %d: write how many messages to print, or 0 for no end", flags.count))
	}
	for _, key := range keys {
		if err := inventory.CheckBinding(key); err != nil {
			return failed(exitUsage, fmt.Errorf("the key %.60q %w", key, err))
		}
	}
	if len(keys) == 0 {
		keys = []string{"#"}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	v := newViewer(a.stdout, a.stderr, keys, flags)
	subscriber, err := publish.NewSubscriber(publish.SubscriberConfig{
		Broker: broker, Patterns: keys, Bound: v.bound, Lost: v.lost, Dropped: v.dropped,
	})
	if err != nil {
		return failed(exitUsage, err)
	}
	ended := make(chan error, 1)
	go func() {
		err := subscriber.Run(ctx, func(d publish.Delivery) {
			if v.show(d) {
				stop()
			}
		})
		stop()
		ended <- err
	}()
	<-ctx.Done()
	select {
	case err := <-ended:
		return v.exit(explainTail(err, flags))
	case <-time.After(senderEnds):
		// A write to a pipe that no one reads cannot be interrupted. The process ends, and the goroutine with it.
		return failed(exitOwn, errors.New("stdout does not take the messages: what reads it has stopped reading"))
	}
}

// explainTail adds to the refusal of an account how to use another.
func explainTail(err error, flags tailFlags) error {
	refused, ok := errors.AsType[*publish.BrokerError](err)
	if !ok || !refused.Forbidden() || flags.broker != "" {
		return err
	}
	return fmt.Errorf("%w\nthe inventory's account is the collector's, which can do without them: "+
		"rather name one that may receive: %s", err, useBroker)
}

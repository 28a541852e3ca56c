package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/publish"
)

const (
	// targetPublishes is the design's: confirmed publishes a second through one connection.
	targetPublishes = 5000
	// distinct is how many messages are made beforehand: so many that one is settled before its turn comes again.
	distinct = 2 * window
)

// publishes measures confirmed statuses through one connection, which are encoded beforehand.
func (r Run) publishes(ctx context.Context) (t Table, err error) {
	mm, err := statusMessages(distinct)
	if err != nil {
		return Table{}, err
	}
	x, err := newExchange(r.Broker)
	if err != nil {
		return Table{}, err
	}
	defer func() { err = errors.Join(err, x.delete()) }()
	t = Table{Title: fmt.Sprintf("Statuses of %d bytes by publish.Publisher, one connection, %d in flight", len(mm[0].Body), window)}
	for _, q := range []queueType{noQueue, classic, quorum} {
		rows, err := r.compare(ctx, contest{
			name: q.String(), each: "message",
			ours: func() (pace, error) {
				return x.through(q, func() (int, pace, error) { return r.publisher(ctx, x.name, mm) })
			},
			floors: []floor{{"amqp091-go", func() (pace, error) {
				return x.through(q, func() (int, pace, error) { return r.plain(ctx, x.name, mm) })
			}}},
		})
		if err != nil {
			return Table{}, err
		}
		rows[0].AtLeast = targetPublishes
		t.Rows = append(t.Rows, rows...)
	}
	return t, nil
}

// publisher publishes the messages in turn, and returns how many were confirmed. The first one is not measured: it shows that the
// connection works.
func (r Run) publisher(ctx context.Context, exchange string, mm []publish.Message) (confirmed int, p pace, err error) {
	s := newSupply(mm)
	alive, stop, err := r.start(ctx, exchange, s)
	if err != nil {
		return 0, pace{}, err
	}
	defer stop()
	if err := wait(alive, s.first); err != nil {
		return 0, pace{}, err
	}
	m := begin()
	s.open(time.Now().Add(r.For))
	if err := wait(alive, s.all); err != nil {
		return 0, pace{}, err
	}
	confirmed, err = s.result()
	return confirmed, m.read(confirmed - 1), err
}

// start runs a publisher until stop is called. Alive ends with it, whatever the reason.
func (r Run) start(ctx context.Context, exchange string, src publish.Source) (alive context.Context, stop func(), err error) {
	p, err := publish.New(publish.Config{
		URLs: []string{r.Broker}, Exchange: exchange, Declare: publish.DeclareNone, Window: window, Attempts: 1, ConnectionName: "bench",
	})
	if err != nil {
		return nil, nil, err
	}
	alive, end := context.WithCancelCause(ctx)
	var running conc.WaitGroup
	running.Go(func() { end(p.Run(alive, src)) })
	return alive, func() { end(nil); running.Wait() }, nil
}

// wait waits until something is done.
func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

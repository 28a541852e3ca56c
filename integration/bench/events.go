package bench

import (
	"context"
	"errors"
	"fmt"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// events measures events from end to end, of Sizes.Hosts at a time: committed to the disk with a host's state, taken, confirmed by the
// broker and deleted. Of one host one event is in flight. The floor publishes the same events, but neither encodes nor stores them.
func (r Run) events(ctx context.Context) (t Table, err error) {
	mm, err := eventMessages(distinct)
	if err != nil {
		return Table{}, err
	}
	x, err := newExchange(r.Broker)
	if err != nil {
		return Table{}, err
	}
	defer func() { err = errors.Join(err, x.delete()) }()
	t = Table{Title: fmt.Sprintf("Events of %d bytes, each committed with a state of %d bytes, taken, confirmed and deleted; one of a host in flight",
		len(mm[0].Body), stateSize)}
	for _, q := range []queueType{classic, quorum} {
		for _, n := range r.Hosts {
			rows, err := r.compare(ctx, contest{
				name: fmt.Sprintf("%v, %d hosts", q, n), each: "event",
				ours: func() (pace, error) {
					return x.through(q, func() (int, pace, error) { return r.endToEnd(ctx, x.name, n) })
				},
				floors: []floor{{"amqp091-go", func() (pace, error) {
					return x.through(q, func() (int, pace, error) { return r.plain(ctx, x.name, mm) })
				}}},
			})
			if err != nil {
				return Table{}, err
			}
			t.Rows = append(t.Rows, rows...)
		}
	}
	return t, nil
}

// endToEnd has each of n hosts commit one event after the other, and returns how many the broker confirmed: all.
func (r Run) endToEnd(ctx context.Context, exchange string, n int) (confirmed int, p pace, err error) {
	path, remove, err := r.stateFile()
	if err != nil {
		return 0, pace{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	o, err := openOutbox(path)
	if err != nil {
		return 0, pace{}, err
	}
	m, err := r.pump(ctx, exchange, o, n)
	err = errors.Join(err, o.Close())    // After which all are deleted.
	confirmed = int(o.Stats().Committed) //nolint:gosec // those of a few seconds
	p = m.read(confirmed - 1)
	if err != nil {
		return 0, pace{}, err
	}
	return confirmed, p, isEmpty(path)
}

// pump commits for a time, and publishes until all is confirmed. The first event is not measured: it shows that the connection works.
func (r Run) pump(ctx context.Context, exchange string, o *outbox.Outbox, hosts int) (meter, error) {
	alive, stop, err := r.start(ctx, exchange, o)
	if err != nil {
		return meter{}, err
	}
	defer stop()
	s := state()
	if err := o.Commit(hostName(0), s, []publish.Event{event(hostName(0))}); err != nil {
		return meter{}, err
	}
	if err := o.Drain(alive); err != nil {
		return meter{}, err
	}
	m := begin()
	_, err = spread(alive, hosts, r.For, func(worker, _ int) error {
		host := hostName(worker)
		return o.Commit(host, s, []publish.Event{event(host)})
	})
	return m, errors.Join(err, o.Drain(alive))
}

// isEmpty fails if there are events in the state file.
func isEmpty(path string) error {
	o, err := openOutbox(path)
	if err != nil {
		return err
	}
	if n := o.Len(); n > 0 {
		err = fmt.Errorf("%d events that were confirmed are still in the state file", n)
	}
	return errors.Join(err, o.Close())
}

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"service_manager/publish"
)

// committedHosts is how many hosts the committers share, each its own ones. All have a state before it is measured.
const committedHosts = 1000

// commits measures commits of a host's state with one event, by Sizes.Committers at a time. There are two floors, which store as many
// bytes under one key: a transaction for each commit, and bbolt's own way to share one.
func (r Run) commits(ctx context.Context) (Table, error) {
	mm, err := eventMessages(1)
	if err != nil {
		return Table{}, err
	}
	size := stateSize + len(mm[0].Body)
	t := Table{Title: fmt.Sprintf("Commits of a state of %d bytes with an event of %d", stateSize, len(mm[0].Body))}
	for _, n := range r.Committers {
		rows, err := r.compare(ctx, contest{
			name: fmt.Sprintf("%d at a time", n), each: "commit",
			ours: func() (pace, error) { return r.outboxCommits(ctx, n) },
			floors: []floor{
				{"bbolt Update", func() (pace, error) { return r.boltCommits(ctx, n, size, (*bbolt.DB).Update) }},
				{"bbolt Batch", func() (pace, error) { return r.boltCommits(ctx, n, size, (*bbolt.DB).Batch) }},
			},
		})
		if err != nil {
			return Table{}, err
		}
		t.Rows = append(t.Rows, rows...)
	}
	return t, nil
}

// turn is the host of a worker's turn. No two of n workers have the same.
func turn(worker, i, n int) string {
	own := (committedHosts - worker + n - 1) / n // How many hosts the worker has.
	return hostName(worker + i%own*n)
}

// outboxCommits commits by the outbox, where no one takes the events.
func (r Run) outboxCommits(ctx context.Context, n int) (p pace, err error) {
	path, remove, err := r.stateFile()
	if err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	o, err := openOutbox(path)
	if err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if err := fill(o, committedHosts, 0); err != nil {
		return pace{}, err
	}
	s, m := state(), begin()
	calls, err := spread(ctx, n, r.For, func(worker, i int) error {
		host := turn(worker, i, n)
		return o.Commit(host, s, []publish.Event{event(host)})
	})
	return m.read(calls), err
}

// boltCommits commits by bbolt alone.
func (r Run) boltCommits(ctx context.Context, n, size int, in func(*bbolt.DB, func(*bbolt.Tx) error) error) (p pace, err error) {
	path, remove, err := r.stateFile()
	if err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	db, err := openBolt(path)
	if err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	bucket, value := []byte("hosts"), bytes.Repeat([]byte("s"), size)
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(bucket)
		for i := 0; err == nil && i < committedHosts; i++ {
			err = b.Put([]byte(hostName(i)), value)
		}
		return err
	})
	if err != nil {
		return pace{}, err
	}
	m := begin()
	calls, err := spread(ctx, n, r.For, func(worker, i int) error {
		key := []byte(turn(worker, i, n))
		return in(db, func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
	})
	return m.read(calls), err
}

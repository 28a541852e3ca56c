package bench

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"go.etcd.io/bbolt"
)

// opens measures how long outbox.Open takes: of a file with Sizes.States and no event, and of one with Sizes.Waiting events of a thousand
// hosts. The file is as a run has left it, and in the page cache.
func (r Run) opens(ctx context.Context) (Table, error) {
	const hosts = 1000
	t := Table{Title: fmt.Sprintf("outbox.Open, which checks every value; states of %d bytes", stateSize)}
	for _, c := range []struct {
		name          string
		hosts, events int // events of each
	}{
		{fmt.Sprintf("%d states", r.States), r.States, 0},
		{fmt.Sprintf("%d events", r.Waiting), hosts, r.Waiting / hosts},
	} {
		row, err := r.open(ctx, c.hosts, c.events)
		if err != nil {
			return Table{}, fmt.Errorf("%s: %w", c.name, err)
		}
		row.Case = c.name + row.Case
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

// open measures one file. The case is the file's size.
func (r Run) open(ctx context.Context, hosts, events int) (row Row, err error) {
	path, remove, err := r.stateFile()
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	o, err := openOutbox(path)
	if err != nil {
		return Row{}, err
	}
	if err := errors.Join(fill(o, hosts, events), o.Close()); err != nil {
		return Row{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Row{}, err
	}
	row = Row{Case: fmt.Sprintf(", %.1f MB", float64(info.Size())/1e6), Unit: "s", Floor: "bbolt, all values read"}
	for range r.Rounds {
		if err := ctx.Err(); err != nil {
			return Row{}, err
		}
		ours, err := openCopy(path, hosts, hosts*events)
		if err != nil {
			return Row{}, err
		}
		floor, err := readAll(path)
		if err != nil {
			return Row{}, err
		}
		row = row.with(ours.Seconds(), floor.Seconds())
	}
	return row, nil
}

// openCopy opens a copy of the file, since Open may put a smaller one in its place, and checks what it has found there.
func openCopy(path string, states, events int) (took time.Duration, err error) {
	copied := path + ".copy"
	if err := copyFile(copied, path); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.Remove(copied)) }()
	m := begin()
	o, err := openOutbox(copied)
	took = time.Since(m.began)
	if err != nil {
		return 0, err
	}
	if gotStates, gotEvents := len(o.States()), o.Len(); gotStates != states || gotEvents != events {
		err = fmt.Errorf("%d states and %d events were found, want %d and %d", gotStates, gotEvents, states, events)
	}
	return took, errors.Join(err, o.Close())
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // It was only read.
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// readAll opens the file by bbolt alone and reads every value once.
func readAll(path string) (took time.Duration, err error) {
	m := begin()
	db, err := openBolt(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	sum := crc32.NewIEEE()
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(_, value []byte) error {
				_, err := sum.Write(value)
				return err
			})
		})
	})
	return time.Since(m.began), err
}

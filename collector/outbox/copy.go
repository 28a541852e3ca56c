package outbox

import (
	"os"

	"go.etcd.io/bbolt"
)

// copyBytes is how much of a copy is written in one transaction, which holds it in memory.
const copyBytes = 4 << 20

// A copier writes a new state file, without syncs, value by value as they are stored. Its errors are copyErrors.
type copier struct {
	db    *bbolt.DB
	tx    *bbolt.Tx
	bytes int // In tx.
}

// begin makes the file.
func (c *copier) begin(path, epoch string) error {
	db, err := create(path, epoch)
	if err != nil {
		return &copyError{err}
	}
	c.db = db
	return nil
}

// put takes the values of a bucket in the order of their keys.
func (c *copier) put(bucket string, key, sealed []byte) error {
	if c.bytes >= copyBytes {
		if err := c.commit(); err != nil {
			return err
		}
	}
	if c.tx == nil {
		tx, err := c.db.Begin(true)
		if err != nil {
			return &copyError{err}
		}
		c.tx = tx
	}
	b := c.tx.Bucket([]byte(bucket))
	b.FillPercent = appendFill
	c.bytes += len(key) + len(sealed)
	if err := b.Put(key, append([]byte(nil), sealed...)); err != nil {
		return &copyError{err}
	}
	return nil
}

func (c *copier) commit() error {
	if c.tx == nil {
		return nil
	}
	tx := c.tx
	c.tx, c.bytes = nil, 0
	if err := tx.Commit(); err != nil {
		return &copyError{err}
	}
	return nil
}

// end completes the file, which is to be synced.
func (c *copier) end(s sums) error {
	if err := c.commit(); err != nil {
		return err
	}
	if err := c.db.Update(func(tx *bbolt.Tx) error { return putMeta(tx, sumsKey, s.encode()) }); err != nil {
		return &copyError{err}
	}
	return nil
}

// abandon removes what there is of the file.
func (c *copier) abandon(path string) {
	if c.tx != nil {
		_ = c.tx.Rollback()
	}
	if c.db != nil {
		_ = c.db.Close() // Nothing of it is wanted.
	}
	_ = os.Remove(path) // As above; the next Open removes it too.
}

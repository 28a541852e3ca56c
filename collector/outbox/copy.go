package outbox

import (
	"errors"
	"os"

	"go.etcd.io/bbolt"
)

// copyBytes is how much of a copy is written in one transaction, which holds it in memory.
const copyBytes = 4 << 20

// replace puts a copy of the state file, which was checked, in its place. Should it fail the file is as it was.
func replace(path string, c *contents) error {
	db, err := create(path+".new", c.epoch)
	if err != nil {
		return err
	}
	if err := copyTo(db, path); err != nil {
		return errors.Join(err, db.Close(), os.Remove(path+".new"))
	}
	return install(db, path)
}

// copyTo copies the state file at path, value by value as they are stored, without syncs.
func copyTo(db *bbolt.DB, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	info, err := f.Stat()
	if err != nil {
		return err
	}
	to := copier{db: db}
	c, err := readContents(f, info.Size(), to.put)
	if err != nil {
		return errors.Join(err, to.rollback())
	}
	if err := to.commit(); err != nil {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(putMeta(tx, clockKey, encodeClock(c.clock)), putMeta(tx, sumsKey, c.sums.encode()))
	})
}

// A copier writes values in the order of their keys, a few megabytes at a time.
type copier struct {
	db    *bbolt.DB
	tx    *bbolt.Tx // Nil between transactions.
	bytes int       // In tx.
}

func (c *copier) put(bucket string, key, sealed []byte) error {
	if c.bytes >= copyBytes {
		if err := c.commit(); err != nil {
			return err
		}
	}
	if c.tx == nil {
		tx, err := c.db.Begin(true)
		if err != nil {
			return err
		}
		c.tx = tx
	}
	b := c.tx.Bucket([]byte(bucket))
	b.FillPercent = appendFill
	c.bytes += len(key) + len(sealed)
	return b.Put(key, append([]byte(nil), sealed...)) // Until the commit.
}

func (c *copier) commit() error {
	if c.tx == nil {
		return nil
	}
	tx := c.tx
	c.tx, c.bytes = nil, 0
	return tx.Commit()
}

func (c *copier) rollback() error {
	if c.tx == nil {
		return nil
	}
	return c.tx.Rollback()
}

package outbox

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// boltOptions are those for the state file. The list of free pages stays in memory: after a long outage it has many thousands, and would be
// written with each transaction; Open makes it anew.
func boltOptions() *bbolt.Options {
	return &bbolt.Options{
		Timeout:        time.Second,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		NoStatistics:   true,
	}
}

// A file is the state file in use. Its methods may be called at the same time, but update only by one goroutine.
type file struct {
	db     *bbolt.DB
	sums   sums
	broken error // Why nothing can be written any more.

	// fault is the first panic. It has left bbolt with its locks held, so that nothing may be called any more.
	fault atomic.Pointer[faultError]
}

// openFile opens a file that was checked.
func openFile(path string, s sums) (f *file, err error) {
	f = &file{sums: s}
	defer f.caught(&err)()
	if f.db, err = bbolt.Open(path, 0o600, boltOptions()); err != nil {
		return nil, err
	}
	return f, nil
}

// caught makes an error of a panic of bbolt, also where it reads what the mapped file no longer has: because the disk failed, or
// someone truncated the file. The function that it returns is to be deferred in the same goroutine.
func (f *file) caught(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			fault := &faultError{cause: p}
			f.fault.CompareAndSwap(nil, fault)
			*err = fault
		}
	}
}

// A faultError is a panic while the state file was read or written.
type faultError struct{ cause any }

// ofMemory reports whether the mapped file could not be read: the disk has failed, or the file is not as long any more.
func (e *faultError) ofMemory() bool {
	_, ok := e.cause.(interface{ Addr() uintptr })
	return ok
}

func (e *faultError) Error() string { return fmt.Sprintf("the state file cannot be used: %v", e.cause) }

// create makes a new state file without hosts at path, not yet synced.
func create(path, epoch string) (*bbolt.DB, error) {
	options := boltOptions()
	options.NoSync, options.NoGrowSync = true, true
	db, err := bbolt.Open(path, 0o600, options)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{metaBucket, hostsBucket, eventsBucket, quarantineBucket, returnsBucket, overflowsBucket} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		var none sums
		return errors.Join(
			putMeta(tx, formatKey, []byte(strconv.Itoa(formatVersion))),
			putMeta(tx, epochKey, []byte(epoch)),
			putMeta(tx, clockKey, encodeClock(0)),
			putMeta(tx, sumsKey, none.encode()))
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func putMeta(tx *bbolt.Tx, key string, value []byte) error {
	return tx.Bucket([]byte(metaBucket)).Put([]byte(key), seal([]byte(key), value))
}

// value returns a copy of what is stored under the key, nil if there is nothing.
func (f *file) value(bucket string, key []byte) (value []byte, err error) {
	if fault := f.fault.Load(); fault != nil {
		return nil, fault
	}
	defer f.caught(&err)()
	err = f.db.View(func(tx *bbolt.Tx) error {
		sealed := tx.Bucket([]byte(bucket)).Get(key)
		if sealed == nil {
			return nil
		}
		v, err := unseal(key, append([]byte(nil), sealed...))
		value = v
		return err
	})
	return value, err
}

// update runs change as one transaction, which is on the disk when it returns nil. Otherwise nothing has changed. After an error that
// leaves it open what is on the disk, such as a failed sync, the file takes no more until it is opened anew: the kernel may have
// forgotten what it could not write.
func (f *file) update(change func(*transaction) error) error {
	if f.broken != nil {
		return f.broken
	}
	after, err := f.try(change)
	if err == nil {
		f.sums = after
		return nil
	}
	if fault := f.fault.Load(); fault != nil {
		f.broken = fmt.Errorf("%w; restart service_manager", fault)
		return f.broken
	}
	if commit, readErr := f.lastCommit(); readErr != nil || commit != f.sums.commit {
		f.broken = fmt.Errorf("a write to the state file may or may not have succeeded; restart service_manager: %w", errors.Join(err, readErr))
		return f.broken
	}
	return err
}

// try is update's one try. It does without db.Update, which after a panic would scan all of the file, in a goroutine of its own, where
// what it cannot read ends the process. A commit that fails has bbolt do the same: a disk that fails to write, and then to read as
// well, can still end it.
func (f *file) try(change func(*transaction) error) (after sums, err error) {
	if fault := f.fault.Load(); fault != nil {
		return sums{}, fault
	}
	defer f.caught(&err)()
	after = f.sums
	after.commit++
	tx, err := f.db.Begin(true)
	if err != nil {
		return after, err
	}
	if err = change(&transaction{tx: tx, sums: &after}); err == nil {
		err = putMeta(tx, sumsKey, after.encode())
	}
	if err != nil {
		return after, errors.Join(err, tx.Rollback())
	}
	return after, tx.Commit()
}

func (f *file) lastCommit() (uint64, error) {
	b, err := f.value(metaBucket, []byte(sumsKey))
	if err != nil {
		return 0, err
	}
	s, err := decodeSums(b)
	return s.commit, err
}

func (f *file) close() error {
	if f.fault.Load() == nil {
		return f.db.Close()
	}
	return nil // Closing could wait for ever for a lock of bbolt. The process ends anyway, and the kernel closes the file.
}

// A transaction changes the state file and keeps the sums.
type transaction struct {
	tx   *bbolt.Tx
	sums *sums
}

// put stores a value, in place of one that is there.
func (t *transaction) put(bucket string, key, value []byte) error {
	sum := sumOf(bucket)
	b := t.tx.Bucket([]byte(bucket))
	if bucket == eventsBucket {
		b.FillPercent = appendFill
	}
	if before := b.Get(key); before != nil {
		t.sums.buckets[sum].remove(before)
	}
	sealed := seal(key, value)
	t.sums.buckets[sum].add(sealed)
	return b.Put(key, sealed)
}

// appendFill is how full bbolt makes pages of a bucket whose keys only rise.
const appendFill = 0.95

// remove deletes a value, if there is one.
func (t *transaction) remove(bucket string, key []byte) error {
	sum := sumOf(bucket)
	b := t.tx.Bucket([]byte(bucket))
	before := b.Get(key)
	if before == nil {
		return nil
	}
	t.sums.buckets[sum].remove(before)
	return b.Delete(key)
}

// value returns what is stored, good until the transaction ends; nil if there is nothing.
func (t *transaction) value(bucket string, key []byte) ([]byte, error) {
	sealed := t.tx.Bucket([]byte(bucket)).Get(key)
	if sealed == nil {
		return nil, nil
	}
	return unseal(key, sealed)
}

// putClock keeps the outbox's clock.
func (t *transaction) putClock(clock time.Duration) error {
	return putMeta(t.tx, clockKey, encodeClock(clock))
}

// count is how many values a bucket has.
func (t *transaction) count(bucket string) uint64 {
	sum := sumOf(bucket)
	return t.sums.buckets[sum].count
}

// first returns the least key of a bucket.
func (t *transaction) first(bucket string) []byte {
	key, _ := t.tx.Bucket([]byte(bucket)).Cursor().First()
	return key
}

// syncDir makes the names in a directory last.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

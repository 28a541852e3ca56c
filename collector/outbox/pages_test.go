package outbox_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"service_manager/collector/outbox"
)

// TestWhatBoltWritesPasses has bbolt put and delete at random, so that its trees grow, split, merge and shrink, and wants each file to
// be found whole.
func TestWhatBoltWritesPasses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "any.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // Of no use any more.
	r := rand.New(rand.NewPCG(7, 8))
	model := map[string]bool{}
	for round := range 400 {
		shrink := round/40%2 == 1
		err := db.Update(func(tx *bbolt.Tx) error {
			for range r.IntN(60) {
				name, key := fmt.Sprintf("bucket-%d", r.IntN(3)), fmt.Sprintf("%0*d", 1+r.IntN(40), r.IntN(600))
				bucket, err := tx.CreateBucketIfNotExists([]byte(name))
				if err != nil {
					return err
				}
				if r.IntN(10) < 3 || shrink {
					if at, _ := bucket.Cursor().Seek([]byte(key)); at != nil && shrink {
						key = string(at) // The first one of a page among them.
					}
					delete(model, name+key)
					if err := bucket.Delete([]byte(key)); err != nil {
						return err
					}
					continue
				}
				model[name+key] = true
				if err := bucket.Put([]byte(key), make([]byte, r.IntN(r.IntN(6000)+1))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := outbox.Walk(file); err != nil || keys != len(model) {
			t.Fatalf("round %d: %d keys of %d: %v", round, keys, len(model), err)
		}
	}
}

package bench

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/sourcegraph/conc/pool"
	"go.etcd.io/bbolt"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// stateFile returns the path of a state file that is not there yet, and what removes it.
func (r Run) stateFile() (path string, remove func() error, err error) {
	dir, err := os.MkdirTemp(r.Dir, "state-")
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(dir, "state.db"), func() error { return os.RemoveAll(dir) }, nil
}

func openOutbox(path string) (*outbox.Outbox, error) {
	return outbox.Open(outbox.Config{Path: path, Collector: collector})
}

// openBolt opens a file by bbolt alone, with the options that the outbox uses.
func openBolt(path string) (*bbolt.DB, error) {
	return bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoStatistics: true})
}

// fill commits a state of each of so many hosts, with so many events of each.
func fill(o *outbox.Outbox, hosts, events int) error {
	s := state()
	commits := pool.New().WithErrors().WithFirstError().WithMaxGoroutines(1000)
	for i := range hosts {
		commits.Go(func() error {
			host := hostName(i)
			return o.Commit(host, s, slices.Repeat([]publish.Event{event(host)}, events))
		})
	}
	return commits.Wait()
}

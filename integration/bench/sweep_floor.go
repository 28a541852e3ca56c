package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/sourcegraph/conc/pool"

	"service_manager/integration/farm"
)

// floors is how many floors a sweep has.
const floors = 2

// newFloors are sweeps without SSH: on each host a shell is told to run the command line, by the kernel alone. There are two: the program's
// command line, and systemctl alone.
func newFloors(ctx context.Context, f *farm.Farm) (_ []sweeper, closeAll func() error, err error) {
	q := newQuestion(watchedUnits())
	whole, err := q.commandLine()
	if err != nil {
		return nil, nil, err
	}
	bare, err := q.bare()
	if err != nil {
		return nil, nil, err
	}
	var runners []*farm.Runner
	closeAll = func() (err error) {
		for _, r := range runners {
			err = errors.Join(err, r.Close())
		}
		return err
	}
	for _, h := range f.Hosts {
		r, err := h.Runner(ctx, whole, bare)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		runners = append(runners, r)
	}
	if err := acquaint(ctx, runners); err != nil {
		return nil, nil, errors.Join(err, closeAll())
	}
	return []sweeper{
		newFloor("no SSH", runners, 0, q.check),
		newFloor("no SSH, systemctl alone", runners, 1, q.checkBare),
	}, closeAll, nil
}

// acquaint asks every host once, few at a time. At the first time PID 1 looks for the files of each unit (UnitFileState), which takes it
// long, and remembers what it has found.
func acquaint(ctx context.Context, runners []*farm.Runner) error {
	all := pool.New().WithContext(ctx).WithFirstError().WithMaxGoroutines(2 * runtime.NumCPU())
	for _, r := range runners {
		all.Go(func(context.Context) error {
			_, err := r.Run(0, askLimit)
			return err
		})
	}
	return all.Wait()
}

// newFloor is the sweep in which all hosts run one of their runners' command lines at once.
func newFloor(name string, runners []*farm.Runner, command int, check func(answer []byte) error) sweeper {
	answers := make([][]byte, len(runners))
	return sweeper{
		name: name,
		sweep: func(ctx context.Context) (time.Duration, error) {
			began := time.Now()
			all := pool.New().WithContext(ctx).WithFirstError()
			for i, r := range runners {
				all.Go(func(context.Context) (err error) {
					answers[i], err = r.Run(command, askLimit)
					return err
				})
			}
			err := all.Wait()
			return time.Since(began), err
		},
		check: func() error {
			for i, answer := range answers {
				if err := check(answer); err != nil {
					return fmt.Errorf("answer %d: %w", i, err)
				}
			}
			return nil
		},
	}
}

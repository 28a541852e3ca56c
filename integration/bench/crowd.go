package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// spareFiles is how many a process of simulated hosts opens, beside a listener and a connection for each host.
const spareFiles = 500

// A crowd is simulated hosts in processes of their own: as many as it takes for all to have their sockets.
type crowd []*quarter

// A quarter is one of the processes.
type quarter struct {
	*process
	hosts     int
	inventory string
	orders    io.WriteCloser
	answers   *json.Decoder
}

// gather starts simulated hosts as a says, and returns when all can be reached. Their inventories are in a.Dir.
func gather(ctx context.Context, programs string, a assignment) (crowd, error) {
	most := max(1, (openFiles()-spareFiles)/2)
	n := (a.Hosts + most - 1) / most
	var c crowd
	for i := range n {
		part := a
		part.Hosts = a.Hosts*(i+1)/n - a.Hosts*i/n
		part.After, part.Changes = i*most, a.Changes*float64(part.Hosts)/float64(a.Hosts)
		part.Dir = filepath.Join(a.Dir, strconv.Itoa(i))
		q, err := settle(ctx, programs, part)
		if err != nil {
			return nil, errors.Join(err, c.disperse())
		}
		c = append(c, q)
	}
	return c, nil
}

// settle starts one process.
func settle(ctx context.Context, programs string, a assignment) (*quarter, error) {
	q := &quarter{hosts: a.Hosts}
	p, _, err := launch(ctx, filepath.Join(programs, "simulate"), func(cmd *exec.Cmd) error {
		// What they do comes one after the other, so that another thread is woken up in vain; and they have memory to spare for garbage.
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400")
		orders, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		answers, err := cmd.StdoutPipe()
		q.orders, q.answers = orders, json.NewDecoder(answers)
		return err
	})
	if err != nil {
		return nil, err
	}
	q.process = p
	if err := q.ask(a, &q.inventory); err != nil {
		return nil, errors.Join(err, q.disperse())
	}
	return q, nil
}

// ask gives an order, and waits for the answer.
func (q *quarter) ask(order, answer any) error {
	if err := json.NewEncoder(q.orders).Encode(order); err != nil {
		return fmt.Errorf("telling the simulated hosts what to do: %w", err)
	}
	if err := q.answers.Decode(answer); err != nil {
		return fmt.Errorf("waiting for the simulated hosts: %w", err)
	}
	return nil
}

// disperse ends the process.
func (q *quarter) disperse() error {
	_ = q.orders.Close() // On which it ends of itself.
	q.waits.Wait()
	return q.stop()
}

func (c crowd) disperse() error {
	var err error
	for _, q := range c {
		err = errors.Join(err, q.disperse())
	}
	return err
}

// inventories are all of which one is made.
func (c crowd) inventories() []string {
	var paths []string
	for _, q := range c {
		paths = append(paths, q.inventory)
	}
	return paths
}

// befall has shares of the hosts hang and refuse, and returns which those are.
func (c crowd) befall(frozen, gone float64) ([]string, error) {
	var sick []string
	for _, q := range c {
		var some []string
		t := trouble{Freeze: int(frozen * float64(q.hosts)), Leave: int(gone * float64(q.hosts))}
		if err := q.ask(t, &some); err != nil {
			return nil, err
		}
		sick = append(sick, some...)
	}
	return sick, nil
}

// cpu is what all of them have used so far.
func (c crowd) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, q := range c {
		used, err := q.cpu()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/inventory"
	"service_manager/publish"
)

// A disk that hangs holds whoever waits for it, for ever. The program ends in time all the same.
func TestEndsThoughTheDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline{inventory: &inventory.Inventory{Collector: inventory.Collector{Name: "fleet-a"}}, log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gone := make(chan struct{})
		began := time.Now()
		_, err := p.do(ctx, func(context.Context, *collector.Collector) error {
			<-gone
			return nil
		})
		if took := time.Since(began); exitOf(err) != exitOwn || !errors.Is(err, errStuck) || took < time.Minute || took > time.Minute+10*time.Second {
			t.Errorf("after %v: exit code %d, %v", took, exitOf(err), err)
		}
		close(gone) // So that no goroutine is left of the test.
	})
}

// A deafSender takes messages, and nothing comes of them.
type deafSender struct{ broker string }

func (s deafSender) Stats() publish.Stats { return publish.Stats{Broker: s.broker} }

func (deafSender) Run(ctx context.Context, source publish.Source) error {
	source.Take()
	<-ctx.Done()
	return nil
}

// The end says what the broker lacked, and what is left.
func TestDrainSaysWhy(t *testing.T) {
	for broker, want := range map[string]string{
		"":       "no connection to a broker within 45s, not delivered: 1 status message that the broker has not confirmed; they are not kept",
		"a:5672": "no confirm within 45s, not delivered: 1 status message that the broker has not confirmed; they are not kept",
	} {
		synctest.Test(t, func(t *testing.T) {
			p := pipeline{inventory: &inventory.Inventory{Collector: inventory.Collector{Name: "fleet-a"}}, sender: deafSender{broker}}
			box, err := p.open()
			if err != nil {
				t.Fatal(err)
			}
			box.PutStatus(publish.Status{ID: "1", Host: publish.HostRef{Name: "a", Group: "web"}, Outcome: "ok"})
			if err := drain(t.Context(), t.Context(), box, newRelay(p.sender)); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if err := box.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

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

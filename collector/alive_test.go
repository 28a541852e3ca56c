package collector_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
)

// What is not the collector's fault does not count against it: hosts that hang, or that have no turn for a day.
func TestAliveWhateverTheHostsDo(t *testing.T) {
	for name, pool := range map[string]*fakePool{
		"idle": {},
		"hanging": {poll: func(context.Context, string) (hosts.Snapshot, error) {
			time.Sleep(8 * time.Second)
			return hosts.Snapshot{}, failure(hosts.Timeout)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				interval := 24 * time.Hour
				if name == "hanging" {
					interval = 10 * time.Second
				}
				many := fleet(200, interval)
				for i := range many {
					many[i].Timeout, many[i].ConnectTimeout = 8*time.Second, 5*time.Second
				}
				r, stop := startReloadable(t, collector.Config{Hosts: many, Pool: pool, Parallel: 2, Dials: 2})
				defer stop()
				for range 600 {
					time.Sleep(time.Second)
					if err := r.Alive(time.Now()); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// A disk that takes no writes ends the progress.
func TestNotAliveWhenCommitsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		box := &fakeOutbox{commit: func(string) error { <-release; return nil }}
		r, stop := startReloadable(t, collector.Config{Hosts: fleet(3, 10*time.Second), Pool: &fakePool{}, Outbox: box})
		time.Sleep(25 * time.Second)
		if err := r.Alive(time.Now()); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(time.Minute)
		if r.Alive(time.Now()) == nil {
			t.Error("it is taken to be alive")
		}
		close(release)
		time.Sleep(15 * time.Second)
		if err := r.Alive(time.Now()); err != nil {
			t.Errorf("when the disk is back: %v", err)
		}
		stop()
		time.Sleep(time.Minute)
		if r.Alive(time.Now()) == nil {
			t.Error("it is taken to be alive a minute after its end")
		}
	})
}

func TestNotAliveBeforeRun(t *testing.T) {
	c, err := collector.New(collector.Config{Name: "fleet-a", Pool: &fakePool{}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Alive(time.Now()) == nil {
		t.Error("it is taken to be alive")
	}
}

// A poll that a reload finds under way may take as long as it might before, and no later one.
func TestAliveAfterAReloadWithShorterTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{poll: func(context.Context, string) (hosts.Snapshot, error) {
			time.Sleep(2 * time.Minute)
			return hosts.Snapshot{}, failure(hosts.Timeout)
		}}
		all := fleet(1, 10*time.Minute)
		all[0].Timeout = 2 * time.Minute
		r, stop := startReloadable(t, collector.Config{Hosts: all, Pool: pool})
		defer stop()
		time.Sleep(100 * time.Second)
		r.reload(nil)
		for range 60 {
			time.Sleep(time.Second)
			if err := r.Alive(time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		box := &fakeOutbox{commit: func(string) error { <-release; return nil }}
		all := fleet(1, 10*time.Minute)
		all[0].Timeout = 2 * time.Minute
		r, stop := startReloadable(t, collector.Config{Hosts: all, Pool: &fakePool{}, Outbox: box})
		time.Sleep(time.Second)
		for range 10 {
			r.reload(nil)
		}
		time.Sleep(5 * time.Minute)
		if r.Alive(time.Now()) == nil {
			t.Error("it is taken to be alive, with a commit that hangs for longer than polls took before the reload")
		}
		close(release)
		stop()
	})
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"service_manager/collector"
	"service_manager/publish"
)

// statusEvery is how often "systemctl status" gets a new line.
const statusEvery = 5 * time.Second

// A notifier tells systemd how the service is, by sd_notify(3). Its zero value tells nothing, as where no one has asked for it.
type notifier struct {
	log *slog.Logger
}

func (n notifier) ready() { n.send(daemon.SdNotifyReady) }

// reloading comes before ready; the time is what Type=notify-reload asks for (systemd.service(5)).
func (n notifier) reloading() {
	n.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

func (n notifier) stopping() { n.send(daemon.SdNotifyStopping + "\nSTATUS=Stopping") }

func (n notifier) send(state string) {
	if n.log == nil {
		return
	}
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("cannot tell systemd how the service is", slog.Any("err", err))
	}
}

// attend says that the service is ready when it has begun to collect, and then goes on to say how it is, until ctx ends. A service that
// does not get on says nothing: so systemd restarts it, if the unit has WatchdogSec=.
func (r *running) attend(ctx context.Context) {
	if r.systemd.log == nil {
		return
	}
	defer r.systemd.stopping()
	every := statusEvery
	if patience, err := daemon.SdWatchdogEnabled(false); err != nil {
		r.log.Warn("the watchdog of systemd cannot be told", slog.Any("err", err))
	} else if patience > 0 {
		every = min(every, patience/3)
	}
	if _, err := r.collector.Census(ctx); err == nil {
		r.systemd.ready()
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		r.tellSystemd(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// tellSystemd feeds the watchdog, and says in a line how things are. The parts are asked for it, so that one that is stuck keeps it from
// that.
func (r *running) tellSystemd(ctx context.Context) {
	if err := r.health.alive(time.Now()); err != nil {
		r.log.Error("the collector does not get on; if systemd watches it, it will be restarted", slog.Any("err", err))
		r.systemd.send("STATUS=Stuck: " + err.Error())
		return
	}
	census, err := r.collector.Census(ctx)
	if err != nil {
		return
	}
	r.systemd.send(daemon.SdNotifyWatchdog + "\nSTATUS=" + summary(time.Now(), census, r.relay.stats(), r.box.Backlog()))
}

// summary is what "systemctl status" shows.
func summary(now time.Time, census collector.Census, publisher *publish.Stats, backlog publish.Backlog) string {
	total := 0
	for _, hosts := range census.Hosts {
		total += hosts
	}
	parts := []string{count(total, "host") + inOrder(census.Hosts)}
	if !census.Oldest.IsZero() {
		parts = append(parts, "oldest data "+roughly(now.Sub(census.Oldest)))
	}
	if publisher != nil {
		parts = append(parts, brokerWord(*publisher))
	}
	if backlog.Events > 0 {
		parts = append(parts, count(backlog.Events, "event")+" waiting for the broker")
	}
	if backlog.Full {
		parts = append(parts, "no room for more events")
	}
	if backlog.Quarantined > 0 {
		parts = append(parts, fmt.Sprintf("%d set aside that the broker refuses", backlog.Quarantined))
	}
	return strings.Join(parts, "; ")
}

func brokerWord(s publish.Stats) string {
	switch {
	case s.Broker == "":
		return "no broker"
	case s.Blocked:
		return "broker " + s.Broker + " takes no messages (alarm)"
	default:
		return "broker " + s.Broker
	}
}

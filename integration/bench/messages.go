package bench

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"service_manager/publish"
)

const (
	collector = "bench"
	// stateSize is how many bytes are committed of a host: it watches many units.
	stateSize = 5000
)

// state is what is committed of a host, which the outbox does not look into.
func state() []byte { return []byte(strings.Repeat("s", stateSize)) }

func hostName(i int) string { return fmt.Sprintf("web-%05d", i) }

// hostRef is a host as an inventory has it, with labels.
func hostRef(name string) publish.HostRef {
	return publish.HostRef{Name: name, Group: "web", Address: "10.20.30.40", Labels: map[string]string{"env": "production", "rack": "b-17"}}
}

// statusMessages returns one message of each of n hosts with three units.
func statusMessages(n int) ([]publish.Message, error) {
	mm := make([]publish.Message, n)
	for i := range mm {
		var err error
		if mm[i], err = status(hostName(i)).Message(); err != nil {
			return nil, err
		}
	}
	return mm, nil
}

func status(host string) publish.Status {
	now := time.Now()
	return publish.Status{
		ID: uuid.NewString(), Collector: collector, Epoch: publish.NewEpoch(now), Host: hostRef(host), Time: publish.Time{Time: now},
		IntervalSeconds: 10, EventSeq: 17, Outcome: "ok",
		System: &publish.System{
			State: new("running"), Systemd: new("252"), FailedUnits: new(0), QueuedJobs: new(0),
			BootID: new("2f1f5a3c9d2b4c5e8a7b6c5d4e3f2a1b"),
		},
		Units: []publish.Unit{unit("mount_controller.service", now), unit("nginx.service", now), unit("cron.service", now)},
		Poll:  publish.Poll{DurationMS: 12.4, QueuedMS: 0.3},
	}
}

func unit(name string, now time.Time) publish.Unit {
	return publish.Unit{
		Name: name, Description: new("A service that waits for requests and answers them"),
		LoadState: "loaded", ActiveState: "active", SubState: "running", UnitFileState: new("enabled"), Result: new("success"),
		Since: &publish.HostTime{Time: now}, InvocationID: new("8b0a5d6f3c2e4b19a7d8c9e0f1a2b3c4"), Restarts: new(2), MainPID: new(4711),
		MemoryBytes: new(uint64(123_456_789)), CPUSeconds: new(12345.678), Tasks: new(uint64(17)),
		StatusText: new("processing requests, 17 of 64 workers are busy"), NeedDaemonReload: new(false),
	}
}

// event is that a unit of the host was restarted.
func event(host string) publish.Event {
	now := time.Now()
	return publish.Event{
		Collector: collector, Event: publish.UnitRestarted, Host: hostRef(host), Unit: new("mount_controller.service"),
		ObservedAt: publish.Time{Time: now}, HappenedAt: &publish.HostTime{Time: now}, Restarts: 1,
		Before: unitState("8b0a5d6f3c2e4b19a7d8c9e0f1a2b3c4", 1), After: unitState("0c9b8a7d6e5f4a3b2c1d0e9f8a7b6c5d", 2),
	}
}

func unitState(invocation string, restarts int) *publish.EventState {
	return &publish.EventState{Unit: &publish.UnitState{
		Name: "mount_controller.service", LoadState: "loaded", ActiveState: "active", SubState: "running", UnitFileState: new("enabled"),
		Result: new("success"), InvocationID: &invocation, Restarts: &restarts, NeedDaemonReload: new(false),
	}}
}

// eventMessages returns one message of each of n hosts.
func eventMessages(n int) ([]publish.Message, error) {
	mm := make([]publish.Message, n)
	epoch := publish.NewEpoch(time.Now())
	for i := range mm {
		e := event(hostName(i))
		e.Epoch, e.Seq = epoch, 1
		var err error
		if mm[i], err = e.Message(); err != nil {
			return nil, err
		}
	}
	return mm, nil
}

// publishing is the message as the publisher sends it, to the byte.
func publishing(m publish.Message) amqp.Publishing {
	headers := amqp.Table{
		"schema": int32(publish.Schema), "host": m.Host, "group": m.Group, "collector": m.Collector, "outcome": m.Outcome,
		"x-stream-filter-value": m.Host,
	}
	if m.Type == publish.KindEvent {
		headers["event"], headers["unit"], headers["seq"] = m.Event, m.Unit, int64(m.Seq) //nolint:gosec // it is 1
	}
	return amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: m.ID, Type: m.Type, AppId: publish.AppID,
		Timestamp: m.Time, Headers: headers, Body: m.Body,
	}
}

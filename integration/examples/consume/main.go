// Consume keeps a table of the units of some hosts, as service_manager tells of them, and prints what changes in it. Its arguments are
// the routing keys to bind to, such as 'status.web.*' and 'event.web.*'.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"

	"service_manager/publish" // The types of the messages; no ssh comes with them.
)

func main() {
	conn, err := amqp.Dial(os.Getenv("AMQP_URL"))
	check(err)
	channel, err := conn.Channel()
	check(err)
	queue, err := channel.QueueDeclare("", false, true, true, false, nil) // A queue of our own that ends with us.
	check(err)
	for _, key := range os.Args[1:] {
		check(channel.QueueBind(queue.Name, key, "service_manager", false, nil))
	}
	messages, err := channel.Consume(queue.Name, "", true, true, false, false, nil)
	check(err)
	hosts := table{}
	for m := range messages {
		switch m.Type { // What is not known is passed over.
		case publish.KindStatus:
			var s publish.Status
			check(json.Unmarshal(m.Body, &s))
			hosts.status(s)
		case publish.KindEvent:
			var e publish.Event
			check(json.Unmarshal(m.Body, &e))
			hosts.event(e)
		}
	}
	log.Fatal("the connection is lost") // What came meanwhile is told by the next statuses.
}

// A table has the hosts by collector and name: each collector counts its own events.
type table map[[2]string]*host

type host struct {
	epoch string
	seq   uint64            // Of the last event.
	units map[string]string // Their active states.
}

// count tells from a message's epoch, and from the seq of the events that came before it, whether any were missed. It returns nil
// for a message that is late.
func (t table) count(collector, name, epoch string, before uint64) *host {
	at := [2]string{collector, name}
	h := t[at]
	if h == nil || h.epoch < epoch { // A host that is new to us, or a collector that counts anew.
		h = &host{epoch: epoch, seq: before, units: map[string]string{}}
		t[at] = h
	}
	if h.epoch > epoch {
		return nil
	}
	if before > h.seq {
		fmt.Printf("%s: missed events %d to %d; the next status has the truth\n", name, h.seq+1, before)
		h.seq = before
	}
	return h
}

func (t table) status(s publish.Status) {
	h := t.count(s.Collector, s.Host.Name, s.Epoch, s.EventSeq)
	if h == nil || s.Outcome != "ok" { // Not ok: these are the last known units, which is no news.
		return
	}
	units := map[string]string{}
	for _, u := range s.Units {
		units[u.Name] = u.ActiveState
		if h.units[u.Name] != u.ActiveState {
			fmt.Printf("%s: %s is %s\n", s.Host.Name, u.Name, u.ActiveState)
		}
	}
	h.units = units
}

func (t table) event(e publish.Event) {
	h := t.count(e.Collector, e.Host.Name, e.Epoch, e.Seq-1)
	if h == nil || e.Seq <= h.seq { // It came again.
		return
	}
	h.seq = e.Seq
	if e.Event == publish.HostRemoved {
		clear(h.units) // The count goes on, should the host come back.
	}
	switch {
	case e.Unit != nil && e.After != nil && e.After.Unit != nil:
		h.units[*e.Unit] = e.After.Unit.ActiveState
		fmt.Printf("%s: %s: %s is %s\n", e.Host.Name, e.Event, *e.Unit, e.After.Unit.ActiveState)
	case e.Unit != nil:
		delete(h.units, *e.Unit)
		fmt.Printf("%s: %s: %s is gone\n", e.Host.Name, e.Event, *e.Unit)
	default:
		fmt.Printf("%s: %s\n", e.Host.Name, e.Event)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

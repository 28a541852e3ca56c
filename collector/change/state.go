package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unique"

	"service_manager/hosts"
	"service_manager/publish"
)

// A State is what of one host is compared and stored. Its zero value is that of a host never polled.
type State struct {
	Host      publish.HostRef `json:"h"` // As the inventory had it; [State.Removed] needs it when that has not any more.
	Outcome   hosts.Outcome   `json:"o"` // Empty before the first poll.
	Error     string          `json:"e,omitempty"`
	System    *publish.System `json:"s,omitempty"` // Nil before the host was first read. Error and System are as last told.
	BootID    string          `json:"b,omitempty"` // This and Userspace are as last known.
	Userspace int64           `json:"t,omitempty"` // When userspace was started: Unix time by the host's clock, 0 for not known.
	Units     []Unit          `json:"u,omitempty"` // Sorted by the name asked for, each once.
}

// Encode returns the state as JSON. The error is one of encoding/json, which has none for what a State can hold.
func (s State) Encode() ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding the state of host %q: %w", s.Host.Name, err)
	}
	return data, nil
}

// Decode reads what [State.Encode] returned, of this version of the program or of another one: what is not there is not known, and
// what only a later version knows is passed over. A host whose state cannot be read can be compared with the zero State, as
// if it had never been polled.
func Decode(data []byte) (State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("the stored state is not one: %w", err)
	}
	if s.Host.Name == "" || s.Outcome == "" {
		return State{}, errors.New("the stored state names no host, or no outcome of a poll")
	}
	slices.SortFunc(s.Units, byKey)
	for i := range s.Units {
		unit := &s.Units[i]
		switch {
		case unit.key() == "":
			return State{}, fmt.Errorf("the stored state of host %q has a unit without a name", s.Host.Name)
		case i > 0 && unit.key() == s.Units[i-1].key():
			return State{}, fmt.Errorf("the stored state of host %q has unit %q twice", s.Host.Name, unit.key())
		case unit.Restarts < 0 || unit.ExitStatus < 0 || unit.Reload < 0 || unit.Reload > 2:
			return State{}, fmt.Errorf("the stored state of host %q has numbers of unit %q that systemd does not have", s.Host.Name, unit.key())
		}
		for _, word := range []*string{&unit.Load, &unit.Active, &unit.Sub, &unit.File, &unit.Result, &unit.ExitCode} {
			*word = unique.Make(*word).Value() // All units of all hosts have the same few.
		}
	}
	return s, nil
}

// Removed returns the event of a host that the inventory does not have any more. It belongs into the transaction that deletes the
// host's state. A host never polled has no state, and needs no such event.
func (s State) Removed(observed time.Time) publish.Event {
	return publish.Event{
		Event:      publish.HostRemoved,
		Host:       s.Host,
		ObservedAt: publish.Time{Time: observed},
		Before:     s.told(),
	}
}

// told returns what an event tells of the host.
func (s State) told() *publish.EventState {
	return &publish.EventState{Host: &publish.HostState{
		Outcome: string(s.Outcome),
		Error:   known(s.Error),
		System:  s.System,
	}}
}

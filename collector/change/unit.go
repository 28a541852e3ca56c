package change

import (
	"cmp"
	"sort"
	"strings"

	"service_manager/hosts/systemctl"
	"service_manager/publish"
)

// A Unit is what is compared of one unit: two are the same if they are equal by ==. It has no pointers, since a collector keeps some
// hundred thousand. Words are as systemd prints them, empty where the host does not have the value.
type Unit struct {
	Alias      string `json:"as,omitempty"` // The name asked for, where that is not Name.
	Name       string `json:"n,omitempty"`  // Empty if it was asked for and not in the answer; all else but Alias is too then.
	Load       string `json:"l,omitempty"`
	Active     string `json:"a,omitempty"`
	Sub        string `json:"s,omitempty"`
	File       string `json:"f,omitempty"`
	Result     string `json:"r,omitempty"`
	Invocation string `json:"i,omitempty"`
	Restarts   number `json:"nr,omitempty"`
	ExitCode   string `json:"c,omitempty"`
	ExitStatus number `json:"x,omitempty"`
	Reload     number `json:"d,omitempty"` // Whether it needs a daemon-reload: 0 or 1.
}

// A number is one more than a number of systemd's, none of which is negative. 0 is none, so that a value which an older state file
// lacks is none too.
type number int

func numberOf(n *int) number {
	if n == nil {
		return 0
	}
	return number(*n) + 1
}

func (n number) known() bool { return n != 0 }

func (n number) pointer() *int {
	if !n.known() {
		return nil
	}
	return new(int(n) - 1)
}

func numberOfBool(b *bool) number {
	switch {
	case b == nil:
		return 0
	case *b:
		return 2
	}
	return 1
}

func (n number) boolean() *bool {
	if !n.known() {
		return nil
	}
	return new(n != 1)
}

func unitOf(u *systemctl.Unit) Unit {
	return Unit{
		Alias:      u.RequestedAs,
		Name:       u.Name,
		Load:       u.LoadState,
		Active:     u.ActiveState,
		Sub:        u.SubState,
		File:       u.UnitFileState,
		Result:     u.Result,
		Invocation: u.InvocationID,
		Restarts:   numberOf(u.Restarts),
		ExitCode:   u.ExitCode,
		ExitStatus: numberOf(u.ExitStatus),
		Reload:     numberOfBool(u.NeedDaemonReload),
	}
}

// storable returns u as it comes back from the state file, which holds JSON: all of it UTF-8, as systemd has it anyway. Else it would
// be another unit when the collector starts again.
func storable(u Unit) Unit {
	for _, word := range []*string{&u.Alias, &u.Name, &u.Load, &u.Active, &u.Sub, &u.File, &u.Result, &u.Invocation, &u.ExitCode} {
		*word = strings.ToValidUTF8(*word, "\uFFFD")
	}
	return u
}

// key is the name that the unit was asked for.
func (u *Unit) key() string { return cmp.Or(u.Alias, u.Name) }

// listed reports whether the unit was in the answer at all.
func (u *Unit) listed() bool { return u.Name != "" }

// there reports whether systemd knows the unit.
func (u *Unit) there() bool { return u.listed() && u.Load != "not-found" }

// gone reports whether nothing is left of the unit. A unit whose file was removed while it ran is not-found, and still runs.
func (u *Unit) gone() bool { return !u.there() && (!u.listed() || u.Active == "inactive") }

func (u *Unit) failed() bool { return u.Active == "failed" }

// state returns what an event tells of the unit, nil for one that is not listed.
func (u *Unit) state() *publish.EventState {
	if !u.listed() {
		return nil
	}
	return &publish.EventState{Unit: &publish.UnitState{
		Name:             u.Name,
		LoadState:        u.Load,
		ActiveState:      u.Active,
		SubState:         u.Sub,
		UnitFileState:    known(u.File),
		Result:           known(u.Result),
		InvocationID:     known(u.Invocation),
		Restarts:         u.Restarts.pointer(),
		ExitCode:         known(u.ExitCode),
		ExitStatus:       u.ExitStatus.pointer(),
		NeedDaemonReload: u.Reload.boolean(),
	}}
}

// known is nil for a word that the host does not have.
func known(word string) *string {
	if word == "" {
		return nil
	}
	return &word
}

// find returns where the unit with that key is among units, which are sorted by it.
func find(units []Unit, key string) (int, bool) {
	return sort.Find(len(units), func(i int) int { return strings.Compare(key, units[i].key()) })
}

func byKey(a, b Unit) int { return strings.Compare(a.key(), b.key()) }

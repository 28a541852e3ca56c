package systemctl

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unique"
)

// A Query is one question to one host: its manager, its boot id and the state of some units. Ask each once: an answer
// belongs to the nonce.
type Query struct {
	// Nonce tells this answer from noise and from other answers: 32 characters of 0-9a-f, from NewNonce.
	Nonce string

	// Units are exact names with suffix. None means that only the manager and the boot id are asked for. A name may
	// stand here twice, and beside an alias of it.
	Units []string

	// Version is the host's systemd as it was last seen, 0 for not known, which presumes 233 or newer.
	Version int

	// Limit is how long the command may run on the host. Then timeout(1) ends it, with exit status 124, or a second
	// later 137. It must be positive and is rounded up to milliseconds.
	Limit time.Duration

	// Before is the host's last answer, if there is one. What has not changed since then is the same in the next one, down to its place in
	// memory, so neither may be changed.
	Before Answer

	words unique.Handle[string] // That a query before had; zero: to be written.
}

// Next returns the question to ask the next time, about the same: with another Nonce. It spares writing it once more, and hosts that are
// asked about the same share the memory that takes.
func (q Query) Next(answer Answer) Query {
	if words, err := q.Words(); err == nil && q.words == (unique.Handle[string]{}) {
		q.words = unique.Make(words)
	}
	q.Before = answer
	return q
}

// NewNonce returns a new random nonce. It is safe for concurrent use.
func NewNonce() string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // Never fails, by its documentation.
	return hex.EncodeToString(nonce[:])
}

// IsNonce reports whether text may be a nonce.
func IsNonce(text string) bool {
	return len(text) == 32 && strings.Trim(text, "0123456789abcdef") == ""
}

// Command returns the command line to run on the host. The error wraps ErrUnitName if a unit must not be sent; it is
// another one if the nonce or the limit is none, or if the command would be longer than 100 KiB (Linux passes at most
// 128 KiB to a login shell as one argument).
func (q Query) Command() (string, error) {
	words, err := q.Words()
	if err != nil {
		return "", err
	}
	command := commandLine(q.Limit, showScript, q.Nonce, Escape(words))
	if len(command) > maxCommand {
		return "", q.tooLong(len(command))
	}
	return command, nil
}

// Words are what follows the nonce in a question to a host that runs StreamCommand, and in a command, escaped. The error is as that of
// Command.
func (q Query) Words() (string, error) {
	if err := checkAsking(q.Nonce, q.Limit); err != nil {
		return "", err
	}
	if q.words != (unique.Handle[string]{}) {
		return q.words.Value(), nil
	}
	for _, name := range q.Units {
		if err := CheckUnitName(name); err != nil {
			return "", err
		}
	}
	request := Request{ManagerProperties: managerProperties()}
	for _, group := range q.groups() {
		request.Groups = append(request.Groups, q.written(group))
	}
	words := request.words()
	if len(words) > maxCommand {
		return "", q.tooLong(len(words))
	}
	return words, nil
}

func (q Query) tooLong(length int) error {
	return fmt.Errorf("%d units make a command of %d bytes, more than %d; watch fewer units on one host", len(q.Units), length, maxCommand)
}

// checkAsking checks what every command has.
func checkAsking(nonce string, limit time.Duration) error {
	switch {
	case !IsNonce(nonce):
		return fmt.Errorf("nonce %q: not 32 characters of 0-9a-f", nonce)
	case limit <= 0:
		return fmt.Errorf("time limit %v of the remote command: not positive", limit)
	}
	return nil
}

// A unitGroup is the units of a Group, and where they stand in the query.
type unitGroup struct {
	types unitType
	units []string
	at    []int // nil: all of them, as they stand there
}

// place is where the unit stands in the query that is number i in its group.
func (g *unitGroup) place(i int) int {
	if g.at == nil {
		return i
	}
	return g.at[i]
}

// groups splits the units of q into runs of systemctl show: one with everything, or before silentAbort one per unit
// type, in the order in which the types come up.
func (q Query) groups() []unitGroup {
	switch {
	case len(q.Units) == 0:
		return nil
	case !q.asksByType():
		return []unitGroup{{types: everyType, units: q.Units}}
	}
	var groups []unitGroup
	for i, name := range q.Units {
		of := unitTypeOf(name)
		k := slices.IndexFunc(groups, func(g unitGroup) bool { return g.types == of })
		if k < 0 {
			k = len(groups)
			groups = append(groups, unitGroup{types: of})
		}
		groups[k].units = append(groups[k].units, name)
		groups[k].at = append(groups[k].at, i)
	}
	return groups
}

// written is a group as it stands in a command.
func (q Query) written(g unitGroup) Group {
	return Group{Properties: q.propertiesOf(g.types), Units: g.units}
}

// asksByType says whether q is for a systemd that stops at a property which a unit does not have.
func (q Query) asksByType() bool { return q.Version != 0 && q.Version < silentAbort }

// asked are the types of units that q asks for a property. Newer ones are asked for by presence, since
// distributions port properties back.
func (q Query) asked(property propertyOf) unitType {
	if q.asksByType() && property.since > max(q.Version, oldestKnown) {
		return 0
	}
	return property.types
}

func (q Query) propertiesOf(types unitType) []string {
	names := make([]string, 0, unitPropertyCount)
	for _, property := range unitProperties() {
		if q.asked(property)&types != 0 {
			names = append(names, property.name)
		}
	}
	return names
}

// suits says whether a host with that version of systemd answers q without stopping half-way.
func (q Query) suits(version int) bool {
	return len(q.Units) == 0 || version == 0 || version >= silentAbort || q.asksByType() && q.Version <= version
}

package systemctl

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
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
	request, err := q.request()
	if err != nil {
		return "", err
	}
	command := request.command()
	if len(command) > maxCommand {
		return "", q.tooLong(len(command))
	}
	return command, nil
}

// request is q as the far side sees it.
func (q Query) request() (Request, error) {
	if err := checkAsking(q.Nonce, q.Limit); err != nil {
		return Request{}, err
	}
	for _, name := range q.Units {
		if err := CheckUnitName(name); err != nil {
			return Request{}, err
		}
	}
	request := Request{Nonce: q.Nonce, Limit: q.Limit, ManagerProperties: managerProperties()}
	for _, group := range q.groups() {
		request.Groups = append(request.Groups, group.Group)
	}
	return request, nil
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

// A unitGroup is a Group that knows where its units stand in the query.
type unitGroup struct {
	Group
	at []int
}

// groups splits the units of q into runs of systemctl show: one with everything, or before silentAbort one per unit
// type, in the order in which the types come up.
func (q Query) groups() []unitGroup {
	var (
		groups []unitGroup
		types  []unitType // of each group
	)
	for i, name := range q.Units {
		of := everyType
		if q.asksByType() {
			of = unitTypeOf(name)
		}
		k := slices.Index(types, of)
		if k < 0 {
			k = len(types)
			types = append(types, of)
			groups = append(groups, unitGroup{Group: Group{Properties: q.propertiesOf(of)}})
		}
		groups[k].Units = append(groups[k].Units, name)
		groups[k].at = append(groups[k].at, i)
	}
	return groups
}

// asksByType says whether q is for a systemd that stops at a property which a unit does not have.
func (q Query) asksByType() bool { return q.Version != 0 && q.Version < silentAbort }

// asks says whether q asks for a property of that type and version. Newer ones are asked for by presence, since
// distributions port properties back.
func (q Query) asks(types, has unitType, since int) bool {
	return has&types != 0 && (!q.asksByType() || since <= max(q.Version, oldestKnown))
}

func (q Query) propertiesOf(types unitType) []string {
	names := make([]string, 0, unitPropertyCount)
	for _, property := range unitProperties() {
		if q.asks(types, property.types, property.since) {
			names = append(names, property.name)
		}
	}
	return names
}

// suits says whether a host with that version of systemd answers q without stopping half-way.
func (q Query) suits(version int) bool {
	return len(q.Units) == 0 || version == 0 || version >= silentAbort || q.asksByType() && q.Version <= version
}

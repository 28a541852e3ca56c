package hosts

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// Globs are resolved when a host is first polled, and then every resolveEvery and up to resolveSpread more: each host has its
// share of that, so that those that were first polled together drift apart.
const (
	resolveEvery  = 4 * time.Minute
	resolveSpread = 2 * time.Minute
)

// maxResolved is how many units the globs of a host may stand for. PID 1 takes 1 to 2.5 ms to tell of one unit, so that this
// many nearly fill a poll; systemd itself counts a few hundred on most hosts.
const maxResolved = 2000

// maxListing is more than so many names and descriptions take, in bytes.
const maxListing = 2 << 20

// globs are the patterns among a host's units, and the exact names that they stand for. A name stays until the host no
// longer lists it and has, asked for it by name, said that it is not found: what stops or is removed is seen to be so.
type globs struct {
	patterns []string // nil before they were first resolved
	names    []string // sorted
	unlisted map[string]bool
	due      time.Time // of the next resolving
	bootID   string    // when the host was last polled
	err      error     // of a resolving in the last poll
}

// units returns the exact names to ask h for: those in the inventory, then those that its globs stand for. Where the globs
// have to be resolved it asks h, within half of the time that is left. An error there is one of the poll if nothing is known
// yet, or the connection is lost; else the names of before serve on, and the next try is as late as if it had gone well.
func (l *link) units(ctx context.Context, h inventory.Host) ([]string, error) {
	g := &l.globs
	g.err = nil
	if len(h.Globs) == 0 || !slices.Equal(g.patterns, h.Globs) { // As it is at first, and after a reload of the inventory.
		*g = globs{}
	}
	if len(h.Globs) == 0 {
		return h.Units, nil
	}
	if now := time.Now(); !now.Before(g.due) {
		err := l.resolve(ctx, h)
		if err != nil && (g.patterns == nil || l.conn == nil) {
			return nil, err
		}
		g.patterns, g.err = h.Globs, at(h, err)
		g.due = nextResolving(now, h.Name)
	}
	return slices.Concat(h.Units, g.names), nil
}

// resolve asks h what its globs stand for, and sets names and unlisted.
func (l *link) resolve(ctx context.Context, h inventory.Host) error {
	listing := systemctl.Listing{Nonce: systemctl.NewNonce(), Globs: h.Globs, Limit: timeLeft(ctx) / 2}
	command, err := listing.Command()
	if err != nil {
		return fail(CommandFailed, "%w", err)
	}
	out, err := l.exec(ctx, command, maxListing)
	if err != nil {
		return err
	}
	listed, err := listing.Parse(out.stdout, out.stderr)
	if err != nil {
		return explainAnswer(out, err)
	}
	names, unlisted := l.globs.merge(listed, h.Units)
	query := systemctl.Query{Nonce: listing.Nonce, Units: slices.Concat(h.Units, names), Version: l.version, Limit: h.Timeout}
	if _, err := query.Command(); err != nil || len(listed) > maxResolved {
		return fail(CommandFailed, "the globs %q stand for %d units, more than fit into a poll (%d, and 100 KiB of names): write narrower ones",
			h.Globs, len(listed), maxResolved)
	}
	l.globs.names, l.globs.unlisted = names, unlisted
	return nil
}

// merge returns what is listed now, together with the names of before, but without those in the inventory, and the set of
// those that are listed no longer.
func (g *globs) merge(listed, exact []string) (names []string, unlisted map[string]bool) {
	names = slices.DeleteFunc(listed, func(name string) bool { return slices.Contains(exact, name) })
	unlisted = make(map[string]bool)
	for _, name := range g.names {
		if _, found := slices.BinarySearch(names, name); !found {
			unlisted[name] = true
		}
	}
	for name := range unlisted {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, unlisted
}

// learn takes in the answer to a poll, of which the first units are the inventory's own and stay. A unit that the globs found
// under several names stays under one, its primary name if that is among them. What is not found, and no longer listed, is in
// this answer for the last time. After a reboot the globs are due.
func (g *globs) learn(answer *systemctl.Answer, exact int) {
	if g.patterns == nil || len(answer.Units) != exact+len(g.names) {
		return
	}
	if g.bootID != "" && answer.BootID != g.bootID {
		g.due = time.Time{}
	}
	g.bootID = answer.BootID
	alias := func(u systemctl.Unit) bool { return u.RequestedAs != "" }
	if len(g.unlisted) == 0 && !slices.ContainsFunc(answer.Units, alias) { // As it is nearly always: all are what they were asked for.
		return
	}

	there := make(map[string]bool, len(answer.Units))
	for i, unit := range answer.Units {
		if i < exact || unit.RequestedAs == "" {
			there[unit.Name] = true
		}
	}
	named := make(map[string]bool, exact)
	for _, unit := range answer.Units[:exact] {
		named[unit.Name] = true
	}
	kept := answer.Units[:exact:exact]
	var names []string
	for _, unit := range answer.Units[exact:] {
		alias := unit.RequestedAs != ""
		if named[unit.Name] || alias && there[unit.Name] {
			continue
		}
		there[unit.Name] = true // Another alias of it is one too many.
		kept = append(kept, unit)
		name := unit.Name
		if alias {
			name = unit.RequestedAs
		}
		if !g.unlisted[name] || unit.LoadState != "not-found" {
			names = append(names, name)
		}
	}
	answer.Units, g.names = kept, names
}

// timeLeft is the time until ctx's deadline, which every poll has; never 0, which would be none.
func timeLeft(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return max(time.Until(deadline), time.Millisecond)
}

// nextResolving is when a host's globs are due that were resolved now.
func nextResolving(now time.Time, name string) time.Time {
	hash := fnv.New32a()
	_, _ = fmt.Fprint(hash, name) // A hash takes everything.
	share := float64(hash.Sum32()) / math.MaxUint32
	return now.Add(resolveEvery + time.Duration(share*float64(resolveSpread)))
}

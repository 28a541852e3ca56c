package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"service_manager/hosts"
	"service_manager/hosts/knownhosts"
	"service_manager/inventory"
)

// A keyRing is the host keys of the selected hosts and of the jump hosts before them.
type keyRing struct {
	candidates []*candidate // by the number of jumps before them, then by name
	byName     map[string]*candidate
	scanHost   func(context.Context, inventory.Host) (hosts.Offer, error)
	limits     inventory.Collector            // of connections
	replace    bool                           // whether changed keys of selected hosts are to be replaced
	progress   func(names []string) *progress // begins to show how many hosts were asked

	interrupted bool // not all were asked that could have been
}

// A candidate is a host whose key is to be trusted.
type candidate struct {
	host     inventory.Host
	selected bool
	asked    bool
	offer    hosts.Offer
	err      error  // why there is no offer
	done     string // "added" or "replaced", once it was
	printed  bool
}

func newKeyRing(selected []inventory.Host, scan func(context.Context, inventory.Host) (hosts.Offer, error)) *keyRing {
	k := &keyRing{byName: make(map[string]*candidate), scanHost: scan, progress: func([]string) *progress { return nil }}
	k.limits = inventory.Collector{Dials: 1, DialsPerJump: 1, DialRate: 1000}
	for _, h := range selected {
		k.enter(h).selected = true
		for jump := h.Via; jump != nil; jump = jump.Via {
			k.enter(*jump)
		}
	}
	slices.SortFunc(k.candidates, func(a, b *candidate) int {
		if n := jumps(a.host) - jumps(b.host); n != 0 {
			return n
		}
		return strings.Compare(a.host.Name, b.host.Name)
	})
	return k
}

func (k *keyRing) enter(h inventory.Host) *candidate {
	c := k.byName[h.Name]
	if c == nil {
		c = &candidate{host: h}
		k.byName[h.Name] = c
		k.candidates = append(k.candidates, c)
	}
	return c
}

func jumps(h inventory.Host) int {
	n := 0
	for jump := h.Via; jump != nil; jump = jump.Via {
		n++
	}
	return n
}

// trusted reports whether a connection to the host would accept its key.
func (c *candidate) trusted() bool {
	return c.asked && c.err == nil && (c.done != "" || c.offer.Verdict.Standing.Accepted())
}

// scan asks all hosts for their keys that can be reached by now. A host stays unasked whose turn was interrupted.
func (k *keyRing) scan(ctx context.Context) {
	for {
		var ready []*candidate
		for _, c := range k.candidates {
			if !c.asked && (c.host.Via == nil || k.byName[c.host.Via.Name].trusted()) {
				ready = append(ready, c)
			}
		}
		k.interrupted = ctx.Err() != nil
		if len(ready) == 0 || k.interrupted {
			return
		}
		k.askAll(ctx, ready)
	}
}

// askAll asks a number of hosts, several at once.
func (k *keyRing) askAll(ctx context.Context, ready []*candidate) {
	names := make([]string, len(k.candidates))
	for i, c := range k.candidates {
		names[i] = c.host.Name
	}
	bar := k.progress(names)
	defer bar.end()
	for _, c := range k.candidates {
		if c.asked {
			bar.step(c.host.Name, c.err != nil)
		}
	}
	dialEach(ctx, k.limits, ready, func(c *candidate) inventory.Host { return c.host }, func(c *candidate) {
		offer, err := k.scanHost(ctx, c.host)
		if err != nil && ctx.Err() != nil {
			return
		}
		c.asked, c.offer, c.err = true, offer, err
		bar.step(c.host.Name, err != nil)
	})
}

// treatable reports whether the host's key is to be written, and whether others are to make room for it.
func (k *keyRing) treatable(c *candidate) (add, replace bool) {
	if !c.asked || c.err != nil || c.done != "" {
		return false, false
	}
	switch c.offer.Verdict.Standing {
	case knownhosts.Unknown:
		return true, false
	case knownhosts.Changed:
		return false, k.replace && c.selected && c.pattern() == nil
	default:
		return false, false
	}
}

// pattern returns a line that knows another key for the host by wildcards, where no host can be taken out, or nil.
func (c *candidate) pattern() *knownhosts.Line {
	for _, line := range c.offer.Verdict.Lines {
		if c.offer.Verdict.Standing == knownhosts.Changed && line.Pattern {
			return line
		}
	}
	return nil
}

// plan returns what is to be written, by file.
func (k *keyRing) plan(hash bool) ([]rewrite, error) {
	var plan []rewrite
	in := func(file string) *rewrite {
		i := slices.IndexFunc(plan, func(r rewrite) bool { return r.file == file })
		if i < 0 {
			i = len(plan)
			plan = append(plan, rewrite{file: file})
		}
		return &plan[i]
	}
	written := make(map[string][]*candidate)
	for _, c := range k.candidates {
		add, replace := k.treatable(c)
		if !add && !replace {
			continue
		}
		file, err := trustFile(c.host)
		if err != nil {
			return nil, err
		}
		entry := knownhosts.Entry{Name: c.offer.Name, Key: c.offer.Key, Hash: hash}
		written[file] = append(written[file], c)
		if add {
			in(file).add = addOnce(in(file).add, entry)
			continue
		}
		for _, line := range c.offer.Verdict.Lines {
			if line.File != file && !slices.Contains(in(line.File).remove, entry.Name) {
				in(line.File).remove = append(in(line.File).remove, entry.Name)
			}
		}
		in(file).replace = addOnce(in(file).replace, entry)
	}
	for i := range plan {
		plan[i].complete = func() { complete(written[plan[i].file]) }
	}
	// Old keys are gone from other files before the new one is known.
	slices.SortStableFunc(plan, func(a, b rewrite) int { return len(b.remove) - len(a.remove) })
	return plan, nil
}

// addOnce appends an entry unless it is there: two hosts may be one machine.
func addOnce(entries []knownhosts.Entry, e knownhosts.Entry) []knownhosts.Entry {
	for _, other := range entries {
		if other.Name == e.Name && string(other.Key.Marshal()) == string(e.Key.Marshal()) {
			return entries
		}
	}
	return append(entries, e)
}

func complete(candidates []*candidate) {
	for _, c := range candidates {
		c.done = "added"
		if c.offer.Verdict.Standing == knownhosts.Changed {
			c.done = "replaced"
		}
	}
}

// left says which hosts could not be trusted in the end; nil means none. That there is no key of a host does not mean that none is
// known.
func (k *keyRing) left() error {
	silent, untrusted := 0, 0
	for _, c := range k.candidates {
		switch {
		case k.why(c) != nil:
			silent++
		case !c.trusted():
			untrusted++
		}
	}
	var words []string
	if untrusted > 0 {
		words = append(words, count(untrusted, "host")+" without a trusted key")
	}
	if silent > 0 {
		words = append(words, count(silent, "host")+" could not be asked")
	}
	if words == nil {
		return nil
	}
	return errors.New(strings.Join(words, ", "))
}

// asked is how many hosts were asked for their keys.
func (k *keyRing) asked() int {
	n := 0
	for _, c := range k.candidates {
		if c.asked {
			n++
		}
	}
	return n
}

// why says why there is no key of a host.
func (k *keyRing) why(c *candidate) error {
	switch {
	case c.asked:
		return c.err
	case c.host.Via == nil || k.byName[c.host.Via.Name].trusted():
		return errors.New("not asked: interrupted")
	case k.byName[c.host.Via.Name].err != nil:
		return fmt.Errorf("not asked: its jump host %s could not be asked", c.host.Via.Name)
	}
	return fmt.Errorf("not asked: its jump host %s is not trusted", c.host.Via.Name)
}

package knownhosts

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
)

// contents is what stands in one version of a file. Lookups may run beside each other.
type contents struct {
	holds      [revoked + 1]bool // whether there is a line with a marker
	patterns   []pattern
	revoked    map[string]*Line // by key
	problems   []Problem
	hashed     map[hashID]*hashedName // all of them
	generation int                    // how often the file was read

	mu    sync.Mutex
	names map[string][]*Line // by normal name; a slice is replaced, not changed
	// pool holds the hashed names that may still be unknown, oldest first. It is replaced, not changed; taken of them are known.
	pool  []*hashedName
	taken int
	// compared says up to which generation the hashed names were compared with a name.
	compared map[string]int
}

// parse reads the text of a file. What was found out about hashed names in old, an earlier version of the file or nil, is kept.
func parse(file, text string, old *contents) *contents {
	c := &contents{
		revoked:  make(map[string]*Line),
		hashed:   make(map[hashID]*hashedName),
		names:    make(map[string][]*Line),
		compared: make(map[string]int),
	}
	if old != nil {
		old.mu.Lock()
		defer old.mu.Unlock()
		c.compared, c.generation = maps.Clone(old.compared), old.generation
	}
	c.generation++
	hasher := newHasher()
	number := 0
	for text := range strings.Lines(text) {
		number++
		text = strings.Trim(text, " \t\r\n")
		if text == "" || text[0] == '#' {
			continue
		}
		e, err := parseLine(text)
		if err == nil {
			err = c.add(&Line{File: file, Number: number, Type: e.typ, marker: e.marker, key: e.key}, e.hosts, old, hasher)
		}
		if err != nil && len(c.problems) < maxProblems {
			c.problems = append(c.problems, Problem{File: file, Line: number, Reason: err.Error()})
		}
	}
	c.sortPool()
	return c
}

// add enters a line under its hosts.
func (c *contents) add(line *Line, hosts string, old *contents, hasher *hasher) error {
	switch {
	case strings.HasPrefix(hosts, "|"):
		if err := c.addHashed(line, hosts, old, hasher); err != nil {
			return err
		}
	case isPattern(hosts):
		line.Pattern = true
		c.patterns = append(c.patterns, pattern{hosts: strings.Split(strings.ToLower(hosts), ","), line: line})
	default:
		for host := range strings.SplitSeq(hosts, ",") {
			// The copy lets go of the text of the file.
			name := strings.Clone(normal(host))
			c.names[name] = append(c.names[name], line)
		}
	}
	if line.marker == revoked {
		c.revoked[line.key] = line
	}
	c.holds[line.marker] = true
	return nil
}

// addHashed enters a line under its hashed name, which old may know.
func (c *contents) addHashed(line *Line, hosts string, old *contents, hasher *hasher) error {
	id, err := parseHash(hosts)
	if err != nil {
		return err
	}
	h := c.hashed[id]
	if h == nil {
		h = &hashedName{id: id, since: c.generation}
		if old != nil && old.hashed[id] != nil {
			known := old.hashed[id]
			h.state, h.since, h.name = known.state, known.since, known.name
		} else if h.state, err = hasher.precompute(id.salt()); err != nil {
			return err
		}
		c.hashed[id] = h
		if h.name == "" {
			c.pool = append(c.pool, h)
		}
	}
	h.lines = append(h.lines, line)
	if h.name != "" {
		c.names[h.name] = append(c.names[h.name], line)
	}
	return nil
}

func (c *contents) sortPool() {
	slices.SortStableFunc(c.pool, func(a, b *hashedName) int { return cmp.Compare(a.since, b.since) })
}

// lookup returns the lines of a name in normal form, in the order of the file. They must not be changed.
func (c *contents) lookup(name string) []*Line {
	c.mu.Lock()
	found, pool, compared := c.names[name], c.pool, c.compared[name]
	c.mu.Unlock()
	if compared < c.generation && len(pool) > 0 {
		found = c.unhash(name, pool, compared)
	}
	matching := false
	for i := range c.patterns {
		if c.patterns[i].matches(name) {
			if !matching {
				found, matching = slices.Clip(found), true
			}
			found = append(found, c.patterns[i].line)
		}
	}
	if matching {
		slices.SortFunc(found, byNumber)
	}
	return found
}

func byNumber(a, b *Line) int { return cmp.Compare(a.Number, b.Number) }

// unhash compares a name with the hashed names of the pool that are newer than a generation, and returns all lines of the name. The
// slow part runs without the lock. Two goroutines with the same name do the same work, with the same result.
func (c *contents) unhash(name string, pool []*hashedName, compared int) []*Line {
	first, _ := slices.BinarySearchFunc(pool, compared+1, func(h *hashedName, since int) int { return cmp.Compare(h.since, since) })
	hasher, text := newHasher(), []byte(name)
	var found []*hashedName
	for _, h := range pool[first:] {
		if hasher.matches(h, text) {
			found = append(found, h)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := slices.Clip(c.names[name])
	for _, h := range found {
		if h.name == "" {
			h.name = name
			lines = append(lines, h.lines...)
			c.taken++
		}
	}
	slices.SortFunc(lines, byNumber)
	c.names[name] = lines
	c.compared[name] = c.generation
	if c.taken > len(c.pool)/16 {
		c.pool = slices.DeleteFunc(slices.Clone(c.pool), func(h *hashedName) bool { return h.name != "" })
		c.taken = 0
	}
	return lines
}

package sshconfig

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// A Query is a host as it would be given to ssh.
type Query struct {
	// Name is the host's name on the command line, by which Host finds it.
	Name string
	// HostName and User are what is settled already, as by -o and -l; empty where the configuration may say.
	HostName, User string
	// LocalUser is the user of this process.
	LocalUser string
}

// An Answer holds the lines for one host.
type Answer struct {
	// Undecided are Match lines that might hold for the host.
	Undecided []Line

	lines map[string][]Line
}

// First returns the line that sets a keyword, given in small letters. That for proxyjump may be a ProxyCommand, as the
// first of both counts.
func (a *Answer) First(keyword string) (Line, bool) {
	if lines := a.lines[keyword]; len(lines) > 0 {
		return lines[0], true
	}
	return Line{}, false
}

// All returns all lines of a keyword that may be given several times.
func (a *Answer) All(keyword string) []Line { return a.lines[keyword] }

func (a *Answer) take(l Line) {
	kind, _ := known(l.Keyword)
	has := a.lines[kind.slot]
	sameArgs := func(other Line) bool { return slices.Equal(other.Args, l.Args) }
	if len(has) > 0 && !kind.repeats || slices.ContainsFunc(has, sameArgs) {
		return
	}
	a.lines[kind.slot] = append(has, l)
}

// Lookup returns the lines that hold for a host. A file that asks for it with Match final is gone over twice, as in
// OpenSSH, the second time with the HostName that was found.
func (f *File) Lookup(q Query) *Answer {
	l := &lookup{Query: q, host: q.Name, answer: &Answer{lines: make(map[string][]Line)}}
	l.walk(f)
	if l.wantsFinal {
		l.final, l.host = true, l.hostName()
		l.walk(f)
	}
	return l.answer
}

type lookup struct {
	Query

	host       string // that Host is about
	final      bool   // the second time
	wantsFinal bool   // a line asks for that
	answer     *Answer
}

func (l *lookup) walk(f *File) {
	for i := range f.candidates(l.host) {
		b := &f.blocks[i]
		if !l.holds(b) {
			continue
		}
		for _, it := range b.items {
			if it.included == nil {
				if it.Number > 0 {
					l.answer.take(it.Line)
				}
				continue
			}
			for _, included := range it.included {
				l.walk(included)
			}
		}
	}
}

// candidates yields the blocks that may hold for a host, in order.
func (f *File) candidates(host string) iter.Seq[int] {
	return func(yield func(int) bool) {
		plain, other := f.plain[host], f.other
		for len(plain)+len(other) > 0 {
			next := &other
			if len(other) == 0 || len(plain) > 0 && plain[0] < other[0] {
				next = &plain
			}
			if !yield((*next)[0]) {
				return
			}
			*next = (*next)[1:]
		}
	}
}

func (l *lookup) holds(b *block) bool {
	switch {
	case b.hosts != nil:
		return holdsFor(l.host, b.hosts)
	case b.criteria != nil:
		return l.holdsMatch(b)
	}
	return true
}

// hostName is the HostName as far as it is known.
func (l *lookup) hostName() string {
	name := l.HostName
	if line, ok := l.answer.First("hostname"); ok && name == "" {
		name, _ = Expand(line.Args[0], map[byte]string{'h': l.Name}) // whoever uses the line says what is wrong with it
	}
	return cmp.Or(strings.ToLower(name), l.host)
}

func (l *lookup) user() string {
	if line, ok := l.answer.First("user"); ok && l.User == "" {
		return line.Args[0]
	}
	return cmp.Or(l.User, l.LocalUser)
}

// holdsFor reports whether one of the patterns matches and none with a ! does.
func holdsFor(s string, patterns []string) bool {
	found := false
	for _, pattern := range patterns {
		positive, negated := strings.CutPrefix(pattern, "!")
		if matches(positive, s) {
			if negated {
				return false
			}
			found = true
		}
	}
	return found
}

// matches compares with a pattern in which * is any text and ? any one byte.
func matches(pattern, s string) bool {
	star, retry := -1, 0 // the last * and the text after what it has matched so far
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			retry++
			p, i = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

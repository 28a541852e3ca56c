package sshconfig

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A criterion is one condition of a Match line.
type criterion struct {
	name     string // in small letters
	negated  bool
	patterns []string
}

// parseMatch reads the arguments of Match: criteria with an argument each, but for all, canonical and final.
func parseMatch(args []string) ([]criterion, error) {
	var criteria []criterion
	for len(args) > 0 {
		name, value, hasValue := strings.Cut(args[0], "=")
		args = args[1:]
		c := criterion{name: strings.ToLower(name)}
		c.name, c.negated = strings.CutPrefix(c.name, "!")
		switch c.name {
		case "all":
			allowed := func(c criterion) bool { return c.name == "canonical" || c.name == "final" }
			if c.negated || len(args) > 0 || len(criteria) > 1 || len(criteria) == 1 && !allowed(criteria[0]) {
				return nil, errors.New("match all stands alone, or after canonical or final")
			}
		case "canonical", "final":
		case "host", "originalhost", "user", "localuser", "tagged", "exec", "localnetwork", "command", "sessiontype", "version":
			if !hasValue && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			if value == "" {
				return nil, fmt.Errorf("match %s without an argument", c.name)
			}
			c.patterns = strings.Split(value, ",")
		default:
			return nil, fmt.Errorf("match has the unknown criterion %.40q", name)
		}
		criteria = append(criteria, c)
	}
	return criteria, nil
}

// holdsMatch reports whether all criteria of a Match line hold. Where all do that can be told, but for some that cannot,
// the line is undecided and taken not to hold.
func (l *lookup) holdsMatch(b *block) bool {
	all, undecided := true, false
	for _, c := range b.criteria { // to the last, which may be final
		holds, told := l.criterion(c)
		all = all && (!told || holds != c.negated)
		undecided = undecided || !told
	}
	if all && undecided {
		same := func(o Line) bool { return o.Number == b.opening.Number && o.File == b.opening.File }
		if !slices.ContainsFunc(l.answer.Undecided, same) {
			l.answer.Undecided = append(l.answer.Undecided, b.opening)
		}
	}
	return all && !undecided
}

// criterion reports whether a criterion, taken without its !, holds, and whether that can be told at all.
func (l *lookup) criterion(c criterion) (holds, told bool) {
	switch c.name {
	case "all":
		return true, true
	case "canonical": // names are never made canonical here
		return false, true
	case "final":
		l.wantsFinal = true
		return l.final, true
	case "host":
		return holdsFor(l.hostName(), lower(c.patterns)), true
	case "originalhost":
		return holdsFor(strings.ToLower(l.Name), lower(c.patterns)), true
	case "user":
		return holdsFor(l.user(), c.patterns), true
	case "localuser":
		return holdsFor(l.LocalUser, c.patterns), true
	case "tagged":
		tag := ""
		if line, ok := l.answer.First("tag"); ok {
			tag = line.Args[0]
		}
		return holdsFor(tag, c.patterns), true
	}
	return false, false
}

func lower(patterns []string) []string {
	low := make([]string, len(patterns))
	for i, pattern := range patterns {
		low[i] = strings.ToLower(pattern)
	}
	return low
}

package knownhosts

import "strings"

// isPattern reports whether the hosts of a line are more than a list of names.
func isPattern(hosts string) bool { return strings.ContainsAny(hosts, "*?!") }

// A pattern is a line whose hosts have wildcards or negations.
type pattern struct {
	hosts []string // in lower case
	line  *Line
}

// matches reports whether one of the hosts matches name and none that is negated does.
func (p *pattern) matches(name string) bool {
	found := false
	for _, host := range p.hosts {
		wildcards, negated := strings.CutPrefix(host, "!")
		if !match(wildcards, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// match reports whether the whole of s matches pattern, in which * stands for any characters and ? for any one. Only the last * is
// ever tried again, so that the time is bounded by the product of the lengths.
func match(pattern, s string) bool {
	star, retry := -1, 0 // the last *, and what comes after the text that it stood for
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

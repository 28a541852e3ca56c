package inventory

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxExpandedName is more than any host name that fits into a routing key.
const maxExpandedName = maxRoutingKey

// expand returns the names that a pattern stands for, in its order: web-[01-20] counts, db-[a,b] lists, [a-f] goes
// through the alphabet, and brackets may be many and mixed, r[1-4,x]-[a,b]. A number is as wide as it is written.
func expand(pattern string, limit int) ([]string, error) { return expandWith(bracket, pattern, limit) }

// brackets returns what the content of one pair of brackets stands for, up to a limit.
type brackets func(content string, limit int) ([]string, error)

// expandWith is expand where brackets may stand for something else.
func expandWith(inside brackets, pattern string, limit int) ([]string, error) {
	parts, err := splitBrackets(inside, pattern, limit)
	if err != nil {
		return nil, err
	}
	count, length := 1, 0
	for _, choices := range parts {
		if count > limit/len(choices) {
			return nil, fmt.Errorf("stands for more hosts than fit; an inventory holds up to %d", maxHosts)
		}
		count *= len(choices)
		longest := 0
		for _, choice := range choices {
			longest = max(longest, len(choice))
		}
		length += longest
	}
	if length > maxExpandedName {
		return nil, fmt.Errorf("stands for names of %d bytes; write at most %d", length, maxExpandedName)
	}
	names := make([]string, 0, count)
	var product func(prefix string, rest [][]string)
	product = func(prefix string, rest [][]string) {
		if len(rest) == 0 {
			names = append(names, prefix)
			return
		}
		for _, choice := range rest[0] {
			product(prefix+choice, rest[1:])
		}
	}
	product("", parts)
	return names, nil
}

// splitBrackets turns a pattern into the choices of each of its parts; text outside brackets is one choice.
func splitBrackets(inside brackets, pattern string, limit int) ([][]string, error) {
	var parts [][]string
	for pattern != "" {
		open := strings.IndexAny(pattern, "[]")
		if open < 0 {
			return append(parts, []string{pattern}), nil
		}
		if pattern[open] == ']' {
			return nil, errors.New("has a ] without a [ before it; write a range as [01-20]")
		}
		if open > 0 {
			parts = append(parts, []string{pattern[:open]})
		}
		length := strings.IndexAny(pattern[open+1:], "[]")
		if length < 0 || pattern[open+1+length] == '[' {
			return nil, errors.New("has a [ without a ] after it; write a range as [01-20]")
		}
		choices, err := inside(pattern[open+1:open+1+length], limit)
		if err != nil {
			return nil, err
		}
		parts = append(parts, choices)
		pattern = pattern[open+length+2:]
	}
	return parts, nil
}

// bracket are the brackets of a name: they hold a range or a list.
func bracket(content string, limit int) ([]string, error) {
	var choices []string
	isList := strings.Contains(content, ",")
	for item := range strings.SplitSeq(content, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return nil, fmt.Errorf("has nothing in a place of [%s]; write a range as [01-20] or a list as [a,b]", content)
		}
		more, err := choicesOf(item, isList, limit-len(choices))
		if err != nil {
			return nil, err
		}
		choices = append(choices, more...)
	}
	return choices, nil
}

// noRange is written by who means a range: 1..3, 1-3-5, 1 - 3, -3, 3-.
var noRange = regexp.MustCompile(`^-|-$|\.\.|^[0-9]+ *-[0-9 -]*$`)

// choicesOf is one item: a range of numbers or of single letters, else the text itself, in which only a list may have a dash.
func choicesOf(item string, isList bool, limit int) ([]string, error) {
	low, high, isRange := strings.Cut(item, "-")
	switch {
	case isRange && isNumber(low) && isNumber(high):
		return numbers(low, high, limit)
	case isRange && isLetter(low) && isLetter(high):
		return letters(low, high, limit)
	case isRange && (isNumber(low) && isLetter(high) || isLetter(low) && isNumber(high)):
		return nil, fmt.Errorf("has the range [%s] from a number to a letter; write two numbers or two letters", item)
	case noRange.MatchString(item) || isRange && !isList:
		return nil, fmt.Errorf("has [%s], which is no range; write a range as [1-3] or a list as [a,b]", item)
	case limit < 1:
		return nil, fmt.Errorf("stands for more hosts than fit; an inventory holds up to %d", maxHosts)
	}
	return []string{item}, nil
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func isLetter(s string) bool {
	return len(s) == 1 && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z')
}

func numbers(low, high string, limit int) ([]string, error) {
	if len(low) > 9 || len(high) > 9 {
		return nil, fmt.Errorf("has numbers of more than 9 digits in [%s-%s]", low, high)
	}
	first, errLow := strconv.Atoi(low)
	last, errHigh := strconv.Atoi(high)
	padded := len(low) > 1 && low[0] == '0' || len(high) > 1 && high[0] == '0'
	switch {
	case errLow != nil || errHigh != nil:
		return nil, fmt.Errorf("has something else than numbers in [%s-%s]", low, high)
	case padded && len(low) != len(high):
		return nil, fmt.Errorf("has numbers of unlike width in [%s-%s]; write [%0*d-%0*d]",
			low, high, max(len(low), len(high)), first, max(len(low), len(high)), last)
	case first > last:
		return nil, fmt.Errorf("counts down in [%s-%s]; write [%s-%s]", low, high, high, low)
	case last-first >= limit:
		return nil, fmt.Errorf("stands for more hosts than fit; an inventory holds up to %d", maxHosts)
	}
	width := 0
	if padded {
		width = len(low)
	}
	names := make([]string, 0, last-first+1)
	for n := first; n <= last; n++ {
		names = append(names, fmt.Sprintf("%0*d", width, n))
	}
	return names, nil
}

func letters(low, high string, limit int) ([]string, error) {
	first, last := low[0], high[0]
	switch {
	case (first < 'a') != (last < 'a'):
		return nil, fmt.Errorf("has letters of both cases in [%s-%s]; write two small or two capital ones", low, high)
	case first > last:
		return nil, fmt.Errorf("goes backwards in [%s-%s]; write [%s-%s]", low, high, high, low)
	case int(last-first) >= limit:
		return nil, fmt.Errorf("stands for more hosts than fit; an inventory holds up to %d", maxHosts)
	}
	var names []string
	for c := first; c <= last; c++ {
		names = append(names, string(rune(c)))
	}
	return names, nil
}

package inventory

import (
	"slices"
	"strings"
)

// alternatives returns the selectors that one with lists stands for: w[1-3,x] is w[1-3] and wx. The error says what is wrong
// with a list or range.
func alternatives(selector string) ([]string, error) {
	if !hasRange(selector) {
		return []string{selector}, nil
	}
	if _, err := expandWith(rangeOrClass, selector, maxHosts); err != nil {
		return nil, err
	}
	return expandWith(items, selector, maxHosts)
}

// expandSelector is expand for a selector, which may also be a glob: its brackets are ranges where they hold a list or a range
// of numbers, [a,b] or [01-20], else classes of characters. Of [1-3] the glob says the same.
func expandSelector(selector string) ([]string, error) {
	if !hasRange(selector) {
		return []string{selector}, nil
	}
	return expandWith(rangeOrClass, selector, maxHosts)
}

// hasRange reports whether any brackets of a selector are no class, though perhaps a bad range.
func hasRange(selector string) bool {
	return slices.ContainsFunc(strings.Split(selector, "[")[1:], func(rest string) bool {
		content, _, _ := strings.Cut(rest, "]")
		return !isClass(content)
	})
}

// isClass reports whether the content of brackets is for a glob to understand.
func isClass(content string) bool {
	low, high, _ := strings.Cut(content, "-")
	isRange := isNumber(low) && isNumber(high)
	return !isRange && !strings.Contains(content, ",") && !noRange.MatchString(content) && !isCrossed(content)
}

// isCrossed reports whether a class would have a range that is empty or goes from digits to letters, as in [ab-ad] or [a1-a3]:
// more is meant than the single characters of a class.
func isCrossed(class string) bool {
	for i := 1; i < len(class)-1; i++ {
		if low, high := class[i-1], class[i+1]; class[i] == '-' && (low > high || low >= '0' && low <= '9' && high > '9') {
			return true
		}
	}
	return false
}

// rangeOrClass are the brackets of a selector.
func rangeOrClass(content string, limit int) ([]string, error) {
	if isClass(content) {
		return []string{"[" + content + "]"}, nil
	}
	return bracket(content, limit)
}

// items are the brackets of a selector whose lists are taken apart, but not the ranges in them.
func items(content string, _ int) ([]string, error) {
	if !strings.Contains(content, ",") {
		return []string{"[" + content + "]"}, nil
	}
	var all []string
	for item := range strings.SplitSeq(content, ",") {
		item = strings.TrimSpace(item)
		choices, err := choicesOf(item, true, maxHosts)
		switch {
		case err != nil:
			return nil, err
		case len(choices) == 1:
			all = append(all, choices[0])
		default:
			all = append(all, "["+item+"]")
		}
	}
	return all, nil
}

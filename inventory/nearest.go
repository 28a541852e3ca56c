package inventory

import (
	"fmt"
	"iter"
	"strings"
)

// nearest returns the candidate that is at most limit edits away from name, the nearest and then the first in the
// alphabet, or "". Letters of another case are not an edit.
func nearest(name string, candidates iter.Seq[string], limit int) string {
	lower := strings.ToLower(name)
	best, found := limit+1, ""
	for c := range candidates {
		if d := distance(lower, strings.ToLower(c), limit); d < best || d == best && d <= limit && c < found {
			best, found = d, c
		}
	}
	return found
}

// DidYouMean is "; did you mean X?" for the candidate that is probably meant, else the advice.
func DidYouMean(name string, candidates iter.Seq[string], advice string) string {
	if near := Nearest(name, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return advice
}

// maxHints bounds the time that a file with thousands of mistakes takes.
const maxHints = 100

// hint is DidYouMean for names of hosts and groups, of which there may be many, while hints are left.
func (p *parser) hint(name string, candidates iter.Seq[string], advice string) string {
	if p.hints++; p.hints > maxHints {
		return advice
	}
	return DidYouMean(name, candidates, advice)
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b (optimal string
// alignment); anything above limit is limit+1.
func distance(a, b string, limit int) int {
	if diff := len(a) - len(b); diff > limit || -diff > limit {
		return limit + 1
	}
	rows := make([]int, 3*(len(b)+1))
	before, last, row := rows[:len(b)+1], rows[len(b)+1:2*(len(b)+1)], rows[2*(len(b)+1):]
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		least := row[0]
		for j := range len(b) {
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+edit(a[i] != b[j]))
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
			least = min(least, row[j+1])
		}
		if least > limit {
			return limit + 1
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit+1)
}

func edit(differs bool) int {
	if differs {
		return 1
	}
	return 0
}

// Nearest returns the candidate that someone who wrote name probably meant, or "".
func Nearest(name string, candidates iter.Seq[string]) string {
	return nearest(name, candidates, min((len(name)+2)/3, 3))
}

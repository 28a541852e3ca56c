package main

import (
	"fmt"
	"strconv"
	"strings"
)

// foldNames writes hosts whose names count up as one selector, web-[03-17], and all others by their names, in the order given. It selects the
// same hosts again.
func foldNames(names []string) []string {
	const few = 3 // Two are as short by their names.
	var folded []string
	for i := 0; i < len(names); {
		n := 1
		for i+n < len(names) && counts(names[i], names[i+n], n) {
			n++
		}
		if n < few {
			folded = append(folded, names[i:i+n]...)
		} else {
			stem, first := cutNumber(names[i])
			_, last := cutNumber(names[i+n-1])
			folded = append(folded, fmt.Sprintf("%s[%s-%s]", stem, first, last))
		}
		i += n
	}
	return folded
}

// counts reports whether the name is that of a host n after the first, written with as many digits.
func counts(first, name string, n int) bool {
	stem, from := cutNumber(first)
	stem2, to := cutNumber(name)
	if stem != stem2 || from == "" || len(from) != len(to) {
		return false
	}
	low, err := strconv.Atoi(from)
	high, err2 := strconv.Atoi(to)
	return err == nil && err2 == nil && high == low+n
}

// cutNumber cuts the digits at the end off a name.
func cutNumber(name string) (stem, number string) {
	stem = strings.TrimRight(name, "0123456789")
	return stem, name[len(stem):]
}

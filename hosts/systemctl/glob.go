package systemctl

import (
	"fmt"
	"regexp"
	"strings"
)

// CheckGlob returns nil if glob is a pattern for whole unit names that systemctl matches as [MatchGlob] does, else an error
// that wraps ErrUnitName and says what is wrong. systemctl uses fnmatch(3) with FNM_NOESCAPE alone: * and ? match any
// character, brackets one of those in them, or with [! or [^ one that is not; a backslash is itself, since unit names have
// them. Refused is what a unit name never has, and classes such as [[:digit:]], which depend on the host's locale.
func CheckGlob(glob string) error {
	_, err := compileGlob(glob)
	return err
}

// MatchGlob reports whether the name of a unit matches a glob that CheckGlob accepts; it is false for any other.
func MatchGlob(glob, name string) bool {
	compiled, err := compileGlob(glob)
	return err == nil && compiled.MatchString(name)
}

// compileGlob translates glob into a regular expression, which takes linear time whatever the glob.
func compileGlob(glob string) (*regexp.Regexp, error) {
	refuse := func(problem string) (*regexp.Regexp, error) {
		return nil, fmt.Errorf("unit glob %q: %w: %s", glob, ErrUnitName, problem)
	}
	switch {
	case glob == "":
		return refuse("it is empty")
	case len(glob) > maxUnitName:
		return refuse(fmt.Sprintf("it is longer than %d bytes", maxUnitName))
	case glob[0] == '-':
		return refuse("it begins with a dash; write [-] for that character")
	}
	var pattern strings.Builder
	pattern.WriteByte('^')
	for rest := glob; rest != ""; {
		char := rest[0]
		rest = rest[1:]
		switch {
		case char == '*':
			pattern.WriteString(".*")
		case char == '?':
			pattern.WriteByte('.')
		case char == '[':
			opening, members, behind, problem := cutBrackets(rest)
			if problem != "" {
				return refuse(problem)
			}
			// A dash makes a range, or is itself where it comes first or last, for both.
			pattern.WriteString(opening + regexp.QuoteMeta(members) + "]")
			rest = behind
		case isUnitNameChar(char):
			pattern.WriteString(regexp.QuoteMeta(string(char)))
		default:
			return refuse(`beside * ? and [...] only letters, digits and : _ . \ @ - are allowed`)
		}
	}
	pattern.WriteByte('$')
	compiled, err := regexp.Compile(pattern.String())
	if err != nil {
		return refuse("it has a range that ends before it begins")
	}
	return compiled, nil
}

// cutBrackets takes what stands between brackets apart, of which rest begins behind the first.
func cutBrackets(rest string) (opening, members, behind, problem string) {
	opening = "["
	if rest != "" && (rest[0] == '!' || rest[0] == '^') {
		opening, rest = "[^", rest[1:]
	}
	members, behind, closed := strings.Cut(rest, "]")
	if !closed || members == "" { // To fnmatch a ] that comes first is a member.
		return "", "", "", "its brackets do not match; close each [ with ]"
	}
	for _, char := range []byte(members) {
		if !isUnitNameChar(char) {
			return "", "", "", `its brackets hold what no unit name has; write letters, digits and : _ . \ @ -`
		}
	}
	return opening, members, behind, ""
}

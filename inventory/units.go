package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxUnitBytes bounds the names of a host's units together, because one ssh command line carries them.
const maxUnitBytes = 64 << 10

var (
	unitChars = regexp.MustCompile(`^[A-Za-z0-9:_.\\@-]{1,255}$`)
	globChars = regexp.MustCompile(`^[A-Za-z0-9:_.\\@*?!^\[\]-]{1,255}$`)
	globParts = regexp.MustCompile(`^([A-Za-z0-9:_.\\@*?-]|\[[!^]?[A-Za-z0-9:_.\\@-]+\])+$`)
	// unitRange is a range of numbers of several digits, which a glob cannot say.
	unitRange = regexp.MustCompile(`\[([0-9]{2,}-[0-9]+|[0-9]+-[0-9]{2,})\]`)
)

// unitTypes are the suffixes of systemd.unit(5).
func unitTypes() []string {
	return []string{
		"service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope",
	}
}

// IsGlob reports whether a unit, or the selector of a host, is a pattern rather than a name.
func IsGlob(name string) bool { return strings.ContainsAny(name, "*?[") }

// UnitName returns the full name of a unit, adding .service as systemctl does where no type is given, or says why systemd
// would refuse the name or take it for something else (systemd.unit(5), unit_name_is_valid in systemd's unit-name.c).
// Globs and templates are no names.
func UnitName(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("unit name is empty; remove it")
	case IsGlob(name):
		return "", fmt.Errorf("unit %q is a glob; write a name", name)
	case strings.Contains(name, "/"):
		return "", fmt.Errorf("unit %q is a path; write its unit, as systemd-escape --path --suffix=mount prints it", name)
	case strings.Trim(name, "0123456789") == "":
		return "", fmt.Errorf("unit %q is a job's number to systemctl; write %q", name, name+".service")
	}
	if err := checkChars(name); err != nil {
		return "", err
	}
	dot := strings.LastIndexByte(name, '.')
	suffix := name[dot+1:]
	if dot < 0 || !slices.Contains(unitTypes(), suffix) {
		near := cmp.Or(nearest(suffix, slices.Values([]string{"service"}), 1), nearest(suffix, slices.Values(unitTypes()), 1))
		if dot >= 0 && near != "" {
			return "", fmt.Errorf("unit %q has no type that systemd knows; did you mean %q? Else write %q",
				name, name[:dot+1]+near, name+".service")
		}
		dot = len(name)
		name += ".service"
	}
	return name, checkPrefix(name, dot)
}

func checkChars(name string) error {
	if unitChars.MatchString(name) {
		return nil
	}
	if len(name) > 255 {
		return fmt.Errorf("unit %.20q… has %d characters; systemd allows 255", name, len(name))
	}
	for _, r := range name {
		if !unitChars.MatchString(string(r)) {
			return fmt.Errorf("unit %q has the character %q, which unit names cannot have; systemd-escape prints the name to write",
				name, r)
		}
	}
	return fmt.Errorf("unit %q is not a name that systemd knows", name)
}

// checkPrefix looks at what stands before the dot of the type.
func checkPrefix(name string, dot int) error {
	prefix := name[:dot]
	at := strings.IndexByte(prefix, '@')
	switch {
	case len(name) > 255:
		return fmt.Errorf("unit %.20q… has %d characters with its type; systemd allows 255", name, len(name))
	case prefix == "" || at == 0:
		return fmt.Errorf("unit %q has nothing before its type or @; write the whole name", name)
	case at == len(prefix)-1:
		return fmt.Errorf("unit %q is a template; name an instance of it, such as %q", name, prefix+"1"+name[dot:])
	case prefix[0] == '-' && name != "-.mount" && name != "-.slice":
		return fmt.Errorf("unit %q begins with -, which only -.mount and -.slice may", name)
	}
	return nil
}

// checkGlob says what is wrong with a pattern for units. systemctl takes it as it is, without adding a type.
func checkGlob(glob string) error {
	switch {
	case !globChars.MatchString(glob):
		return fmt.Errorf("unit glob %q is longer than 255 or has characters that neither globs nor unit names have", glob)
	case glob[0] == '-':
		return fmt.Errorf("unit glob %q begins with -; write [-] for that character", glob)
	case unitRange.MatchString(glob):
		return fmt.Errorf("unit glob %q has a range of numbers, but a glob's brackets stand for one character; list the units", glob)
	case !globParts.MatchString(glob):
		return fmt.Errorf("unit glob %q has brackets that do not match or hold more than letters, digits and : _ . \\ @ -; "+
			"close each [ with ]", glob)
	}
	return nil
}

// watched are the units of a group or host: exact names and globs, each once, in the order given.
type watched struct {
	names, globs []string
}

// units adds a list of the file to what is inherited, which stays as it is.
func (p *parser) units(inherited watched, l list) watched {
	if len(l.v) == 0 {
		return inherited
	}
	sum := watched{slices.Clone(inherited.names), slices.Clone(inherited.globs)}
	seen := make(map[string]bool, len(sum.names)+len(sum.globs)+len(l.v))
	for _, name := range slices.Concat(sum.names, sum.globs) {
		seen[name] = true
	}
	for _, t := range l.v {
		into := &sum.names
		name, err := UnitName(t.v)
		if IsGlob(t.v) {
			into, name, err = &sum.globs, t.v, checkGlob(t.v)
		}
		if err != nil {
			p.mistake(t.at, "%v", err)
		} else if !seen[name] {
			seen[name] = true
			*into = append(*into, name)
		}
	}
	bytes := 0
	for name := range seen {
		bytes += len(name) + len(`"" `)
	}
	if bytes > maxUnitBytes {
		p.mistake(l.at, "the names of the units come to %d KiB with those inherited; %d KiB fit into one ssh command: "+
			"watch fewer", bytes>>10, maxUnitBytes>>10)
		return inherited
	}
	return sum
}

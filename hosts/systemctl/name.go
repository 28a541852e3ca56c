package systemctl

import (
	"fmt"
	"strings"
)

// maxUnitName is UNIT_NAME_MAX-1 of systemd's src/basic/unit-name.h.
const maxUnitName = 255

// CheckUnitName returns nil if name is a whole unit name that systemctl takes literally, else an error that wraps
// ErrUnitName and says what is wrong. Stricter than systemd, which would escape, complete or expand some of these
// (unit_name_is_valid and unit_name_mangle in src/basic/unit-name.c), and then answer under another name.
func CheckUnitName(name string) error {
	if problem := unitNameProblem(name); problem != "" {
		return fmt.Errorf("unit %q: %w: %s", name, ErrUnitName, problem)
	}
	return nil
}

func unitNameProblem(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > maxUnitName:
		return fmt.Sprintf("it is longer than %d bytes", maxUnitName)
	case strings.Trim(name, "0123456789") == "":
		return "systemctl takes a number for a job id; add a suffix such as .service"
	}
	for _, char := range []byte(name) {
		if !isUnitNameChar(char) {
			return `only letters, digits and : _ . \ @ - are allowed; use systemd-escape for others`
		}
	}
	prefix := name[:max(0, strings.LastIndexByte(name, '.'))]
	switch before, _, instantiated := strings.Cut(prefix, "@"); {
	case unitTypeOf(name) == 0:
		return "it does not end in a unit type such as .service"
	case prefix == "" || before == "":
		return "nothing stands before the @ or the suffix"
	case instantiated && len(before)+1 == len(prefix):
		return "it is a template; name an instance of it"
	case name[0] == '-' && name != "-.mount" && name != "-.slice":
		return "it begins with a dash"
	}
	return ""
}

// isUnitNameChar is VALID_CHARS_WITH_AT of systemd's src/basic/unit-name.c. No such character but the backslash means
// anything to a shell.
func isUnitNameChar(char byte) bool {
	return isAlphanumeric(char) || strings.IndexByte(`:_.\@-`, char) >= 0
}

func isAlphanumeric(char byte) bool {
	return 'a' <= char && char <= 'z' || 'A' <= char && char <= 'Z' || '0' <= char && char <= '9'
}

// namesInclude reports whether the value of the property Names, an unordered list, has name in it. systemd >= 246
// writes a name with a backslash as a quoted C string: "system-a\\x2db.slice".
func namesInclude(value []byte, name string) bool {
	for word := range strings.SplitSeq(string(value), " ") {
		if word == name {
			return true
		}
		quoted, opened := strings.CutPrefix(word, `"`)
		quoted, closed := strings.CutSuffix(quoted, `"`)
		if opened && closed && strings.ReplaceAll(quoted, `\\`, `\`) == name {
			return true
		}
	}
	return false
}

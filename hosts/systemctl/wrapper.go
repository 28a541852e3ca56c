package systemctl

import (
	_ "embed" // wrapper.sh
	"strconv"
	"strings"
)

// WrapperPath is where the wrapper lies if no one says otherwise.
const WrapperPath = "/usr/local/libexec/service_manager-report"

// refusal begins what the wrapper says on stderr when it refuses a command.
const refusal = "service_manager-report: refused"

//go:embed wrapper.sh
var wrapper string

// Wrapper returns the script that an SSH key on a host is bound to as a forced command (command= in sshd(8)), to lie at that
// path. It is the host's half of the protocol: it runs what Query.Command and Listing.Command of this version write, by its own
// copy of the scripts, and refuses and logs everything else. It is for any POSIX shell with timeout, sed, tr and, if there
// is one, logger.
func Wrapper(path string) string {
	known := managerProperties()
	for _, property := range unitProperties() {
		known = append(known, property.name)
	}
	return strings.NewReplacer(
		"@PATH@", path,
		"@REFUSAL@", refusal,
		"@MAXIMUM@", strconv.Itoa(maxCommand),
		"@START@", commandStart,
		"@SCRIPT_START@", scriptStart,
		"@SCRIPT_END@", scriptEnd,
		"@SHOW@", showScript,
		"@LIST@", listScript,
		"@STREAM_START@", streamStart,
		"@STREAM_END@", streamEnd,
		"@STREAM@", streamScript,
		"@PROPERTIES@", strings.Join(known, " "),
	).Replace(wrapper)
}

// IsWrapperRefusal reports whether the wrapper, of this or another version, said on stderr that it refuses a command. The
// exit status is 126 then. To a command of a collector it does so where that is of another version than the wrapper.
func IsWrapperRefusal(stderr string) bool {
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, refusal) {
			return true
		}
	}
	return false
}

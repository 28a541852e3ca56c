package systemctl

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// Parse reads the output of q's command. Bytes outside its markers are ignored. The error is
//
//   - a *NoAnswerError if no marker is there at all, so that the command did not start;
//   - a *CommandError if a systemctl failed, with what it said on stderr;
//   - one that wraps ErrCutOff if the answer stops half-way;
//   - one that wraps ErrProtocol if anything else is not as asked for, naming the unit.
//
// With an error the Answer holds what came before it, and never units. An answer of a systemd that is older than q
// presumes is no error: it has Regroup set and no units, and the caller asks again with Version set.
func (q Query) Parse(stdout, stderr []byte) (Answer, error) {
	var answer Answer
	output := answerOutput{nonce: q.Nonce, stdout: stdout, stderr: stderr}
	content, err := output.section(SectionManager)
	if err != nil {
		return answer, err
	}
	if len(content) == 0 { // In a chroot systemctl prints a line on stderr and exits with 0.
		return answer, &CommandError{Section: SectionManager, Stderr: lastLines(stderr)}
	}
	if answer.Manager, err = parseManager(content); err != nil {
		return answer, err
	}
	if !q.suits(answer.Manager.VersionNumber) {
		answer.Regroup = true
		return answer, nil
	}
	if content, err = output.section(SectionBoot); err != nil {
		return answer, err
	}
	answer.BootID = parseBootID(content)

	units := make([]Unit, len(q.Units))
	for _, group := range q.groups() {
		if content, err = output.section(SectionUnits); err != nil {
			return answer, err
		}
		if err = q.parseUnits(content, group, answer.Manager, units); err != nil {
			return answer, err
		}
	}
	answer.Units = units
	return answer, nil
}

// answerOutput is what is left of an answer to read.
type answerOutput struct {
	nonce          string
	stdout, stderr []byte
	begun          bool // a section was found
}

// section returns the bytes of the next section, which must have that name and have ended well.
func (o *answerOutput) section(name string) ([]byte, error) {
	_, rest, found := bytes.Cut(o.stdout, []byte(BeginMarker(o.nonce, name)))
	if !found && !o.begun {
		return nil, &NoAnswerError{Stdout: firstLines(o.stdout), Stderr: lastLines(o.stderr)}
	}
	o.begun = true
	content, rest, ended := bytes.Cut(rest, []byte(endMarkerStart(o.nonce, name)))
	status, rest, complete := bytes.Cut(rest, []byte("\n"))
	if !found || !ended || !complete {
		return nil, fmt.Errorf("section %s: %w before its end", name, ErrCutOff)
	}
	o.stdout = rest
	exitCode, err := strconv.Atoi(string(status))
	switch {
	case err != nil:
		return nil, fmt.Errorf("section %s: %w: %q in its marker is no exit status", name, ErrProtocol, status)
	case exitCode != 0:
		return nil, &CommandError{Section: name, ExitCode: exitCode, Stderr: lastLines(o.stderr)}
	}
	return content, nil
}

// managerProperties are what the manager is asked for. All of them are in systemd 219.
func managerProperties() []string {
	return []string{"Version", "SystemState", "NFailedUnits", "NJobs", "UserspaceTimestamp", "UserspaceTimestampMonotonic"}
}

// parseManager reads the properties of the manager, in any order. Unknown ones are ignored.
func parseManager(content []byte) (Manager, error) {
	values := make(map[string][]byte, len(managerProperties()))
	for line := range bytes.SplitSeq(content, []byte("\n")) {
		key, value, isProperty := bytes.Cut(line, []byte("="))
		if !isProperty {
			continue
		}
		if _, repeated := values[string(key)]; repeated {
			return Manager{}, fmt.Errorf("manager: %w: %s is there twice", ErrProtocol, key)
		}
		values[string(key)] = value
	}
	if _, ok := values["Version"]; !ok {
		return Manager{}, fmt.Errorf("manager: %w: it tells no Version", ErrProtocol)
	}
	manager := Manager{
		State:              string(values["SystemState"]),
		FailedUnits:        parseInt(values["NFailedUnits"]),
		QueuedJobs:         parseInt(values["NJobs"]),
		UserspaceTime:      parseTimestamp(values["UserspaceTimestamp"]),
		UserspaceMonotonic: parseMonotonic(values["UserspaceTimestampMonotonic"]),
	}
	manager.Version, manager.VersionNumber = parseVersion(values["Version"])
	return manager, nil
}

// parseVersion takes the number from "252", "252.39-1~deb12u1" or "v258-rc1".
func parseVersion(value []byte) (string, int) {
	value = bytes.TrimPrefix(value, []byte("v"))
	value = value[:len(value)-len(bytes.TrimLeft(value, "0123456789"))]
	number, err := strconv.Atoi(string(value))
	if err != nil {
		return "", 0
	}
	return string(value), number
}

// bootTime is when the host's monotonic clock was at 0; false if the host does not tell.
func (m Manager) bootTime() (time.Time, bool) {
	if m.UserspaceTime == nil || m.UserspaceMonotonic == nil {
		return time.Time{}, false
	}
	return m.UserspaceTime.Add(-*m.UserspaceMonotonic), true
}

// parseBootID returns the boot id, or "" for anything that is not a UUID.
func parseBootID(content []byte) string {
	id := string(bytes.TrimSpace(content))
	if len(id) != 36 {
		return ""
	}
	for i, char := range []byte(id) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (char == '-') || !dash && !isHexDigit(char) {
			return ""
		}
	}
	return id
}

func isHexDigit(char byte) bool { return '0' <= char && char <= '9' || 'a' <= char && char <= 'f' }

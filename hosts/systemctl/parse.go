package systemctl

import (
	"bytes"
	"fmt"
	"slices"
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
	if answer.Manager, err = parseManager(content, &q.Before.Manager); err != nil {
		return answer, err
	}
	if !q.suits(answer.Manager.VersionNumber) {
		answer.Regroup = true
		return answer, nil
	}
	if content, err = output.section(SectionBoot); err != nil {
		return answer, err
	}
	answer.BootID = parseBootID(content, q.Before.BootID)

	reading := q.reading(answer.Manager)
	for _, group := range q.groups() {
		if content, err = output.section(SectionUnits); err != nil {
			return answer, err
		}
		if err = reading.group(content, &group); err != nil {
			return answer, err
		}
	}
	answer.Units = reading.units
	return answer, nil
}

// answerOutput is what is left of an answer to read.
type answerOutput struct {
	nonce          string
	stdout, stderr []byte
	marker         []byte // the last one that was looked for
	begun          bool   // a section was found
}

// section returns the bytes of the next section, which must have that name and have ended well.
func (o *answerOutput) section(name string) ([]byte, error) {
	o.marker = appendBeginMarker(o.marker[:0], o.nonce, name)
	_, rest, found := bytes.Cut(o.stdout, o.marker)
	if !found && !o.begun {
		return nil, &NoAnswerError{Stdout: firstLines(o.stdout), Stderr: lastLines(o.stderr)}
	}
	o.begun = true
	o.marker = appendEndMarker(o.marker[:0], o.nonce, name)
	content, rest, ended := bytes.Cut(rest, o.marker)
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

// parseManager reads the properties of the manager, in any order. Unknown ones are ignored. What is as before is shared with that.
func parseManager(content []byte, before *Manager) (Manager, error) {
	names := managerProperties()
	values := make([][]byte, len(names)) // nil where it tells nothing
	for line := range bytes.SplitSeq(content, []byte("\n")) {
		key, value, isProperty := bytes.Cut(line, []byte("="))
		at := slices.Index(names, string(key))
		if !isProperty || at < 0 {
			continue
		}
		if values[at] != nil {
			return Manager{}, fmt.Errorf("manager: %w: %s is there twice", ErrProtocol, key)
		}
		values[at] = value
	}
	of := func(name string) []byte { return values[slices.Index(names, name)] }
	if of("Version") == nil {
		return Manager{}, fmt.Errorf("manager: %w: it tells no Version", ErrProtocol)
	}
	manager := Manager{
		State:              sharedText(before.State, of("SystemState")),
		FailedUnits:        sharedInt(before.FailedUnits, of("NFailedUnits")),
		QueuedJobs:         sharedInt(before.QueuedJobs, of("NJobs")),
		UserspaceTime:      sharedTimestamp(before.UserspaceTime, of("UserspaceTimestamp")),
		UserspaceMonotonic: parseMonotonic(of("UserspaceTimestampMonotonic")),
	}
	manager.Version, manager.VersionNumber = parseVersion(of("Version"), before.Version)
	return manager, nil
}

// parseVersion takes the number from "252", "252.39-1~deb12u1" or "v258-rc1".
func parseVersion(value []byte, before string) (string, int) {
	value = bytes.TrimPrefix(value, []byte("v"))
	value = value[:len(value)-len(bytes.TrimLeft(value, "0123456789"))]
	version := sharedText(before, value)
	number, err := strconv.Atoi(version)
	if err != nil {
		return "", 0
	}
	return version, number
}

// bootTime is when the host's monotonic clock was at 0; false if the host does not tell.
func (m Manager) bootTime() (time.Time, bool) {
	if m.UserspaceTime == nil || m.UserspaceMonotonic == nil {
		return time.Time{}, false
	}
	return m.UserspaceTime.Add(-*m.UserspaceMonotonic), true
}

// parseBootID returns the boot id, or "" for anything that is not a UUID.
func parseBootID(content []byte, before string) string {
	id := sharedText(before, bytes.TrimSpace(content))
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

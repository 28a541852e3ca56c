package systemctl

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Listing is one question to one host: which units do some globs stand for. Ask each once: an answer belongs to the
// nonce. Its options and output are the same in all versions of systemd since 219.
type Listing struct {
	// Nonce is as in Query.
	Nonce string

	// Globs are patterns for whole names, suffix included, see [CheckGlob]. There must be one.
	Globs []string

	// Limit is as in Query.
	Limit time.Duration
}

// Command returns the command line to run on the host. The error wraps ErrUnitName if a glob must not be sent; it is
// another one if the nonce or the limit is none, if there is no glob, or if the command would be longer than 100 KiB.
func (l Listing) Command() (string, error) {
	if err := checkAsking(l.Nonce, l.Limit); err != nil {
		return "", err
	}
	if len(l.Globs) == 0 {
		return "", fmt.Errorf("listing units: %w: there is no glob", ErrUnitName)
	}
	request := Request{Nonce: l.Nonce, Limit: l.Limit}
	for _, glob := range l.Globs {
		if err := CheckGlob(glob); err != nil {
			return "", err
		}
		// Both mean the same, but a csh takes a ! for one of its own.
		request.Globs = append(request.Globs, strings.ReplaceAll(glob, "!", "^"))
	}
	command := request.command()
	if len(command) > maxCommand {
		return "", fmt.Errorf("%d globs make a command of %d bytes, more than %d; write fewer", len(l.Globs), len(command), maxCommand)
	}
	return command, nil
}

// Parse reads the output of l's command and returns the names that the globs stand for, sorted, each once. Errors are those
// of [Query.Parse].
//
// These are the units in memory and the installed unit files, whatever their state, masked ones included. Left out are
// templates, units of types that are not watched, and names that are in memory only because another unit refers to them,
// which no unit file and no process stands behind. Aliases are names of their own, since systemd tells what they stand for only
// where a unit is asked for; before 246 it does not even tell them from other unit files.
func (l Listing) Parse(stdout, stderr []byte) ([]string, error) {
	compiled := make([]*regexp.Regexp, len(l.Globs))
	for i, glob := range l.Globs {
		var err error
		if compiled[i], err = compileGlob(glob); err != nil {
			return nil, err
		}
	}
	names := make(map[string]bool)
	output := answerOutput{nonce: l.Nonce, stdout: stdout, stderr: stderr}
	for _, section := range []string{SectionLoaded, SectionInstalled} {
		content, err := output.section(section)
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(content)) == 0 { // Not even shutdown.target.
			return nil, &CommandError{Section: section, Stderr: lastLines(stderr)}
		}
		for line := range bytes.Lines(content) {
			name := listedName(line, section)
			if name != "" && slices.ContainsFunc(compiled, func(glob *regexp.Regexp) bool { return glob.MatchString(name) }) {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// listedName returns the unit that a line of a list tells of, or "". The columns are UNIT LOAD ACTIVE SUB [JOB] DESCRIPTION,
// with a mark before them where a systemd does not heed --plain, and UNIT STATE [PRESET].
func listedName(line []byte, section string) string {
	columns := bytes.Fields(line)
	if len(columns) > 1 && CheckUnitName(string(columns[0])) != nil {
		columns = columns[1:]
	}
	if len(columns) < 2 || CheckUnitName(string(columns[0])) != nil {
		return ""
	}
	if section == SectionLoaded && (len(columns) < 4 || string(columns[1]) == "not-found" && string(columns[2]) == "inactive") {
		return ""
	}
	return string(columns[0])
}

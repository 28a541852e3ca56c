package hosts

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

const sshdConfigFile = "/etc/ssh/sshd_config"

// An sshdConfig holds settings of sshd_config(5) by their names in lower case. Those in Match blocks are left out: whom they are for is
// more than a look at the file tells.
type sshdConfig map[string]string

// parseSSHDConfig reads sshd's main file and those that it includes, as far as they are there; false where the main one is not.
func parseSSHDConfig(files map[string]string) (sshdConfig, bool) {
	config := make(sshdConfig)
	main, ok := files[sshdConfigFile]
	if ok {
		config.read(main, files, 0)
	}
	return config, ok
}

// maxIncludes is how deep files may include each other, as in OpenSSH's servconf.c.
const maxIncludes = 16

// read takes the settings of a file, of which the first for a name counts.
func (c sshdConfig) read(text string, files map[string]string, depth int) {
	for line := range strings.Lines(text) {
		name, value, ok := splitSetting(line)
		switch {
		case !ok:
		case name == "match":
			return
		case name == "include":
			for pattern := range strings.FieldsSeq(value) {
				for _, included := range matching(pattern, files) {
					if depth < maxIncludes {
						c.read(files[included], files, depth+1)
					}
				}
			}
		default:
			if _, set := c[name]; !set {
				c[name] = value
			}
		}
	}
}

// splitSetting reads one line: a name, blanks or one =, and a value that may be quoted.
func splitSetting(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", false
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return "", "", false
	}
	value = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line[end:]), "="))
	if comment := strings.Index(value, " #"); comment >= 0 {
		value = strings.TrimSpace(value[:comment])
	}
	return strings.ToLower(line[:end]), strings.Trim(value, `"`), true
}

// matching lists the files that a pattern of Include stands for, in sshd's order.
func matching(pattern string, files map[string]string) []string {
	if !path.IsAbs(pattern) {
		pattern = path.Join("/etc/ssh", pattern)
	}
	var names []string
	for name := range files {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (c sshdConfig) value(name string) string { return c[strings.ToLower(name)] }

// duration is a setting that is a time; false where it is not set, or set to none.
func (c sshdConfig) duration(name string) (time.Duration, bool) { return parseSSHTime(c.value(name)) }

// show lists the settings that bear upon a collector, as far as they are set.
func (c sshdConfig) show() string {
	var shown []string
	for _, name := range []string{
		"MaxSessions", "MaxStartups", "PerSourceMaxStartups", "PerSourcePenalties", "PerSourcePenaltyExemptList", "LoginGraceTime",
		"ClientAliveInterval", "ClientAliveCountMax", "UnusedConnectionTimeout", "ChannelTimeout", "AllowTcpForwarding", "UseDNS",
		"AllowUsers", "AllowGroups", "ForceCommand",
	} {
		if value := c.value(name); value != "" {
			shown = append(shown, fmt.Sprintf("%s %s", name, oneLine(value, 80)))
		}
	}
	return strings.Join(shown, ", ")
}

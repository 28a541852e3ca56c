package hosts

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// The facts that the look-around gathers. Each is a line "--NONCE NAME" and what follows it.
const (
	factBegun      = "begun"
	factEnded      = "ended"
	factUser       = "user"
	factGroups     = "groups"
	factTimeout    = "timeout"
	factConnection = "connection"
	factShell      = "shell"
	factSudo       = "sudo"
	factUnits      = "units"
	factConfig     = "config " // and the file's path
)

// facts are what the account on a host can see, by name.
type facts map[string]string

// lookCommand is the command that gathers the facts. Like the poll's it is quoted for login shells of all kinds, and nothing in it
// waits for long. It forks a few processes, once.
func lookCommand(nonce, sudo string, listUnits bool) string {
	var line strings.Builder
	line.WriteString(`exec sh -c 'export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"; exec </dev/null 2>/dev/null; n=` + nonce +
		`; f() { printf "\n--%s %s\n" "$n" "$1"; }; ` +
		`f begun; date +%s.%N; f user; id -u; f groups; timeout 2 id -Gn; f timeout; command -v timeout; ` +
		`f connection; echo "$SSH_CONNECTION"; f shell; echo "$SHELL"; `)
	if sudo != "" {
		// What may not be done is only asked where sudo is meant to be used: asking in vain is logged, and mailed to root.
		line.WriteString(`f sudo; timeout 3 sudo -n -l ` + sudo + ` >/dev/null 2>&1; echo $?; `)
	}
	if listUnits {
		line.WriteString(`f units; timeout 3 systemctl --no-pager --no-legend list-unit-files | head -c 100000; `)
	}
	line.WriteString(`for c in /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf; do ` +
		`if [ -r "$c" ]; then f "config $c"; head -c 20000 "$c"; fi; done; f ended; date +%s.%N'`)
	return line.String()
}

// parseFacts reads what the command of that nonce printed.
func parseFacts(nonce, stdout string) facts {
	found := make(facts)
	sections := strings.Split("\n"+stdout, "\n--"+nonce+" ")
	for _, section := range sections[1:] {
		name, text, _ := strings.Cut(section, "\n")
		found[name] = strings.TrimSpace(text)
	}
	return found
}

// lookBytes is more than any of an examination's own commands has to say, the list of all unit files included.
const lookBytes = 1 << 20

// lookAround asks the host for more than a poll does, where the account may.
func (e *examination) lookAround(ctx context.Context) bool {
	missing := e.missingUnits()
	if e.refused {
		e.unitsNotFound(missing, nil)
		if e.report.Outcome == OK {
			e.ok("account", "the key may only report status (a forced command): the account, clock and sshd's settings are not visible")
		}
		return true
	}
	sudo := ""
	if command, err := e.sudoed().Command(); err == nil && e.host.SSH.Become == "sudo" {
		_, sudo, _ = strings.Cut(command, " sudo -n ")
	}
	nonce := systemctl.NewNonce()
	started := time.Now()
	out, err := e.conn.exec(ctx, lookCommand(nonce, sudo, len(missing) > 0), lookBytes)
	if err != nil {
		e.lost("account", err)
		return false
	}
	took := time.Since(started)
	e.facts = parseFacts(nonce, string(out.stdout))
	e.unitsNotFound(missing, unitNames(e.facts[factUnits]))
	e.account()
	e.commands()
	e.clock(started, took)
	e.sshd()
	return true
}

// sudoed is what sudo is asked about: one of the operations that it is to allow.
func (e *examination) sudoed() systemctl.Operation {
	o := systemctl.Operation{Verb: systemctl.Restart, Sudo: true}
	if len(e.host.Units) > 0 {
		o.Unit = e.host.Units[0]
	}
	return o
}

func (e *examination) missingUnits() []string {
	var missing []string
	for _, u := range e.answer.Units {
		if u.LoadState == "not-found" {
			missing = append(missing, u.Name)
		}
	}
	return missing
}

// unitNames reads the first column of systemctl list-unit-files.
func unitNames(list string) []string {
	var names []string
	for line := range strings.Lines(list) {
		if words := strings.Fields(line); len(words) > 1 {
			names = append(names, words[0])
		}
	}
	return names
}

// unitsNotFound names the units that the host does not have, and what was perhaps meant.
func (e *examination) unitsNotFound(missing, existing []string) {
	words := make([]string, 0, len(missing))
	for _, name := range missing {
		word := oneLine(name, 100)
		if near := nearestUnit(name, existing); near != "" {
			word += fmt.Sprintf(" (did you mean %s?)", oneLine(near, 100))
		}
		words = append(words, word)
	}
	e.someUnits(words, Finding{
		Code: "unit_not_found", Severity: SeverityWarning, Problem: "a watched unit does not exist on the host",
		Why:    "it is reported as not-found at each poll, and if it was meant to exist, no one watches the right one",
		Remedy: "mend the name in the inventory, or install the service; what there is, on the host: systemctl list-unit-files",
	})
}

// nearestUnit looks for a unit of the same type: one with few letters changed, else the shortest that begins like it.
func nearestUnit(name string, existing []string) string {
	stem, suffix := splitUnit(name)
	stems := make(map[string]string, len(existing))
	begins := ""
	for _, other := range existing {
		s, x := splitUnit(other)
		if x != suffix {
			continue
		}
		stems[s] = other
		if len(stem) >= 3 && strings.HasPrefix(s, stem) && (begins == "" || len(other) < len(begins)) {
			begins = other
		}
	}
	if near := inventory.Nearest(stem, maps.Keys(stems)); near != "" {
		return stems[near]
	}
	return begins
}

func splitUnit(name string) (stem, suffix string) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name, ""
	}
	return name[:dot], name[dot:]
}

// account tells what the account may see and do.
func (e *examination) account() {
	groups := strings.Fields(e.facts[factGroups])
	user := quote(e.host.SSH.User)
	switch {
	case e.facts[factUser] == "0":
		e.add(Finding{
			Step: "account", Code: "root", Severity: SeverityWarning, Detail: "the collector logs in as root",
			Problem: "the collector logs in as root, and may do anything",
			Why:     "to read states needs no rights at all; who steals the collector's key has these hosts",
			Remedy: "make an account for it: sudo useradd --create-home --shell /bin/sh monitor; or let its key do nothing but report: " +
				"service_manager authorized-keys",
		})
	case e.facts[factUser] == "":
		e.ok("account", "not visible: id is missing, or printed nothing")
	case slices.Contains(groups, "systemd-journal") || slices.Contains(groups, "adm"):
		e.ok("account", "%s, in %s, may read the journal", user, oneLine(strings.Join(groups, " "), 100))
	default:
		e.add(Finding{
			Step: "account", Code: "no_journal", Severity: SeverityNote,
			Detail:  fmt.Sprintf("%s is in %s", user, oneLine(strings.Join(groups, " "), 100)),
			Problem: "the account may not read the journal", Why: "service_manager logs shows nothing of these hosts; all else works",
			Remedy: "on the host: sudo usermod --append --groups systemd-journal " + user,
		})
	}
	if status, asked := e.facts[factSudo]; asked && status != "0" {
		e.add(Finding{
			Step: "account", Code: "no_sudo", Severity: SeverityNote, Detail: fmt.Sprintf("sudo does not let %s run systemctl restart", user),
			Problem: "become is sudo, but the account may not use it for systemctl", Why: "start, stop, restart and the like fail on these hosts",
			Remedy: "on the host, with visudo -f /etc/sudoers.d/service_manager, a line for each verb and unit such as: " + e.sudoed().SudoersRule(user),
		})
	}
}

// commands looks for the programs that the poll's command needs.
func (e *examination) commands() {
	if e.facts[factTimeout] != "" {
		return
	}
	e.add(Finding{
		Step: "account", Code: "no_timeout_command", Severity: SeverityWarning, Detail: "there is no timeout command in PATH",
		Problem: "the command timeout is missing", Why: "the collector's command is run by it, so that nothing is left behind on a host that hangs",
		Remedy: "install coreutils or busybox on the host, or mend the account's PATH",
	})
}

// The clocks of a fleet are kept within milliseconds; beyond this someone should look.
const largeOffset = 2 * time.Second

// clock compares the host's clock with ours, as NTP does (RFC 5905, section 8): of both, the middle between the command's beginning and
// its end. Only what the command took beside its work there is in doubt.
func (e *examination) clock(started time.Time, took time.Duration) {
	begun, exact, ok := parseDate(e.facts[factBegun])
	ended, _, both := parseDate(e.facts[factEnded])
	if !ok || !both {
		e.ok("clock", "not visible: date printed no number of seconds")
		return
	}
	worked := ended.Sub(begun)
	offset := begun.Add(worked / 2).Sub(started.Add(took / 2))
	e.report.ClockOffset = &offset
	doubt := max(took-worked, 0) / 2
	if !exact {
		doubt += time.Second
	}
	if offset.Abs() <= largeOffset+doubt {
		e.ok("clock", "within %s of ours", brief(offset.Abs()+doubt))
		return
	}
	direction := "ahead of"
	if offset < 0 {
		direction = "behind"
	}
	e.add(Finding{
		Step: "clock", Code: "clock_offset", Severity: SeverityWarning,
		Detail:  fmt.Sprintf("its clock is %s %s ours", brief(offset.Abs()), direction),
		Problem: "the host's clock differs from the collector's",
		Why:     "since, happened_at, last_trigger and next_elapse are by the host's clock, all else by the collector's",
		Remedy:  "on the host: timedatectl; sudo timedatectl set-ntp true",
	})
}

// parseDate reads what date +%s.%N prints. Busybox has no %N, so that its moment is not exact.
func parseDate(text string) (moment time.Time, exact, ok bool) {
	seconds, fraction, _ := strings.Cut(text, ".")
	whole, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || whole < 0 || whole > math.MaxUint32 {
		return time.Time{}, false, false
	}
	nanoseconds, err := strconv.ParseInt(fraction, 10, 64)
	if err != nil || len(fraction) != len("123456789") {
		return time.Unix(whole, 0), false, true
	}
	return time.Unix(whole, nanoseconds), true, true
}

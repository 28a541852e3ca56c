package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sourcegraph/conc"
	"golang.org/x/crypto/ssh"
)

// sshd looks at the settings of the host's sshd that bear upon a collector.
func (e *examination) sshd() {
	files := make(map[string]string)
	for name, text := range e.facts {
		if path, ok := strings.CutPrefix(name, factConfig); ok {
			files[path] = text
		}
	}
	config, visible := parseSSHDConfig(files)
	if !visible {
		e.ok("sshd", "its settings are not visible: the account may not read %s", sshdConfigFile)
	} else if shown := config.show(); shown != "" {
		e.ok("sshd", "%s", shown)
	} else {
		e.ok("sshd", "no setting that bears upon the collector is changed")
	}
	e.penalties(config)
	e.idleTimeouts(config)
}

// penalties tells of PerSourcePenalties, which are on from OpenSSH 9.8 on.
func (e *examination) penalties(config sshdConfig) {
	major, minor, ok := opensshVersion(e.report.Server)
	if !ok || major < 9 || major == 9 && minor < 8 || strings.EqualFold(config.value("PerSourcePenalties"), "no") {
		return
	}
	from := e.address()
	if from.IsValid() && exempt(config.value("PerSourcePenaltyExemptList"), from) {
		e.ok("penalties", "%s is exempt from PerSourcePenalties", from)
		return
	}
	address := "ADDRESS"
	if from.IsValid() {
		address = from.String()
	}
	e.add(Finding{
		Step: "penalties", Code: "not_exempt", Severity: SeverityNote, Detail: fmt.Sprintf("%s, which sees us as %s", e.report.Server, address),
		Problem: "sshd may lock the collector out for a while after failed logins (PerSourcePenalties)",
		Why:     "one wrong key or a changed account, and then all that comes from this address is refused for up to 10 minutes",
		Remedy:  "in the host's sshd_config: PerSourcePenaltyExemptList " + address,
	})
}

// address is ours as the host sees it, which a jump host or NAT may have changed.
func (e *examination) address() netip.Addr {
	word, _, _ := strings.Cut(e.facts[factConnection], " ")
	if a, err := netip.ParseAddr(word); err == nil {
		return a.Unmap().WithZone("")
	}
	if local, ok := e.conn.ssh.LocalAddr().(*net.TCPAddr); ok && e.host.Via == nil {
		return local.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// exempt reports whether a list of addresses and networks has a in it.
func exempt(list string, a netip.Addr) bool {
	return slices.ContainsFunc(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }), func(word string) bool {
		if prefix, err := netip.ParsePrefix(word); err == nil {
			return prefix.Contains(a)
		}
		other, err := netip.ParseAddr(word)
		return err == nil && other == a
	})
}

// idleTimeouts warns of settings that end a connection between two polls.
func (e *examination) idleTimeouts(config sshdConfig) {
	if idle, ok := config.duration("UnusedConnectionTimeout"); ok && idle <= e.host.Interval {
		e.add(Finding{
			Step: "sshd", Code: "unused_connection_timeout", Severity: SeverityWarning,
			Detail:  fmt.Sprintf("UnusedConnectionTimeout %v, and a poll each %v", idle, e.host.Interval),
			Problem: "sshd ends the standing connection between two polls",
			Why:     "each poll connects anew, which costs the host tens of times as much as the poll",
			Remedy:  "in the host's sshd_config: UnusedConnectionTimeout none, or for this account alone: Match User " + quote(e.host.SSH.User),
		})
	}
	if e.behind == 0 {
		return
	}
	for word := range strings.FieldsSeq(config.value("ChannelTimeout")) {
		kind, value, _ := strings.Cut(word, "=")
		idle, ok := parseSSHTime(value)
		if matched := kind == "*" || kind == "global" || kind == "direct-tcpip" || kind == "direct-*"; !matched || !ok || idle > e.host.Interval {
			continue
		}
		e.add(Finding{
			Step: "sshd", Code: "channel_timeout", Severity: SeverityWarning,
			Detail:  fmt.Sprintf("ChannelTimeout %s, for a jump host of %s", oneLine(word, 60), e.others()),
			Problem: "the jump host's sshd ends tunnels between two polls",
			Why:     "each poll of a host behind it connects anew",
			Remedy:  "in the jump host's sshd_config: ChannelTimeout direct-tcpip=0",
		})
	}
}

// manySessions is OpenSSH's default of MaxSessions; fewSessions is what is too few to get over a poll that hangs and is given up.
const (
	manySessions = 10
	fewSessions  = 3
)

// sessions opens sessions side by side until sshd refuses, at most as many as OpenSSH allows by default, and closes them. Without a
// command sshd only keeps a record of each: it forks nothing, and logs nothing unless it refuses.
func (e *examination) sessions(ctx context.Context) bool {
	stop := context.AfterFunc(ctx, e.conn.transport.abort)
	defer stop()
	var served conc.WaitGroup
	defer served.Wait()
	e.conn.endStream(ctx) // Which has one of them.
	// sshd forgets the session of the last command a moment after that has ended; an answer comes behind that moment.
	_, _, _ = e.conn.ssh.SendRequest("keepalive@openssh.com", true, nil) // What is wrong with the connection shows below.
	opened := 0
	for opened < manySessions {
		channel, requests, err := e.conn.ssh.OpenChannel("session", nil)
		if _, refused := errors.AsType[*ssh.OpenChannelError](err); refused {
			break
		}
		if err != nil {
			e.lost("sessions", broken(ctx, err))
			return false
		}
		opened++
		served.Go(func() { ssh.DiscardRequests(requests) })
		defer func() { _ = channel.Close() }() // A connection that broke is noticed by whoever uses it next.
	}
	detail := fmt.Sprintf("%d at a time", opened)
	if opened == manySessions {
		detail = fmt.Sprintf("%d at a time or more", opened)
	}
	if opened >= fewSessions {
		e.ok("sessions", "%s", detail)
		return true
	}
	e.add(Finding{
		Step: "sessions", Code: "few_sessions", Severity: SeverityWarning, Detail: detail,
		Problem: "sshd allows very few sessions on a connection (MaxSessions)",
		Why:     "a command that hangs keeps its session, and the next poll finds none left; logs and restart need one of their own",
		Remedy:  "in the host's sshd_config: MaxSessions 10, or for this account alone: Match User " + quote(e.host.SSH.User),
	})
	return true
}

// forwarding asks a jump host for a tunnel to a port of its own that no one listens at: "connection refused" says that it would
// have opened it.
func (e *examination) forwarding(ctx context.Context) bool {
	if e.behind == 0 {
		return true
	}
	stop := context.AfterFunc(ctx, e.conn.transport.abort)
	defer stop()
	target := ssh.Marshal(struct { // RFC 4254, section 7.2
		Host       string
		Port       uint32
		Originator string
		OriginPort uint32
	}{"127.0.0.1", 1, "127.0.0.1", 0})
	channel, requests, err := e.conn.ssh.OpenChannel("direct-tcpip", target)
	if err == nil { // Someone does listen there.
		var served conc.WaitGroup
		served.Go(func() { ssh.DiscardRequests(requests) })
		_ = channel.Close() // It was not needed.
		served.Wait()
	}
	refused, isRefusal := errors.AsType[*ssh.OpenChannelError](err)
	switch {
	case err != nil && !isRefusal:
		e.lost("forwarding", broken(ctx, err))
		return false
	case err == nil || refused.Reason == ssh.ConnectionFailed:
		e.ok("forwarding", "a jump host of %s: tunnels are permitted", e.others())
		return true
	}
	e.add(Finding{
		Step: "forwarding", Code: "no_forwarding", Severity: SeverityWarning,
		Detail:  fmt.Sprintf("a jump host of %s: sshd refuses a tunnel: %s", e.others(), oneLine(refused.Message, 100)),
		Problem: "the jump host does not let the account open tunnels",
		Why:     "no host behind it can be reached, unless PermitOpen, or permitopen of the key, allows just those",
		Remedy: fmt.Sprintf("in its sshd_config: AllowTcpForwarding local, or for this account alone: Match User %s; and before its key in "+
			"authorized_keys no no-port-forwarding, and behind restrict port-forwarding (service_manager authorized-keys --help)", quote(e.host.SSH.User)),
	})
	return true
}

// parseSSHTime reads a time as sshd_config(5) has it: 30, 5m, 1h30m. None, or 0, is no limit.
func parseSSHTime(s string) (time.Duration, bool) {
	var total time.Duration
	digits := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i] | 0x20; {
		case '0' <= s[i] && s[i] <= '9':
			digits++
		case digits == 0 || !strings.ContainsRune("smhdw", rune(c)):
			return 0, false
		default:
			total += sshTimeUnit(c) * number(s[i-digits:i])
			digits = 0
		}
	}
	if digits > 0 {
		total += time.Second * number(s[len(s)-digits:])
	}
	return total, total > 0
}

func sshTimeUnit(c byte) time.Duration {
	switch c {
	case 'm':
		return time.Minute
	case 'h':
		return time.Hour
	case 'd':
		return 24 * time.Hour
	case 'w':
		return 7 * 24 * time.Hour
	}
	return time.Second
}

// number reads at most 9 digits, enough for any setting that is meant.
func number(digits string) time.Duration {
	var n time.Duration
	for _, c := range []byte(digits[:min(len(digits), 9)]) {
		n = n*10 + time.Duration(c-'0')
	}
	return n
}

// others counts the hosts behind this one.
func (e *examination) others() string {
	if e.behind == 1 {
		return "1 host"
	}
	return fmt.Sprintf("%d hosts", e.behind)
}

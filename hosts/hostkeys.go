package hosts

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts/knownhosts"
	"service_manager/inventory"
)

// hostKeys verifies host keys against known_hosts files. A file is read when a host first needs it and again when it changed, so
// that an added key works at the next dial. It is safe for concurrent use.
type hostKeys struct {
	index knownhosts.Index
	trust string // see Config
}

// knownHosts are the keys in the files of a host.
type knownHosts struct {
	keys  knownhosts.Keys
	trust string // see Config
}

// open returns the keys in files, or those in OpenSSH's default files where files is empty.
func (k *hostKeys) open(files []string) (*knownHosts, error) {
	if len(files) == 0 {
		files = defaultKnownHosts()
	}
	keys, err := k.index.Open(files...)
	if err != nil {
		return nil, err
	}
	return &knownHosts{keys, k.trust}, nil
}

// defaultKnownHosts are OpenSSH's files (ssh_config(5), UserKnownHostsFile and GlobalKnownHostsFile).
func defaultKnownHosts() []string {
	files := []string{"/etc/ssh/ssh_known_hosts"}
	if home, err := os.UserHomeDir(); err == nil {
		files = append([]string{filepath.Join(home, ".ssh", "known_hosts")}, files...)
	}
	return files
}

// KnownHostsName is the name under which a host's key stands in known_hosts: address and port, or the alias, which OpenSSH looks up
// without a port (ssh_config(5), HostKeyAlias).
func KnownHostsName(h inventory.Host) knownhosts.Name {
	if h.SSH.HostKeyAlias != "" {
		return knownhosts.Alias(h.SSH.HostKeyAlias)
	}
	return knownhosts.HostPort(h.Address, h.SSH.Port)
}

// lookupAddress is the same for golang.org/x/crypto/ssh, which hands it to the callback of [knownHosts.check].
func lookupAddress(h inventory.Host) string { return KnownHostsName(h).String() }

// algorithms lists the key types to ask the host for.
func (k *knownHosts) algorithms(h inventory.Host) []string {
	return k.keys.Algorithms(KnownHostsName(h))
}

// check returns a callback that accepts no other key than the known one, and says how to mend what it refuses.
func (k *knownHosts) check(h inventory.Host) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		verdict := k.keys.Check(KnownHostsName(h), key, time.Now())
		if verdict.Standing.Accepted() {
			return nil
		}
		return k.refuse(h, key, verdict)
	}
}

// errRevoked is in the error about a key or authority that a person has declared void. Nothing makes it good again.
var errRevoked = errors.New("revoked")

// refuse says why a key is not accepted, and how to mend that.
func (k *knownHosts) refuse(h inventory.Host, key ssh.PublicKey, v knownhosts.Verdict) *Error {
	key = plainKey(key)
	shown := fmt.Sprintf("its %s host key %s", key.Type(), ssh.FingerprintSHA256(key))
	if v.Standing == knownhosts.Revoked {
		if authority := v.Lines[0].Fingerprint(); authority != ssh.FingerprintSHA256(key) {
			shown = fmt.Sprintf("the authority %s that signed its host certificate", authority)
		}
		return fail(HostKeyChanged, "%s is %w at %s; find out why before anything else", shown, errRevoked, v.Lines[0])
	}
	why := ""
	switch {
	case v.Certificate != nil:
		why = fmt.Sprintf(" (%v)", v.Certificate)
	case v.Standing == knownhosts.Unknown && len(v.Lines) > 0:
		why = fmt.Sprintf(" (%s names an authority for it, but it showed no certificate)", v.Lines[0])
	}
	if v.Standing == knownhosts.Changed {
		return fail(HostKeyChanged, "%s is not the one at %s, %s%s: either the host was installed anew, or someone stands between; "+
			"if the new fingerprint is the host's own: %s --replace %s", shown, v.Lines[0], v.Lines[0].Fingerprint(), why, k.trust, quote(h.Name))
	}
	return fail(HostKeyUnknown, "%s is not in known_hosts%s%s; compare the fingerprint with the host's, then: %s %s",
		shown, why, unreadable(k.keys.Problems()), k.trust, quote(h.Name))
}

// unreadable mentions lines that could not be read: the missing key may stand on one of them.
func unreadable(problems []knownhosts.Problem) string {
	switch len(problems) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("; a line could not be read, %s", problems[0])
	}
	first := problems[0]
	same := 0
	for _, p := range problems {
		if p.File == first.File {
			same++
		}
	}
	return fmt.Sprintf("; %d lines of %s could not be read, the first at %s", same, first.File, first)
}

// quote makes s one word of a POSIX shell, bare where that is safe.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/:@%+=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

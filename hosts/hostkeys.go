package hosts

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"service_manager/inventory"
)

// hostKeys verifies host keys against known_hosts files. A list of files is read when a host first needs it and again when
// one of them changed, so that an added key works at the next dial. It is safe for concurrent use.
type hostKeys struct {
	mu      sync.Mutex
	byFiles map[string]*knownHosts
}

type knownHosts struct {
	files    []string // those that existed
	modified []time.Time
	db       *knownhosts.HostKeyDB
}

// open returns the keys in files, or those in OpenSSH's default files where files is empty (ssh_config(5),
// UserKnownHostsFile and GlobalKnownHostsFile).
func (k *hostKeys) open(files []string) (*knownHosts, error) {
	if len(files) == 0 {
		files = defaultKnownHosts()
	}
	name := strings.Join(files, "\n")
	k.mu.Lock()
	defer k.mu.Unlock()
	known := &knownHosts{}
	for _, file := range files {
		info, err := os.Stat(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading known_hosts: %w", err)
		}
		known.files = append(known.files, file)
		known.modified = append(known.modified, info.ModTime())
	}
	if old := k.byFiles[name]; old != nil && old.same(known) {
		return old, nil
	}
	var err error
	if known.db, err = knownhosts.NewDB(known.files...); err != nil {
		return nil, fmt.Errorf("reading known_hosts: %w", err)
	}
	if k.byFiles == nil {
		k.byFiles = make(map[string]*knownHosts)
	}
	k.byFiles[name] = known
	return known, nil
}

func (k *knownHosts) same(other *knownHosts) bool {
	if len(k.files) != len(other.files) {
		return false
	}
	for i, file := range k.files {
		if file != other.files[i] || !k.modified[i].Equal(other.modified[i]) {
			return false
		}
	}
	return true
}

func defaultKnownHosts() []string {
	files := []string{"/etc/ssh/ssh_known_hosts"}
	if home, err := os.UserHomeDir(); err == nil {
		files = append([]string{filepath.Join(home, ".ssh", "known_hosts")}, files...)
	}
	return files
}

// lookupAddress returns the name under which a host's key stands in known_hosts: address and port, or the alias, which
// OpenSSH looks up without a port (ssh_config(5), HostKeyAlias).
func lookupAddress(h inventory.Host) string {
	if h.SSH.HostKeyAlias != "" {
		return net.JoinHostPort(h.SSH.HostKeyAlias, "22")
	}
	return net.JoinHostPort(h.Address, strconv.Itoa(h.SSH.Port))
}

// algorithms lists the key types to ask the host for. Those that known_hosts holds come first: without that the server chooses one
// that may not be there, which looks like a changed key (golang/go#29286). The others follow, so that a host that has none of the
// known types any more shows what it has, and is told from one that cannot be talked to.
func (k *knownHosts) algorithms(h inventory.Host) []string {
	var all []string
	for _, algorithm := range append(k.db.HostKeyAlgorithms(lookupAddress(h)), ssh.SupportedAlgorithms().HostKeys...) {
		if algorithm != "" && !slices.Contains(all, algorithm) {
			all = append(all, algorithm)
		}
	}
	return all
}

// check returns a callback that accepts no other key than the known one, and says how to mend what it refuses.
func (k *knownHosts) check(h inventory.Host) ssh.HostKeyCallback {
	verify := k.db.HostKeyCallback()
	return func(name string, remote net.Addr, key ssh.PublicKey) error {
		err := verify(name, remote, key)
		if err == nil {
			return nil
		}
		if revoked, ok := errors.AsType[*xknownhosts.RevokedError](err); ok {
			return fail(HostKeyChanged, "its %s host key %s is revoked at %s:%d; find out why before anything else",
				key.Type(), ssh.FingerprintSHA256(key), revoked.Revoked.Filename, revoked.Revoked.Line)
		}
		mismatch, ok := errors.AsType[*xknownhosts.KeyError](err)
		switch {
		case !ok:
			return fail(HostKeyChanged, "its %s host key %s was refused: %w", key.Type(), ssh.FingerprintSHA256(key), err)
		case len(mismatch.Want) > 0:
			return changed(h, key, mismatch.Want)
		}
		return unknown(h, key)
	}
}

func unknown(h inventory.Host, key ssh.PublicKey) *Error {
	return fail(HostKeyUnknown, "its %s host key %s is not in known_hosts; compare the fingerprint with the host's, then: %s",
		key.Type(), ssh.FingerprintSHA256(key), scanCommand(h, key))
}

func changed(h inventory.Host, key ssh.PublicKey, want []xknownhosts.KnownKey) *Error {
	return fail(HostKeyChanged, "its %s host key is %s, which is not the one at %s:%d: either the host was installed anew, or someone "+
		"stands between; if the new fingerprint is the host's own: ssh-keygen -R %s -f %s && %s",
		key.Type(), ssh.FingerprintSHA256(key), want[0].Filename, want[0].Line,
		quote(xknownhosts.Normalize(lookupAddress(h))), quote(want[0].Filename), scanCommand(h, key))
}

// scanCommand is the command with which a person adds the key that the host shows now.
func scanCommand(h inventory.Host, key ssh.PublicKey) string {
	file := "~/.ssh/known_hosts"
	if len(h.SSH.KnownHosts) > 0 {
		file = quote(h.SSH.KnownHosts[0])
	}
	scan := fmt.Sprintf("ssh-keyscan -p %d -t %s %s", h.SSH.Port, keyscanType(key.Type()), quote(h.Address))
	if alias := h.SSH.HostKeyAlias; alias != "" {
		scan += " | sed " + quote("s/^[^ ]*/"+alias+"/")
	}
	return scan + " >> " + file
}

// keyscanType returns the name of a key's type in ssh-keyscan(1), which does not know those of the protocol.
func keyscanType(algorithm string) string {
	switch {
	case strings.HasPrefix(algorithm, "ecdsa-"):
		return "ecdsa"
	case strings.HasPrefix(algorithm, "ssh-rsa"):
		return "rsa"
	}
	return "ed25519"
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

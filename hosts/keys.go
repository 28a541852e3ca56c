package hosts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/inventory"
)

// signers holds the user keys that connections authenticate with. A key is read when a host first needs it and again when
// its file changed, so that a rotated key works without a restart. It is safe for concurrent use.
type signers struct {
	mu     sync.Mutex
	byPath map[string]signerFile
}

type signerFile struct {
	modified time.Time
	signer   ssh.Signer
}

// load returns the key in the identity file or, where none is named, the first of OpenSSH's default keys that exists
// (ssh_config(5), IdentityFile). Only ever one key is offered: sshd counts each offered key as a failed attempt.
func (s *signers) load(how inventory.SSH) (ssh.Signer, error) {
	path := how.IdentityFile
	if path == "" {
		var err error
		if path, err = defaultIdentity(); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the user key: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.byPath[path]; ok && known.modified.Equal(info.ModTime()) {
		return known.signer, nil
	}
	signer, err := readSigner(path)
	if err != nil {
		return nil, err
	}
	if s.byPath == nil {
		s.byPath = make(map[string]signerFile)
	}
	s.byPath[path] = signerFile{modified: info.ModTime(), signer: signer}
	return signer, nil
}

func defaultIdentity() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("looking for a default user key: %w; set ssh.identity_file", err)
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		path := filepath.Join(home, ".ssh", name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no user key in %s (id_ed25519, id_ecdsa, id_rsa): make one with ssh-keygen -t ed25519, or set ssh.identity_file",
		filepath.Join(home, ".ssh"))
}

func readSigner(path string) (ssh.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the user key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if _, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		return nil, fmt.Errorf("user key %s is encrypted, which this version cannot use: name a key without a passphrase in ssh.identity_file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("user key %s: %w", path, err)
	}
	return signer, nil
}

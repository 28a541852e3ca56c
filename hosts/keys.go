package hosts

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"service_manager/inventory"
)

// signers makes what connections authenticate with: always one key, for sshd counts each key offered in vain as a failed attempt
// (sshd_config(5), MaxAuthTries, PerSourcePenalties). The files are read at each dial, so that a rotated key or a renewed certificate
// works without a restart; a private key is decrypted and checked only when its file, or the passphrase's, has other bytes than the
// last time. It is safe for concurrent use.
type signers struct {
	mu      sync.Mutex
	byFiles map[keyFiles]*keyEntry
}

type keyFiles struct{ key, passphrase string }

// A keyEntry is what came of reading a private key, good or bad: a wrong passphrase, too, takes its time to find out.
type keyEntry struct {
	turn            chan struct{} // holds a value while someone uses the entry
	key, passphrase [sha256.Size]byte
	signer          ssh.Signer
	err             error
}

// load returns the one key to offer: the agent's (see fromAgent), or that in the identity file or, where none is named, the first of
// OpenSSH's default keys that exists (ssh_config(5), IdentityFile). With a certificate (see findCertificate) the key is offered
// by it, and not also without.
func (s *signers) load(ctx context.Context, how inventory.SSH) (ssh.Signer, error) {
	if how.Agent {
		return fromAgent(ctx, how)
	}
	path := how.IdentityFile
	if path == "" {
		var err error
		if path, err = defaultIdentity(); err != nil {
			return nil, err
		}
	}
	signer, err := s.key(ctx, path, how.PassphraseFile)
	if err != nil {
		return nil, err
	}
	cert, err := findCertificate(path, how.CertificateFile)
	if err != nil || cert == nil {
		return signer, err
	}
	return cert.certify(signer)
}

// identities are OpenSSH's default keys that this program can use, in the order in which it looks for them.
func identities() ([]string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("looking for a default user key: %w; set ssh.identity_file", err)
	}
	dir := filepath.Join(home, ".ssh")
	return []string{filepath.Join(dir, "id_ed25519"), filepath.Join(dir, "id_ecdsa"), filepath.Join(dir, "id_rsa")}, nil
}

func defaultIdentity() (string, error) {
	paths, err := identities()
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no user key in %s (id_ed25519, id_ecdsa, id_rsa): make one with ssh-keygen -t ed25519, or set ssh.identity_file",
		filepath.Dir(paths[0]))
}

// key returns the private key in a file.
func (s *signers) key(ctx context.Context, path, passphraseFile string) (ssh.Signer, error) {
	data, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	var passphrase []byte
	if outside(data).encrypted {
		if passphrase, err = readPassphrase(path, passphraseFile); err != nil {
			return nil, err
		}
	}
	e := s.entry(keyFiles{path, passphraseFile})
	select { // To decrypt takes as long as the key's owner has chosen (ssh-keygen(1), -a), for all who wait for it together.
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for user key %s to be decrypted: %w", path, context.Cause(ctx))
	}
	keySum, passphraseSum := sha256.Sum256(data), sha256.Sum256(passphrase)
	if e.signer == nil && e.err == nil || e.key != keySum || e.passphrase != passphraseSum {
		e.signer, e.err = parsePrivate(path, data, passphraseFile, passphrase)
		e.key, e.passphrase = keySum, passphraseSum
	}
	return e.signer, e.err
}

func (s *signers) entry(files keyFiles) *keyEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byFiles[files]
	if e == nil {
		if s.byFiles == nil {
			s.byFiles = make(map[keyFiles]*keyEntry)
		}
		e = &keyEntry{turn: make(chan struct{}, 1)}
		s.byFiles[files] = e
	}
	return e
}

// readPrivate reads a private key file, unless others may, too: as ssh does, it refuses one that is the process's own and open to
// the group or to all. One that belongs to somebody else, such as root, was opened on purpose.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the user key: %w; correct ssh.identity_file, or the file's permissions", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && ours(info) {
		return nil, fmt.Errorf("user key %s has mode %04o: others may use it, so that ssh would refuse it too: chmod 600 %s", path, mode, quote(path))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the user key: %w; correct ssh.identity_file, or the file's permissions", err)
	}
	return data, nil
}

// readPassphrase returns the first line of the file, without its end.
func readPassphrase(key, path string) ([]byte, error) {
	if path == "" {
		return nil, fmt.Errorf("user key %s is encrypted: put its passphrase into a file of its own, and name that in ssh.passphrase_file", key)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return nil, fmt.Errorf("user key %s is encrypted, and passphrase_file %s cannot be read: %w", key, path, err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return nil, fmt.Errorf("user key %s is encrypted, and the first line of passphrase_file %s is empty", key, path)
	}
	return []byte(line), nil
}

// parsePrivate returns the key in data, which was read from path.
func parsePrivate(path string, data []byte, passphraseFile string, passphrase []byte) (ssh.Signer, error) {
	seen := outside(data)
	if seen.public != nil && strings.HasPrefix(seen.public.Type(), "sk-") {
		return nil, fmt.Errorf("user key %s is on a FIDO token, which needs a touch: use a key without a token, or one of an agent (ssh.agent)", path)
	}
	var signer ssh.Signer
	var err error
	if seen.encrypted {
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, passphrase)
	} else {
		signer, err = ssh.ParsePrivateKey(data)
	}
	_, public := parsePublic(data)
	switch {
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, fmt.Errorf("the passphrase in %s is not that of user key %s", passphraseFile, path)
	case err != nil && public:
		return nil, fmt.Errorf("user key %s is a public key: name the private one in ssh.identity_file, or set ssh.agent where an agent holds it", path)
	case err != nil:
		return nil, fmt.Errorf("user key %s: %w; is it a private key as ssh-keygen(1) makes it? Of another format: ssh-keygen -p -f %s", path, err, quote(path))
	}
	if signer, err = safe(signer); err != nil {
		return nil, fmt.Errorf("user key %s: %w", path, err)
	}
	return signer, nil
}

// safe keeps an RSA key from signing with SHA-1, and refuses DSA, which is SHA-1 always.
func safe(signer ssh.Signer) (ssh.Signer, error) {
	switch baseType(signer.PublicKey()) {
	case "ssh-dss":
		return nil, errors.New("DSA keys are not safe any more, and refused by today's sshd: make another with ssh-keygen -t ed25519")
	case ssh.KeyAlgoRSA:
		algorithmSigner, ok := signer.(ssh.AlgorithmSigner)
		if !ok {
			return nil, fmt.Errorf("a %T cannot sign with SHA-2", signer)
		}
		return ssh.NewSignerWithAlgorithms(algorithmSigner, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
	}
	return signer, nil
}

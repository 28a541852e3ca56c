package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"service_manager/inventory"
)

// agentTimeout bounds how long an agent may take to list its keys. To sign, for which it may ask a person, it has as long as the
// handshake.
const agentTimeout = 2 * time.Second

// An agentKey is a key as the agent holds it: alone, or in a certificate.
type agentKey struct {
	held ssh.PublicKey    // as the agent knows it
	key  ssh.PublicKey    // without a certificate
	cert *ssh.Certificate // nil for the key alone
}

// fromAgent picks the one key to offer among those of the agent at $SSH_AUTH_SOCK: the one that the identity file, or else the
// certificate file, names, or the only one. The certificate is the one of the file or beside the identity file, else the agent's.
func fromAgent(ctx context.Context, how inventory.SSH) (ssh.Signer, error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, errors.New("ssh.agent is set, but the variable SSH_AUTH_SOCK is not: start the program where an ssh-agent(1) runs, or use a key file")
	}
	var cert *certificate
	var want ssh.PublicKey
	var err error
	if how.IdentityFile != "" || how.CertificateFile != "" {
		if cert, err = findCertificate(how.IdentityFile, how.CertificateFile); err != nil {
			return nil, err
		}
	}
	switch {
	case how.IdentityFile != "":
		if want, err = publicHalf(how.IdentityFile); err != nil {
			return nil, err
		}
	case cert != nil:
		want = cert.Key
	}
	keys, err := listAgent(ctx, socket)
	if err != nil {
		return nil, err
	}
	if keys, err = pick(keys, want, socket); err != nil {
		return nil, err
	}
	signer, err := safe(&agentSigner{ctx: ctx, socket: socket, held: keys[0].held, key: keys[0].key})
	if err != nil {
		return nil, fmt.Errorf("the key in the agent at %s: %w", socket, err)
	}
	if cert == nil {
		cert = lastToExpire(keys, socket)
	}
	if cert == nil {
		return signer, nil
	}
	return cert.certify(signer)
}

// pick returns the entries of one key, the key alone before its certificates.
func pick(keys []agentKey, want ssh.PublicKey, socket string) ([]agentKey, error) {
	byKey := make(map[string][]agentKey)
	for _, k := range keys {
		name := string(k.key.Marshal())
		if k.cert == nil {
			byKey[name] = append([]agentKey{k}, byKey[name]...)
		} else {
			byKey[name] = append(byKey[name], k)
		}
	}
	switch {
	case len(byKey) == 0:
		return nil, fmt.Errorf("the agent at %s holds no key that can be used, or is locked: ssh-add adds one, ssh-add -X unlocks it", socket)
	case want != nil:
		if found := byKey[string(want.Marshal())]; found != nil {
			return found, nil
		}
		return nil, fmt.Errorf("the agent at %s holds %s, but not %s, which the inventory names: add that one with ssh-add",
			socket, count(len(byKey), "key"), ssh.FingerprintSHA256(want))
	case len(byKey) > 1:
		return nil, fmt.Errorf("the agent at %s holds %s, and only one may be offered: name the file with its public half, as ssh-add -L prints it, in ssh.identity_file",
			socket, count(len(byKey), "key"))
	}
	for _, only := range byKey {
		return only, nil
	}
	return nil, nil
}

// lastToExpire returns the certificate among a key's entries that is valid for longest, nil where there is none.
func lastToExpire(keys []agentKey, socket string) *certificate {
	var last *ssh.Certificate
	for _, k := range keys {
		if k.cert != nil && k.cert.CertType == ssh.UserCert && (last == nil || k.cert.ValidBefore > last.ValidBefore) {
			last = k.cert
		}
	}
	if last == nil {
		return nil
	}
	return &certificate{Certificate: last, from: "in the agent at " + socket}
}

// publicHalf returns the public key that an identity file stands for: the file may itself be a public key, have one beside it as
// ssh-keygen puts it there, or be a private key that tells without its passphrase.
func publicHalf(path string) (ssh.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		if key, ok := parsePublic(data); ok {
			return key, nil
		}
	}
	if beside, err := os.ReadFile(path + ".pub"); err == nil {
		if key, ok := parsePublic(beside); ok {
			return key, nil
		}
		return nil, fmt.Errorf("%s.pub is not a public key: make it with ssh-keygen -y", path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the public half of the agent's key: %w", err)
	}
	key, err := publicOf(data)
	if err != nil {
		return nil, fmt.Errorf("%s does not tell which key of the agent is meant: name the public half, as ssh-add -L prints it, in ssh.identity_file", path)
	}
	return key, nil
}

// listAgent returns what the agent holds of the types that golang.org/x/crypto/ssh knows.
func listAgent(ctx context.Context, socket string) ([]agentKey, error) {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	var listed []*agent.Key
	err := askAgent(ctx, socket, func(a agent.ExtendedAgent) (err error) {
		listed, err = a.List()
		return err
	})
	if err != nil {
		return nil, err
	}
	keys := make([]agentKey, 0, len(listed))
	for _, k := range listed {
		key, err := ssh.ParsePublicKey(k.Blob)
		if err != nil {
			continue
		}
		entry := agentKey{held: key, key: key}
		if cert, ok := key.(*ssh.Certificate); ok {
			entry.key, entry.cert = cert.Key, cert
		}
		keys = append(keys, entry)
	}
	return keys, nil
}

// askAgent makes one request on a connection of its own, which ends with it or with ctx: an agent that hangs holds up nobody else.
func askAgent(ctx context.Context, socket string, request func(agent.ExtendedAgent) error) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("connecting to the agent: %w; does it run, and may this user use its socket?", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // Frees the request; nothing is lost with it.
	// Of what it cannot close the client reads here, else in a goroutine that nobody waits for.
	err = request(agent.NewClient(struct{ io.ReadWriter }{conn}))
	stop()
	_ = conn.Close() // The request is answered, or failed already.
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("the agent at %s did not answer in time: does it hang, or wait for a person?", socket)
	case cause != nil:
		return fmt.Errorf("asking the agent at %s: %w", socket, cause)
	}
	return fmt.Errorf("the agent at %s: %w", socket, err)
}

// An agentSigner has the agent sign with one of its keys.
type agentSigner struct {
	ctx    context.Context //nolint:containedctx // Of the handshake: an [ssh.Signer] is given none.
	socket string
	held   ssh.PublicKey // as the agent knows the key
	key    ssh.PublicKey
}

// An agentError says why the agent did not sign.
type agentError struct{ err error }

func (e *agentError) Error() string { return e.err.Error() }

func (e *agentError) Unwrap() error { return e.err }

// PublicKey implements [ssh.Signer].
func (s *agentSigner) PublicKey() ssh.PublicKey { return s.key }

// Sign implements [ssh.Signer].
func (s *agentSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, s.key.Type())
}

// SignWithAlgorithm implements [ssh.AlgorithmSigner]. Its error is an [agentError].
func (s *agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA512:
		flags = agent.SignatureFlagRsaSha512
	case ssh.KeyAlgoRSASHA256:
		flags = agent.SignatureFlagRsaSha256
	}
	var signature *ssh.Signature
	err := askAgent(s.ctx, s.socket, func(a agent.ExtendedAgent) (err error) {
		signature, err = a.SignWithFlags(s.held, data, flags)
		return err
	})
	if err == nil && signature.Format != algorithm {
		err = fmt.Errorf("the agent at %s signed with %q in place of %q: it is too old for this key", s.socket, oneLine(signature.Format, 40), algorithm)
	}
	if err != nil {
		return nil, &agentError{err}
	}
	return signature, nil
}

// count returns "1 key" or "2 keys".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

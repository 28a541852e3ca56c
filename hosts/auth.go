package hosts

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// An authTrail is what became known of an authentication on its way.
type authTrail struct {
	offered ssh.PublicKey
	allowed []string // the methods that sshd said it would take
	passed  []string // those that it took, and wanted more
}

// note is an [ssh.ClientConfig] AuthCallback that only listens: it is called after each method that has not been enough.
func (a *authTrail) note(state *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	a.allowed, a.passed = state.AllowedMethods, state.PartialSuccessMethods
	return nil, nil //nolint:nilnil // It means the next of ClientConfig.Auth.
}

// Texts of golang.org/x/crypto/ssh (client_auth.go), and OpenSSH's in a disconnect with reason 2.
const (
	textNoMethodLeft    = "unable to authenticate"
	textNoAlgorithm     = "no common public key signature algorithm"
	textTooManyAttempts = "Too many authentication failures"
)

// refused reports whether err says that sshd did not take what was offered, or that the agent did not sign it.
func refused(err error) bool {
	if _, ok := errors.AsType[*agentError](err); ok {
		return true
	}
	text := err.Error()
	return strings.Contains(text, textNoMethodLeft) || strings.Contains(text, textNoAlgorithm) || strings.Contains(text, textTooManyAttempts)
}

// explainAuth names the outcome of an authentication that was [refused], by what mends it.
func (hs *handshake) explainAuth(err error) *Error {
	if e, ok := errors.AsType[*agentError](err); ok {
		return fail(AuthFailed, "the host would take the key, but %w", e)
	}
	user, auth := hs.host.SSH.User, hs.auth
	allowed := oneLine(strings.Join(auth.allowed, ", "), 100)
	switch {
	case strings.Contains(err.Error(), textNoAlgorithm):
		return fail(AuthFailed, "user %s: this sshd takes RSA keys only with SHA-1, which is broken and not used: use an ed25519 key", user)
	case len(auth.passed) > 0:
		return fail(AuthFailed, "user %s: the key was accepted, but sshd also wants one of: %s; let a key alone suffice for this account (sshd_config(5), AuthenticationMethods)",
			user, allowed)
	case len(auth.allowed) > 0 && !slices.Contains(auth.allowed, "publickey"):
		return fail(AuthFailed, "user %s: sshd takes no keys here, only: %s; allow them (sshd_config(5), PubkeyAuthentication and AuthenticationMethods)", user, allowed)
	}
	if cert, ok := auth.offered.(*ssh.Certificate); ok {
		rsa := ""
		if baseType(cert) == ssh.KeyAlgoRSA {
			rsa = ", for one of an RSA key OpenSSH 7.8"
		}
		return fail(AuthFailed, "user %s: the certificate %q for principals %q was not accepted: it takes %s in sshd's TrustedUserCAKeys, the user among the "+
			"principals, the right time there%s; an account that knows the key alone is not offered it beside a certificate",
			user, cert.KeyId, cert.ValidPrincipals, ssh.FingerprintSHA256(cert.SignatureKey), rsa)
	}
	return fail(AuthFailed, "user %s: the key %s was not accepted: %w; is it in the account's authorized_keys, and may the account log in?",
		user, ssh.FingerprintSHA256(auth.offered), err)
}

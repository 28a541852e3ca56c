package knownhosts

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// checkCertificate returns the line of the authority that signed a host's certificate, or why the certificate is not accepted.
func (k Keys) checkCertificate(name Name, cert *ssh.Certificate, now time.Time) (*Line, error) {
	ca := find(k.authorities(name), string(cert.SignatureKey.Marshal()))
	if ca == nil {
		return nil, fmt.Errorf("its certificate is signed by %s, which is no @cert-authority for it", ssh.FingerprintSHA256(cert.SignatureKey))
	}
	if err := checkValidity(cert, now); err != nil {
		return nil, fmt.Errorf("its certificate, of the authority at %s, is not valid: %w", ca, err)
	}
	principal, err := findPrincipal(cert, name.host)
	if err != nil {
		return nil, fmt.Errorf("its certificate, of the authority at %s, is not for it: %w", ca, err)
	}
	checker := ssh.CertChecker{Clock: func() time.Time { return now }}
	if err := checker.CheckCert(principal, cert); err != nil {
		return nil, fmt.Errorf("its certificate, of the authority at %s, is not valid: %w", ca, err)
	}
	return ca, nil
}

// checkValidity tells in words what a person can mend.
func checkValidity(cert *ssh.Certificate, now time.Time) error {
	unix := uint64(max(now.Unix(), 0))
	switch {
	case cert.CertType != ssh.HostCert:
		return errors.New("it certifies a user, not a host; sign it with ssh-keygen -h")
	case unix < cert.ValidAfter:
		return fmt.Errorf("it begins at %s; is the clock right here?", timestamp(cert.ValidAfter))
	case cert.ValidBefore != ssh.CertTimeInfinity && unix >= cert.ValidBefore:
		return fmt.Errorf("it ended at %s; have it signed anew", timestamp(cert.ValidBefore))
	case len(cert.CriticalOptions) > 0:
		return errors.New("it has critical options, of which there are none for hosts; sign it without -O")
	case cert.Signature.Format == ssh.KeyAlgoRSA:
		return errors.New("it is signed with SHA-1, as ssh(1) refuses too; sign it with ssh-keygen -t rsa-sha2-512")
	}
	return nil
}

func timestamp(unix uint64) string {
	return time.Unix(int64(min(unix, 1<<40)), 0).UTC().Format(time.RFC3339)
}

// findPrincipal returns the principal of a certificate that a host's name, without its port, matches. It may have wildcards, as from
// OpenSSH 10.3 on. Also as from there on, a certificate without principals is for no host.
func findPrincipal(cert *ssh.Certificate, host string) (string, error) {
	for _, principal := range cert.ValidPrincipals {
		if match(strings.ToLower(principal), host) {
			return principal, nil
		}
	}
	if len(cert.ValidPrincipals) == 0 {
		return "", errors.New("it names no hosts; sign it with ssh-keygen -n HOST")
	}
	return "", fmt.Errorf("it names %.200q, not %q", strings.Join(cert.ValidPrincipals, ","), host)
}

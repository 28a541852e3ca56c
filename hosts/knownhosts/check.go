package knownhosts

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// Standing is what the files say of a host's key.
type Standing string

// The standings of a key.
const (
	Known   Standing = "known"   // the host's key, or one of them
	Signed  Standing = "signed"  // certified by an authority for the host
	Unknown Standing = "unknown" // nothing is known of the host
	Changed Standing = "changed" // other keys are known of the host, perhaps of other types only
	Revoked Standing = "revoked" // the key, or the authority that signed it, is not to be accepted ever
)

// Accepted reports whether a connection may go on.
func (s Standing) Accepted() bool { return s == Known || s == Signed }

// A Verdict says what the files know of a key, and where.
type Verdict struct {
	Standing Standing
	// Lines are those that say so: of the key (Known), its authority (Signed), the other keys (Changed), the revocation (Revoked).
	// Of an Unknown key they are the authorities for the host, by none of which it is signed.
	Lines []*Line
	// Certificate says why the certificate that the host showed was not accepted. Then, as ssh(1) does, its key alone was looked up.
	Certificate error
}

// Check looks the key of a host up, which may be a certificate. The host must have proved that it has the private key. Like ssh(1),
// Check looks for the host without its port where nothing is known of it with the port.
func (k Keys) Check(name Name, key ssh.PublicKey, now time.Time) Verdict {
	var v Verdict
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
		if line := k.revocation(string(cert.SignatureKey.Marshal())); line != nil {
			return Verdict{Standing: Revoked, Lines: []*Line{line}}
		}
		ca, err := k.checkCertificate(name, cert, now)
		if err == nil && k.revocation(string(key.Marshal())) == nil {
			return Verdict{Standing: Signed, Lines: []*Line{ca}}
		}
		v.Certificate = err
	}
	v.Standing, v.Lines = k.checkPlain(name, string(key.Marshal()))
	if v.Standing == Known {
		v.Certificate = nil
	}
	return v
}

// checkPlain looks up a key that is no certificate.
func (k Keys) checkPlain(name Name, key string) (Standing, []*Line) {
	if line := k.revocation(key); line != nil {
		return Revoked, []*Line{line}
	}
	lines := k.lookup(name, hostKey)
	if line := find(lines, key); line != nil {
		return Known, []*Line{line}
	}
	if len(lines) > 0 {
		return Changed, lines
	}
	if line := find(k.lookup(name.plain(), hostKey), key); line != nil {
		return Known, []*Line{line}
	}
	return Unknown, k.authorities(name)
}

// authorities returns the lines of those that may sign for a host.
func (k Keys) authorities(name Name) []*Line {
	lines := k.lookup(name, authority)
	if plain := name.plain(); plain != name {
		lines = append(lines, k.lookup(plain, authority)...)
	}
	return lines
}

// find returns the line with the given key, or nil.
func find(lines []*Line, key string) *Line {
	for _, line := range lines {
		if line.key == key {
			return line
		}
	}
	return nil
}

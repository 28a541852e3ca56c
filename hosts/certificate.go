package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A certificate is an OpenSSH user certificate and where it came from, for errors.
type certificate struct {
	*ssh.Certificate
	from    string
	implied bool // found beside the key, not named in the inventory
}

// findCertificate reads the certificate file or, where none is named, the one beside the identity file as ssh does, if there is one
// (ssh_config(5), CertificateFile). It returns nil where there is none.
func findCertificate(identity, named string) (*certificate, error) {
	path := named
	if path == "" {
		path = besideKey(identity)
	}
	data, err := os.ReadFile(path)
	if named == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // No certificate is no error.
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", path, err)
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("%s is a public key, not a certificate: an authority makes one of it with ssh-keygen -s", path)
	}
	return &certificate{Certificate: cert, from: path, implied: named == ""}, nil
}

// besideKey is where ssh looks for the certificate of a key.
func besideKey(identity string) string {
	return strings.TrimSuffix(identity, ".pub") + "-cert.pub"
}

// certify returns signer with the certificate, if that would do now. An sshd that was shown another would count it as a failed
// attempt.
func (c *certificate) certify(signer ssh.Signer) (ssh.Signer, error) {
	remedy := ""
	if c.implied {
		remedy = ", or remove it where the key alone is accepted"
	}
	if c.CertType != ssh.UserCert {
		return nil, fmt.Errorf("certificate %s is for a host, not for a user: have one made for the key without -h (ssh-keygen(1))%s", c.from, remedy)
	}
	if !bytes.Equal(c.Key.Marshal(), signer.PublicKey().Marshal()) {
		return nil, fmt.Errorf("certificate %s is for key %s, but the user key is %s: have one made for that key%s",
			c.from, ssh.FingerprintSHA256(c.Key), ssh.FingerprintSHA256(signer.PublicKey()), remedy)
	}
	if err := c.valid(time.Now()); err != nil {
		return nil, fmt.Errorf("%w%s", err, remedy)
	}
	return ssh.NewCertSigner(c.Certificate, signer)
}

// valid checks the certificate's time, which sshd's clock will, too.
func (c *certificate) valid(now time.Time) error {
	if before := certTime(c.ValidBefore); !now.Before(before) {
		return fmt.Errorf("certificate %s expired at %s: renew it", c.from, before.Format(time.RFC3339))
	}
	if after := certTime(c.ValidAfter); now.Before(after) {
		return fmt.Errorf("certificate %s is not valid before %s: check this machine's clock, or renew it", c.from, after.Format(time.RFC3339))
	}
	return nil
}

// certTime returns a time of a certificate, in UTC. What is too far away for [time.Time], as "for ever" is, becomes the year 9999.
func certTime(seconds uint64) time.Time {
	forever := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	if seconds > math.MaxInt64 || seconds > uint64(forever.Unix()) { //nolint:gosec // G115: a positive constant
		return forever
	}
	return time.Unix(int64(seconds), 0).UTC()
}

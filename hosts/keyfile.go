package hosts

import (
	"bytes"
	"encoding/pem"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A keyOutside is what a private key file tells without its passphrase.
type keyOutside struct {
	encrypted bool
	public    ssh.PublicKey // nil where it does not tell
}

// opensshMagic begins a private key in OpenSSH's own format (OpenSSH, PROTOCOL.key).
const opensshMagic = "openssh-key-v1\x00"

// outside looks at a private key file, and tells nothing of what is none.
func outside(data []byte) keyOutside {
	block, _ := pem.Decode(data)
	if block == nil {
		return keyOutside{}
	}
	body, ok := bytes.CutPrefix(block.Bytes, []byte(opensshMagic))
	if !ok {
		return keyOutside{encrypted: strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")} // RFC 1421, section 4.6.1.1
	}
	var envelope struct {
		Cipher, KDF, KDFOptions string
		Keys                    uint32
		Public                  []byte
		Rest                    []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(body, &envelope) != nil {
		return keyOutside{}
	}
	public, err := ssh.ParsePublicKey(envelope.Public)
	if err != nil {
		public = nil // Of a type that golang.org/x/crypto/ssh does not know, and will not be able to use.
	}
	return keyOutside{encrypted: envelope.Cipher != "none", public: public}
}

// isPublic reports whether data is a public key file, or a certificate.
func isPublic(data []byte) bool {
	_, _, _, _, err := ssh.ParseAuthorizedKey(data) //nolint:dogsled // the key is of no interest
	return err == nil
}

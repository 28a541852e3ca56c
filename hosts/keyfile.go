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

// parsePublic returns the key in a public key file, or in a certificate.
func parsePublic(data []byte) (ssh.PublicKey, bool) {
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil, false
	}
	return plainKey(key), true
}

// publicOf returns the public half of a private key. OpenSSH's format has it in clear, also where the key is encrypted.
func publicOf(data []byte) (ssh.PublicKey, error) {
	if key := outside(data).public; key != nil {
		return key, nil
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, err
	}
	return signer.PublicKey(), nil
}

// plainKey returns the key that a certificate is for, or the key itself.
func plainKey(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// baseType returns the type of a key, or of the key in a certificate.
func baseType(key ssh.PublicKey) string { return plainKey(key).Type() }

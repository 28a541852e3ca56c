package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// AuthorizedKey returns the public half of a user key as it stands in authorized_keys (sshd(8)): its type, the key and, where
// there is one, the comment. The file is a private key or the public one; "" means the first of OpenSSH's default keys that
// exists. A private key may be encrypted, or not be readable at all if its .pub is beside it. An error says what to do.
func AuthorizedKey(path string) (string, error) {
	if path == "" {
		var err error
		if path, err = defaultIdentity(); err != nil {
			return "", err
		}
	}
	writePublic := fmt.Sprintf("ssh-keygen -y -f %s >%s", quote(path), quote(path+".pub"))
	data, err := os.ReadFile(path)
	if key, comment, _, _, notPublic := ssh.ParseAuthorizedKey(data); err == nil && notPublic == nil {
		return authorizedKey(key, comment), nil
	}
	beside, besideErr := os.ReadFile(path + ".pub")
	if err != nil && besideErr != nil {
		return "", fmt.Errorf("reading the user key: %w", err)
	}
	if besideErr != nil && !errors.Is(besideErr, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the public user key: %w", besideErr)
	}
	var private ssh.PublicKey // as the private key tells it
	if err == nil {
		private, err = publicOf(data)
	}
	if besideErr != nil {
		if err != nil {
			return "", fmt.Errorf("user key %s: %w; write its public half with: %s", path, err, writePublic)
		}
		return authorizedKey(private, ""), nil
	}
	public, comment, _, _, err := ssh.ParseAuthorizedKey(beside)
	if err != nil {
		return "", fmt.Errorf("public user key %s.pub: %w", path, err)
	}
	if private != nil && !bytes.Equal(private.Marshal(), public.Marshal()) {
		return "", fmt.Errorf("%s.pub is not the public half of %s; write it with: %s", path, path, writePublic)
	}
	return authorizedKey(public, comment), nil
}

// authorizedKey writes a key, or the one in a certificate, without the newline.
func authorizedKey(key ssh.PublicKey, comment string) string {
	text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(plainKey(key))))
	if comment = oneLine(comment, 100); comment != "" {
		text += " " + comment
	}
	return text
}

package hosts

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/inventory"
)

const passphrase = "correct horse"

// A keyDir is a folder for the files of one test.
type keyDir string

func (d keyDir) path(name string) string { return filepath.Join(string(d), name) }

func (d keyDir) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(d.path(name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return d.path(name)
}

func newEd25519(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func openSSH(t *testing.T, private any, passphrase string) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// openSSL encrypts a key as ssh-keygen -m PEM does.
func openSSL(t *testing.T, private *rsa.PrivateKey, passphrase string) []byte {
	t.Helper()
	//nolint:staticcheck // Unsafe as the format is, people have such keys, and ssh takes them.
	block, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private), []byte(passphrase), x509.PEMCipherAES128)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func fingerprint(t *testing.T, private any) string {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(signer.PublicKey())
}

func TestLoadFormats(t *testing.T) {
	ed := newEd25519(t)
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		t.Fatal(err)
	}
	dir := keyDir(t.TempDir())
	passphraseFile := dir.write(t, "passphrase", []byte(passphrase+"\r\nand what else the file says\n"))
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"ed25519":                {openSSH(t, ed, ""), fingerprint(t, ed)},
		"ed25519, encrypted":     {openSSH(t, ed, passphrase), fingerprint(t, ed)},
		"ed25519, PKCS 8":        {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), fingerprint(t, ed)},
		"ECDSA, encrypted":       {openSSH(t, ec, passphrase), fingerprint(t, ec)},
		"RSA":                    {openSSH(t, rs, ""), fingerprint(t, rs)},
		"RSA, PKCS 1":            {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rs)}), fingerprint(t, rs)},
		"RSA, PKCS 1, encrypted": {openSSL(t, rs, passphrase), fingerprint(t, rs)},
	} {
		t.Run(name, func(t *testing.T) {
			signer, err := new(signers).load(t.Context(), inventory.SSH{IdentityFile: dir.write(t, "id", test.data), PassphraseFile: passphraseFile})
			if err != nil {
				t.Fatal(err)
			}
			if got := ssh.FingerprintSHA256(signer.PublicKey()); got != test.want {
				t.Errorf("loaded %s, want %s", got, test.want)
			}
		})
	}
}

// fidoKey is a key file as ssh-keygen -t ed25519-sk writes it: it only points at the token.
func fidoKey() []byte {
	public := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, make([]byte, ed25519.PublicKeySize), "ssh:"})
	file := ssh.Marshal(struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public, Private      []byte
	}{"none", "none", "", 1, public, make([]byte, 64)})
	return pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte(opensshMagic), file...)})
}

func TestLoadErrors(t *testing.T) {
	key := newEd25519(t)
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	locked := openSSH(t, key, passphrase)
	for name, test := range map[string]struct {
		key        []byte
		passphrase []byte // nil: no such file; with "" in named: none is configured
		unnamed    bool
		mode       os.FileMode
		want       string
	}{
		"no passphrase file":      {key: locked, unnamed: true, want: "ssh.passphrase_file"},
		"no such passphrase file": {key: locked, want: "cannot be read: no such file"},
		"empty passphrase file":   {key: locked, passphrase: []byte("\r\n\n"), want: "is empty"},
		"wrong passphrase":        {key: locked, passphrase: []byte("s3cret"), want: "is not that of user key"},
		"wrong, OpenSSL's format": {key: openSSL(t, rs, passphrase), passphrase: []byte("s3cret"), want: "user key"},
		"FIDO token":              {key: fidoKey(), want: "needs a touch"},
		"public key":              {key: ssh.MarshalAuthorizedKey(signer.PublicKey()), want: "is a public key"},
		"nonsense":                {key: []byte("nonsense"), want: "ssh-keygen(1)"},
		"nothing":                 {want: "ssh-keygen(1)"},
		"cut off":                 {key: locked[:len(locked)/2], want: "ssh-keygen(1)"},
		"open to the group":       {key: locked, mode: 0o640, want: "chmod 600"},
		"open to all":             {key: locked, mode: 0o604, want: "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := keyDir(t.TempDir())
			how := inventory.SSH{IdentityFile: dir.write(t, "id", test.key), PassphraseFile: dir.path("passphrase")}
			if test.mode != 0 {
				if err := os.Chmod(how.IdentityFile, test.mode); err != nil {
					t.Fatal(err)
				}
			}
			if test.passphrase != nil {
				dir.write(t, "passphrase", test.passphrase)
			}
			if test.unnamed {
				how.PassphraseFile = ""
			}
			_, err := new(signers).load(t.Context(), how)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one that says %q", err, test.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the passphrase is in the error: %v", err)
			}
		})
	}
}

// To decrypt a key takes a tenth of a second or more, so that it must not be done at every dial, in vain neither.
func TestDecryptsOnce(t *testing.T) {
	dir, s := keyDir(t.TempDir()), new(signers)
	how := inventory.SSH{
		IdentityFile:   dir.write(t, "id", openSSH(t, newEd25519(t), passphrase)),
		PassphraseFile: dir.write(t, "passphrase", []byte("wrong\n")),
	}
	_, first := s.load(t.Context(), how)
	if _, again := s.load(t.Context(), how); first == nil || again != first { //nolint:errorlint // the very same
		t.Errorf("error %v, and the second time %v: not the same one", first, again)
	}
	dir.write(t, "passphrase", []byte(passphrase+"\n"))
	signer, err := s.load(t.Context(), how)
	if err != nil {
		t.Fatalf("with the passphrase mended: %v", err)
	}
	if again, err := s.load(t.Context(), how); again != signer {
		t.Errorf("it was decrypted again (error %v)", err)
	}
}

// While one dial decrypts a key, another that needs the same waits no longer than its time.
func TestDecryptionIsWaitedForInTime(t *testing.T) {
	dir, s := keyDir(t.TempDir()), new(signers)
	how := inventory.SSH{IdentityFile: dir.write(t, "id", openSSH(t, newEd25519(t), ""))}
	s.entry(keyFiles{how.IdentityFile, ""}).turn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.load(ctx, how); err == nil || !strings.Contains(err.Error(), "to be decrypted") {
		t.Errorf("error %v", err)
	}
}

// A key may be replaced by one of the same size within the same tick of the file system's clock.
func TestSeesEveryReplacement(t *testing.T) {
	dir, s := keyDir(t.TempDir()), new(signers)
	then := time.Now().Add(-time.Hour)
	for range 3 {
		key := newEd25519(t)
		path := dir.write(t, "id", openSSH(t, key, ""))
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
		signer, err := s.load(t.Context(), inventory.SSH{IdentityFile: path})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := ssh.FingerprintSHA256(signer.PublicKey()), fingerprint(t, key); got != want {
			t.Errorf("loaded %s, want %s", got, want)
		}
	}
}

func TestDefaultIdentity(t *testing.T) {
	dir := keyDir(t.TempDir())
	t.Setenv("HOME", string(dir))
	if _, err := new(signers).load(t.Context(), inventory.SSH{}); err == nil || !strings.Contains(err.Error(), "ssh-keygen -t ed25519") {
		t.Errorf("without a key: %v", err)
	}
	if err := os.Mkdir(dir.path(".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := newEd25519(t)
	dir.write(t, ".ssh/id_ecdsa", openSSH(t, ec, ""))
	signer, err := new(signers).load(t.Context(), inventory.SSH{})
	if err != nil || ssh.FingerprintSHA256(signer.PublicKey()) != fingerprint(t, ec) {
		t.Errorf("ECDSA alone: %v", err)
	}
	dir.write(t, ".ssh/id_ed25519", openSSH(t, ed, ""))
	signer, err = new(signers).load(t.Context(), inventory.SSH{})
	if err != nil || ssh.FingerprintSHA256(signer.PublicKey()) != fingerprint(t, ed) {
		t.Errorf("ed25519 goes first: %v", err)
	}
}

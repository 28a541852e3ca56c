package knownhosts

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	// maxLine is the length of a line, in bytes, from which on it is not read. A key has at most a few thousand.
	maxLine = 64 << 10
	// maxProblems is how many bad lines of one file are told apart.
	maxProblems = 1000
)

// A Line is a key as it stands in a file.
type Line struct {
	File   string
	Number int    // from 1
	Type   string // of the key, such as "ssh-ed25519"
	// Pattern says that the line names its hosts by wildcards.
	Pattern bool

	marker marker
	key    string // as on the wire (RFC 4253, section 6.6)
}

// String returns "FILE:LINE".
func (l *Line) String() string { return fmt.Sprintf("%s:%d", l.File, l.Number) }

// Fingerprint returns the key's hash as OpenSSH prints it.
func (l *Line) Fingerprint() string {
	hash := sha256.Sum256([]byte(l.key))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(hash[:])
}

// A marker says what a line's key is for.
type marker int

const (
	hostKey marker = iota
	authority
	revoked
)

// A Problem is a line that could not be read and is left out.
type Problem struct {
	File   string
	Line   int
	Reason string
}

// String returns "FILE:LINE: reason".
func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason) }

// An entry is the text of a line, taken apart.
type entry struct {
	marker marker
	hosts  string
	typ    string
	key    string
}

// parseLine takes a line apart that is neither empty nor a comment. What follows the key is a comment.
func parseLine(text string) (entry, error) {
	var e entry
	if len(text) > maxLine {
		return e, fmt.Errorf("the line is longer than %d bytes", maxLine)
	}
	word, rest := nextWord(text)
	if strings.HasPrefix(word, "@") {
		switch word {
		case "@cert-authority":
			e.marker = authority
		case "@revoked":
			e.marker = revoked
		default:
			return e, fmt.Errorf("unknown marker %.40q; sshd(8) knows @cert-authority and @revoked", word)
		}
		if word, rest = nextWord(rest); strings.HasPrefix(word, "@") {
			return e, errors.New("two markers on one line")
		}
	}
	e.hosts = word
	typ, rest := nextWord(rest)
	blob, _ := nextWord(rest)
	if blob == "" {
		return e, errors.New("no key; a line has hosts, key type and key")
	}
	var err error
	e.typ, e.key, err = parseKey(typ, blob)
	return e, err
}

func nextWord(s string) (word, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " \t")
	}
	return s, ""
}

// parseKey decodes a key. It does not look at the numbers in it: a wrong one is equal to no host's key, and a type that is newer
// than this program is a known key nevertheless.
func parseKey(typ, blob string) (keyType, key string, err error) {
	if strings.Trim(typ, "0123456789") == "" {
		return "", "", errors.New("a key of SSH protocol 1, which is no longer spoken")
	}
	if isCertificate(typ) {
		return "", "", errors.New("a certificate; what is known of one is its authority, on a @cert-authority line")
	}
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		return "", "", fmt.Errorf("the key is damaged: %w", err)
	}
	fields := 0
	for rest := raw; len(rest) > 0; fields++ {
		field, after, ok := nextField(rest)
		if !ok {
			return "", "", errors.New("the key is damaged: it is cut off")
		}
		if fields == 0 && string(field) != typ {
			return "", "", fmt.Errorf("the line says %.40q, but its key is of type %.40q", typ, field)
		}
		rest = after
	}
	if fields < 2 {
		return "", "", errors.New("the key is damaged: there is nothing in it")
	}
	key = string(raw)
	return key[4 : 4+len(typ)], key, nil
}

// nextField splits off a string of RFC 4251, section 5.
func nextField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	b = b[4:]
	if n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

package knownhosts

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // G505: it is the format's hash; it hides names, and secures nothing.
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// A hashedName is the name of a host, hashed with a salt, and the lines that it stands on.
type hashedName struct {
	id    hashID
	state []byte // see precompute
	lines []*Line
	since int // the generation of the file in which it was first seen

	name string // once it is known; guarded by contents.mu
}

// A hashID is the salt and the hash.
type hashID [2 * sha1.Size]byte

func (id *hashID) salt() []byte { return id[:sha1.Size] }
func (id *hashID) sum() []byte  { return id[sha1.Size:] }

// parseHash decodes "|1|salt|hash".
func parseHash(hosts string) (hashID, error) {
	var id hashID
	parts := strings.Split(hosts, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return id, errors.New("a hashed name has the form |1|salt|hash")
	}
	for i, part := range parts[2:] {
		raw, err := base64.StdEncoding.DecodeString(part)
		if err != nil || len(raw) != sha1.Size {
			return id, errors.New("the hashed name is damaged")
		}
		copy(id[i*sha1.Size:], raw)
	}
	return id, nil
}

// hashName hashes a name with a new salt.
func hashName(name string) string {
	var salt [sha1.Size]byte
	_, _ = rand.Read(salt[:]) // It never fails (crypto/rand).
	mac := hmac.New(sha1.New, salt[:])
	mac.Write([]byte(name))
	return "|1|" + base64.StdEncoding.EncodeToString(salt[:]) + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// A hasher computes HMAC-SHA1 (RFC 2104) of names under precomputed salts: two blocks of SHA-1 per name and salt in place of four, and
// no allocation. It is not safe for concurrent use.
type hasher struct {
	sha    hash.Hash
	stater stater
	digest [sha1.Size]byte
}

type stater interface {
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func newHasher() *hasher {
	h := &hasher{sha: sha1.New()} //nolint:gosec // G401: as above.
	h.stater, _ = h.sha.(stater)  // As crypto/sha1 documents.
	return h
}

// precompute returns SHA-1's states after the inner and the outer pad of a salt, one after the other.
func (h *hasher) precompute(salt []byte) ([]byte, error) {
	var state []byte
	for _, pad := range []byte{0x36, 0x5c} {
		block := bytes.Repeat([]byte{pad}, sha1.BlockSize)
		for i, b := range salt {
			block[i] ^= b
		}
		h.sha.Reset()
		h.sha.Write(block)
		var err error
		if state, err = h.stater.AppendBinary(state); err != nil {
			return nil, fmt.Errorf("precomputing a hash: %w", err)
		}
	}
	return state, nil
}

// matches reports whether name is the one that was hashed.
func (h *hasher) matches(hashed *hashedName, name []byte) bool {
	state := hashed.state
	if h.stater.UnmarshalBinary(state[:len(state)/2]) != nil {
		return false // Not a state of precompute's.
	}
	h.sha.Write(name)
	h.sha.Sum(h.digest[:0])
	if h.stater.UnmarshalBinary(state[len(state)/2:]) != nil {
		return false // As above.
	}
	h.sha.Write(h.digest[:])
	return bytes.Equal(h.sha.Sum(h.digest[:0]), hashed.id.sum())
}

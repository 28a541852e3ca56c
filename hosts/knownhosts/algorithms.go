package knownhosts

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Algorithms lists the host key algorithms to offer a host, the best first: those of certificates where an authority is known for it,
// then those of its known keys. Without that order the host would choose, and the key of a type that is not known looks like a changed
// one (golang/go#29286). All others that are safe follow, so that a host that has none of the known types any more still shows
// what it has.
func (k Keys) Algorithms(name Name) []string {
	lines := k.lookup(name, hostKey)
	if len(lines) == 0 {
		lines = k.lookup(name.plain(), hostKey)
	}
	all := supported()
	var algorithms []string
	add := func(wanted func(string) bool) {
		for _, algorithm := range all {
			if wanted(algorithm) && !slices.Contains(algorithms, algorithm) {
				algorithms = append(algorithms, algorithm)
			}
		}
	}
	if len(k.authorities(name)) > 0 {
		add(isCertificate)
	}
	for _, line := range lines {
		add(func(algorithm string) bool { return keyType(algorithm) == line.Type })
	}
	add(func(algorithm string) bool { return !isCertificate(algorithm) })
	add(isCertificate)
	return algorithms
}

// supported lists the algorithms that golang.org/x/crypto/ssh deems safe, the best first: the shortest keys, then ECDSA, then RSA.
func supported() []string {
	rank := func(algorithm string) int {
		return slices.IndexFunc([]string{"rsa-sha2-256", "rsa-sha2-512", "ecdsa-", "ssh-ed25519"}, func(prefix string) bool {
			return strings.HasPrefix(algorithm, prefix)
		})
	}
	all := ssh.SupportedAlgorithms().HostKeys
	slices.SortStableFunc(all, func(a, b string) int { return rank(b) - rank(a) })
	return all
}

// isCertificate reports whether an algorithm is for certificates: its name ends in -cert-v01@ and a domain.
func isCertificate(algorithm string) bool { return strings.Contains(algorithm, "-cert-v01@") }

// keyType returns the type of the keys that an algorithm signs with (RFC 8332, section 3).
func keyType(algorithm string) string {
	if strings.HasPrefix(algorithm, "rsa-sha2-") && !isCertificate(algorithm) {
		return ssh.KeyAlgoRSA
	}
	return algorithm
}

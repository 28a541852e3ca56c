// Package knownhosts keeps an index of OpenSSH known_hosts files, in the format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT", and
// says what they know of a host's key. It also adds keys to such files.
//
//	file ─▶ lines ─▶ plain names  ─▶ map
//	                 patterns     ─▶ short list, tried one by one
//	                 hashed names ─▶ pool; compared with a name once, then in the map
//
// It exists because golang.org/x/crypto/ssh/knownhosts compares every line at every check, which for a hashed file of a fleet is
// milliseconds per dial, for ever; fails a whole file for one bad line; and knows nothing of the types of the known keys.
//
// # Guarantees
//
//   - A file is parsed once and again when it changed. What was found out about its hashed lines outlives that.
//   - A line that cannot be read is left out and told by [Keys.Problems]; it never takes the others with it.
//   - A revoked key, or one that a revoked authority signed, is refused for every host, whatever the line's own hosts.
//   - The first lookup of a name compares it with the hashed lines that belong to no other name yet. Meanwhile names that have been
//     looked up before are answered.
//   - Memory is bounded: by [maxFile] and [maxLine].
package knownhosts

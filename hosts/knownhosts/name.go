package knownhosts

import (
	"net/netip"
	"strconv"
	"strings"
)

// defaultPort is the port that does not stand in a known_hosts file.
const defaultPort = 22

// A Name is what a host's key stands under: host or address, with the port unless that is 22; or an alias.
type Name struct {
	host string // normal, and without a port
	port int
}

// HostPort is the name of the sshd at a port of a host, which may be an IP address.
func HostPort(host string, port int) Name { return Name{host: normalHost(host), port: port} }

// Alias is a name that has no port, whatever port the host's sshd is at (ssh_config(5), HostKeyAlias).
func Alias(alias string) Name { return Name{host: normal(alias), port: defaultPort} }

// String returns the name as it stands in a file: "host" or "[host]:port".
func (n Name) String() string {
	if n.port == defaultPort {
		return n.host
	}
	return "[" + n.host + "]:" + strconv.Itoa(n.port)
}

// plain is the name without its port.
func (n Name) plain() Name { return Name{host: n.host, port: defaultPort} }

// normal brings a name of a file into the form of [Name.String].
func normal(name string) string {
	if host, port, ok := strings.Cut(name, "]:"); ok && strings.HasPrefix(host, "[") {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			return HostPort(host[1:], int(n)).String()
		}
	}
	return normalHost(name)
}

// normalHost returns a host name in lower case, or an address as ssh(1) writes it.
func normalHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String()
	}
	return strings.ToLower(host)
}

// Package inventory reads the TOML file that says which hosts are watched, which systemd units on each, how they are
// reached over SSH, and where the messages go.
//
// A file becomes an [Inventory] in four steps:
//
//	bytes -> TOML and a line index -> raw mirror of the file -> groups and defaults merged -> hosts
//
// Guarantees: nothing of a bad file is used. Every mistake that can be told apart is reported at once as
// FILE:LINE: what is wrong and what to write instead (see [Error]); only where an included file cannot be read are the checks
// left out that need the groups and hosts which it may define. No other package sees TOML, ranges, globs of files or text
// durations. Nothing is dialled; of the files that the inventory names, those are read that it includes, the password file
// and OpenSSH client configurations, and of the others only their being readable and their permissions are looked at. Secrets
// are in [Broker.URLs] only, which its String, Format and LogValue methods redact.
//
// reference.toml beside this package documents every key.
package inventory

import (
	_ "embed"
	"time"
)

// Reference is an inventory with every key, each with a comment that says what it is.
//
//go:embed reference.toml
var Reference string

// DefaultPath is where the inventory is when nothing else is said.
const DefaultPath = "/etc/service_manager/inventory.toml"

// DefaultGroup is the group of a host that names none. It exists also where no [groups.default] defines it.
const DefaultGroup = "default"

// Inventory is a file, its includes and all defaults, resolved. It is not changed after Parse has returned it, so it may
// be read from several goroutines; its hosts share slices and maps, which must not be written to.
type Inventory struct {
	// Files are the names of all files read, the main one first.
	Files []string
	// Collector says how the hosts are polled.
	Collector Collector
	// Broker says where the messages go. Its URLs are empty where the file names no broker.
	Broker Broker
	// Hosts are the enabled hosts, sorted by name.
	Hosts []Host
	// Notices name, as FILE:LINE: text, the keys that have no effect where they stand, lines of an OpenSSH client
	// configuration that are passed over, and secrets that every account can read; each once.
	Notices []string

	parents  map[string]string // every group and its parent, "" for none
	disabled map[string]bool   // hosts with enabled = false
}

// Collector is the [collector] table with its defaults applied.
type Collector struct {
	// Name stands in every message and in the routing key of the collector's own ones. Default: the first word of the
	// hostname.
	Name string
	// Interval is the time from one poll of a host to its next, 10 s by default; a group or host may have its own.
	Interval time.Duration
	// Timeout bounds a poll on a standing connection. 0 means that each host derives its own, see Host.Timeout.
	Timeout time.Duration
	// ConnectTimeout bounds DNS, TCP, handshake and authentication together, jumps included; 5 s by default.
	ConnectTimeout time.Duration
	// Parallel is how many polls may be in flight, slow ones not counted; 512 by default.
	Parallel int
	// Dials is how many handshakes may be in flight, slow ones not counted; 64 by default.
	Dials int
	// DialRate is how many SSH connections may be begun per second, over the whole fleet; 200 by default.
	DialRate int
	// DialsPerJump is how many handshakes may be in flight through one jump host, 16 by default.
	DialsPerJump int
	// State is the path of the state file: as configured, else state.db in $STATE_DIRECTORY, else below
	// /var/lib/service_manager.
	State string
	// Listen is the address of the HTTP server, empty for none.
	Listen string
	// UnitMetrics says that its metrics have each unit's state.
	UnitMetrics bool
	// FlapBurst is how many events a unit may send in a row, 6 by default.
	FlapBurst int
	// FlapRefill is the time after which a unit may send one more, 10 s by default.
	FlapRefill time.Duration
}

// Host is one host with everything from its groups and the defaults merged in.
type Host struct {
	Name string
	// Address is a host name or an IP address (IPv6 without brackets), without a port.
	Address string
	Group   string
	// Labels are those of the groups and the host, the nearest winning. Never nil.
	Labels map[string]string
	// Units are exact unit names with their type suffix, in the order given (the outermost group's first), each once.
	Units []string
	// Globs are the patterns among the host's units, for systemctl to match as they are.
	Globs []string
	// Interval is the host's own, its group's or the collector's.
	Interval time.Duration
	// Timeout is the collector's or, where it has none, 80 % of Interval, at least 1 s and at most 8 s.
	Timeout        time.Duration
	ConnectTimeout time.Duration
	SSH            SSH
	// Via is the host through whose connection the SSH connection to this one is tunnelled, nil for a direct one. It may have
	// a Via of its own, at most 8 in a row and never in a circle. All hosts behind the same jump host share it: it is the
	// entry in Inventory.Hosts or, for one that is not watched, a Host that is in no list, whose Name is USER@HOST:PORT, with
	// " (2)" and so on behind it where others of that name are reached in another way. Names are unique together.
	Via *Host
}

// SSH says how a host is reached. The terms are those of ssh_config(5). All paths are absolute, or relative to the
// working directory if the inventory's own path was.
type SSH struct {
	User string
	Port int
	// IdentityFile is the one key to offer: a private key or, with Agent, also the public part of a key that the agent
	// holds. Empty means the usual ones of ~/.ssh or, with Agent, the only one that the agent holds.
	IdentityFile string
	// PassphraseFile holds the passphrase of the key, on one line.
	PassphraseFile string
	// CertificateFile is an OpenSSH user certificate for the key.
	CertificateFile string
	// Agent says that the key is taken from the agent at $SSH_AUTH_SOCK.
	Agent bool
	// KnownHosts are the files of known host keys; nil means ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts.
	KnownHosts []string
	// HostKeyAlias is looked up in KnownHosts in place of address and port.
	HostKeyAlias string
	// ConfigFile is the OpenSSH client configuration that the values which the inventory does not set were taken from.
	ConfigFile string
	// Jump is what Host.Via was made from: as it is written in the inventory or, as ProxyJump, in ConfigFile. Empty for a
	// direct connection.
	Jump string
	// Become is empty or "sudo": how the operator commands get their rights.
	Become string
	// Mode is how the host is asked: ModeExec or ModeStream.
	Mode string
	// Keepalive is the time after which an idle TCP connection is probed (tcp(7), TCP_KEEPIDLE), which finds dead peers and
	// keeps entries of NAT alive; 15 s by default, 0 for never.
	Keepalive time.Duration
}

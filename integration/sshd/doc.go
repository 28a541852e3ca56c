// Package sshd runs real OpenSSH servers for tests: sshd of this machine, each a child process with a user database, a PATH and a
// host key of its own.
//
//	Start ──▶ mount and PID namespace ──▶ private /run, /proc, /etc/passwd, /etc/shadow ──▶ sshd -D
//	          └ all that sshd starts dies with it, and is frozen with it
//
// Nothing of the machine is changed, and none of its accounts is used. It takes Linux, root and OpenSSH's server; where one is
// missing, Start says so.
//
// Inside, the account [User] may log in with the key of [Config.UserKey]. [Path] is the folder of [Config.Files], its bin stands
// first in PATH, and there is no systemd: /run is empty.
package sshd

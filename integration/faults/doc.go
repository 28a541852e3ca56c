// Package faults tests the collector against hosts that are sick: real sshd processes that are frozen, killed, misconfigured or
// closed to their user (package sshd), and servers that misbehave in ways which OpenSSH does not (package hostile). Each must end in
// the outcome that fits, in time, in bounded memory, and without disturbing the healthy host beside it.
//
// The tests carry the build tag "integration", and take Linux, root, OpenSSH's server, busybox and systemctl; integration/setup
// installs them. They need neither Docker nor a booted systemd.
package faults

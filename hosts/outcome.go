package hosts

import (
	"errors"
	"fmt"
)

// Outcome says how a poll of a host ended. The words are part of the message contract; consumers see them verbatim.
type Outcome string

// The outcomes of a poll. All but OK say that the host, or the way to it, is in trouble: none of them says anything about the
// host's units.
const (
	OK             Outcome = "ok"               // every record arrived
	Unreachable    Outcome = "unreachable"      // no address, or no TCP connection
	Timeout        Outcome = "timeout"          // TCP stood, then something was late
	Throttled      Outcome = "throttled"        // sshd hung up before its banner
	HostKeyUnknown Outcome = "host_key_unknown" // not in known_hosts
	HostKeyChanged Outcome = "host_key_changed" // another key than in known_hosts, or a revoked one
	AuthFailed     Outcome = "auth_failed"      // no offered key was accepted
	Denied         Outcome = "denied"           // logged in, then refused
	NoSystemd      Outcome = "no_systemd"       // not booted with systemd
	CommandFailed  Outcome = "command_failed"   // any other error that systemctl reports
	ProtocolError  Outcome = "protocol_error"   // marker or record missing, flood, garbage, negotiation failed
)

// ErrNotConnected is in the error of a [Pool.Poll] that found no standing connection, or a dead one: [Pool.Connect] mends it.
var ErrNotConnected = errors.New("not connected")

// Error says why a host could not be read and, where something can be done about it, what.
type Error struct {
	Outcome Outcome
	Target  string // user@address:port
	Err     error

	own bool // it is about a file of ours; the host was not asked
}

// errorBytes is the longest text of an [Error], which may quote what a host said.
const errorBytes = 1500

// Error is one line that is safe for a terminal, whatever the host said.
func (e *Error) Error() string { return oneLine(e.Target+": "+e.Err.Error(), errorBytes) }

func (e *Error) Unwrap() error { return e.Err }

// fail makes an [Error] that knows no target yet; the pool adds it.
func fail(outcome Outcome, format string, args ...any) *Error {
	return &Error{Outcome: outcome, Err: fmt.Errorf(format, args...)}
}

// OutcomeOf returns the outcome that err stands for: [OK] for nil, and [ProtocolError] for an error that no part of this
// package made.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Outcome
	}
	return ProtocolError
}

// Persistent reports whether err stays until a person changes something on the host or in known_hosts, so that trying again soon
// only fills the host's log and, from OpenSSH 9.8 on, earns the collector's address a penalty (sshd_config(5), PerSourcePenalties).
// It does not say so of trouble with the collector's own files, which bothers no host.
func Persistent(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.own {
		return false
	}
	return e.Outcome == AuthFailed || e.Outcome == HostKeyUnknown || e.Outcome == HostKeyChanged
}

package farm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Session is a standing connection as the host sees it: the processes of sshd that serve it, in a cgroup with all that they start.
type Session struct {
	sshd  []int
	scope string
}

// NewSession finds the connection that was made to the host since these processes were there (see [Host.Processes]).
func (h *Host) NewSession(before []int) (*Session, error) {
	now, err := h.Processes()
	if err != nil {
		return nil, err
	}
	var s Session
	for _, pid := range now {
		if slices.Contains(before, pid) || !serves(pid) {
			continue
		}
		scope, err := CgroupOf(pid)
		if err != nil {
			return nil, err
		}
		if s.scope != "" && scope != s.scope {
			return nil, fmt.Errorf("%s: processes of sshd are in two cgroups, %s and %s, want one session", h.Name, s.scope, scope)
		}
		s.sshd, s.scope = append(s.sshd, pid), scope
	}
	if len(s.sshd) == 0 {
		return nil, fmt.Errorf("%s: no process of sshd is new", h.Name)
	}
	return &s, nil
}

// serves reports whether a process is one of sshd, which since OpenSSH 9.8 is called sshd-session where it serves a connection.
func serves(pid int) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.HasPrefix(string(name), "sshd")
}

// SSHD is what sshd has used for the connection.
func (s *Session) SSHD() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range s.sshd {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		if errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("the connection has ended: process %d of sshd is gone", pid)
		}
		if err != nil {
			return 0, err
		}
		ns, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// CPU is what was used in the session altogether: by sshd and by the commands.
func (s *Session) CPU() (time.Duration, error) { return CgroupCPU(s.scope) }

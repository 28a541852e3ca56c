package sshd

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// Freeze stops the listener, and then every process of every session. TCP connections stand and new ones are accepted by the kernel,
// but nothing answers any more.
func (s *Server) Freeze() error { return s.signalAll(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() error { return s.signalAll(syscall.SIGCONT) }

// signalAll signals process 1 of the namespace, which is the listener, and then the others.
func (s *Server) signalAll(signal syscall.Signal) error {
	if err := s.cmd.Process.Signal(signal); err != nil {
		return err
	}
	own, err := os.Readlink(namespaceOf(s.cmd.Process.Pid))
	if err != nil {
		return fmt.Errorf("looking for sshd's processes: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("looking for sshd's processes: %w", err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == s.cmd.Process.Pid {
			continue
		}
		if namespace, err := os.Readlink(namespaceOf(pid)); err != nil || namespace != own {
			continue // Not its own, or ended in the meantime.
		}
		_ = syscall.Kill(pid, signal) // It may have ended.
	}
	return nil
}

func namespaceOf(pid int) string { return fmt.Sprintf("/proc/%d/ns/pid", pid) }

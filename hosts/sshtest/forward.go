package sshtest

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"

	"github.com/sourcegraph/conc"
	"golang.org/x/crypto/ssh"
)

// Tunnels is how many tunnels there are now.
func (s *Server) Tunnels() int { return int(s.tunnels.Load()) }

// Forwarded is how many tunnels have been asked for.
func (s *Server) Forwarded() int { return int(s.forwarded.Load()) }

// forward connects a tunnel (RFC 4254, section 7.2) until one of its sides ends.
func (s *Server) forward(ctx context.Context, asked ssh.NewChannel) {
	s.forwarded.Add(1)
	s.tunnels.Add(1)
	defer s.tunnels.Add(-1)
	var message struct {
		Host       string
		Port       uint32
		Originator string
		OriginPort uint32
	}
	if s.config.Forward == nil || ssh.Unmarshal(asked.ExtraData(), &message) != nil {
		_ = asked.Reject(ssh.Prohibited, "open failed") // A broken connection ends everything.
		return
	}
	target, err := s.config.Forward(ctx, "tcp", net.JoinHostPort(message.Host, strconv.Itoa(int(message.Port))))
	if err != nil {
		reason, text := ssh.ConnectionFailed, err.Error()
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			reason, text = refused.Reason, refused.Message
		}
		_ = asked.Reject(reason, text) // As above.
		return
	}
	defer func() { _ = target.Close() }() // As below.
	channel, requests, err := asked.Accept()
	if err != nil {
		return // The connection broke.
	}
	var served conc.WaitGroup
	served.Go(func() { ssh.DiscardRequests(requests) })
	served.Go(func() {
		_, _ = io.Copy(target, channel) // However it ends, it ends the tunnel.
		_ = target.Close()              // As above.
	})
	_, _ = io.Copy(channel, target) // As above.
	_ = channel.Close()             // As above.
	served.Wait()
}

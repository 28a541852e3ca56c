package hostile

import (
	"io"
	"strings"

	"github.com/sourcegraph/conc"
	"golang.org/x/crypto/ssh"
)

// HangUpAfterLogin closes the connection when the user has logged in.
func HangUpAfterLogin() Act {
	return Act{serve: func(p *peer, _ *ssh.ServerConn, _ <-chan ssh.NewChannel) { p.close() }}
}

// SilentOpen never answers the opening of a channel.
func SilentOpen() Act {
	return Act{serve: func(p *peer, _ *ssh.ServerConn, _ <-chan ssh.NewChannel) { <-p.gone }}
}

// HangUpOnOpen closes the connection when a channel is opened.
func HangUpOnOpen() Act {
	return Act{serve: func(p *peer, _ *ssh.ServerConn, channels <-chan ssh.NewChannel) {
		<-channels
		p.close()
	}}
}

// SilentExec never answers the request to run a command.
func SilentExec() Act {
	return Act{exec: func(p *peer, _ ssh.Channel, _ *ssh.Request) { <-p.gone }}
}

// HangUpOnExec closes the connection instead.
func HangUpOnExec() Act {
	return Act{exec: func(p *peer, _ ssh.Channel, _ *ssh.Request) { p.close() }}
}

// SilentCommand runs a command that neither prints anything nor ends.
func SilentCommand() Act {
	return output(func(p *peer, _ ssh.Channel, _ string) { <-p.gone })
}

// FloodStdout prints without end.
func FloodStdout() Act {
	return output(func(p *peer, c ssh.Channel, _ string) { p.flood(make([]byte, 32<<10), c.Write) })
}

// FloodStderr prints error messages without end.
func FloodStderr() Act {
	block := []byte(strings.Repeat("sh: something is wrong here\n", 1000))
	return output(func(p *peer, c ssh.Channel, _ string) { p.flood(block, c.Stderr().Write) })
}

// SlowOutput prints an answer of a byte a second.
func SlowOutput() Act {
	return output(func(p *peer, c ssh.Channel, command string) { p.dribble(answer(command), c.Write) })
}

// HangUpInRecord closes the connection in the middle of a unit's record.
func HangUpInRecord() Act {
	return output(func(p *peer, c ssh.Channel, command string) {
		say(c, half(command))
		p.close()
	})
}

// EndInRecord ends the command well in the middle of a unit's record.
func EndInRecord() Act {
	return output(func(_ *peer, c ssh.Channel, command string) {
		say(c, half(command))
		end(c)
	})
}

// NeverClose ends the command with a whole answer and its exit status, but leaves the channel open.
func NeverClose() Act {
	return output(func(p *peer, c ssh.Channel, command string) {
		p.deafen() // Or golang.org/x/crypto/ssh would answer the client's closing.
		say(c, answer(command))
		exit(c)
		_ = c.CloseWrite() // The client may be gone.
		<-p.gone
	})
}

// NeverEnd prints a whole answer, and then nothing, not even that this was all.
func NeverEnd() Act {
	return output(func(p *peer, c ssh.Channel, command string) {
		say(c, answer(command))
		<-p.gone
	})
}

// OtherNonce gives a whole answer to another question.
func OtherNonce() Act {
	return output(func(_ *peer, c ssh.Channel, command string) {
		say(c, answerAs(command, strings.Repeat("0123456789abcdef", 2), nil))
		end(c)
	})
}

// ForgedUnit tells of a unit that it was not asked for.
func ForgedUnit() Act {
	return output(func(_ *peer, c ssh.Channel, command string) {
		say(c, answerAs(command, "", []string{"forged.service"}))
		end(c)
	})
}

// EscapeSequences fails with a message that would change the title of a terminal, clear it and move up.
func EscapeSequences() Act {
	return output(func(_ *peer, c ssh.Channel, _ string) {
		_, _ = io.WriteString(c.Stderr(), "\x1b]0;owned\x07\x1b[2J\x1b[10A\u202eharmless\u2066\r\n") // The client may be gone.
		end(c)
	})
}

// FloodRequests sends requests and opens channels that no one has asked for, on the connection and on the session, as fast as they are
// taken, and never answers the command.
func FloodRequests() Act {
	return Act{serve: func(p *peer, conn *ssh.ServerConn, channels <-chan ssh.NewChannel) {
		var flooding conc.WaitGroup
		defer flooding.Wait()
		flooding.Go(func() { solicit(p, conn, 0) })
		serveSessions(p, Act{exec: func(_ *peer, c ssh.Channel, r *ssh.Request) {
			_ = r.Reply(true, nil) // The client may be gone.
			for i := 0; ; i++ {
				if _, err := c.SendRequest("flood@hostile", i%64 == 0, nil); err != nil {
					return
				}
			}
		}}, channels)
	}}
}

// Chatty sends a thousand such requests, and then does all that it is asked for.
func Chatty() Act {
	return Act{serve: func(p *peer, conn *ssh.ServerConn, channels <-chan ssh.NewChannel) {
		var chatting conc.WaitGroup
		defer chatting.Wait()
		chatting.Go(func() { solicit(p, conn, 1000) })
		serveSessions(p, Act{}, channels)
	}}
}

// solicit sends that many requests, 0 for no end, some of which want an answer, and opens as many channels.
func solicit(p *peer, conn *ssh.ServerConn, times int) {
	var opening conc.WaitGroup
	defer opening.Wait()
	opening.Go(func() {
		for i := 0; times == 0 || i < times; i++ {
			_, _, err := conn.OpenChannel("flood@hostile", nil)
			select {
			case <-p.gone:
				return
			default:
			}
			if err == nil {
				return // A client that lets us in is for the test to notice: it stays open.
			}
		}
	})
	for i := 0; times == 0 || i < times; i++ {
		if _, _, err := conn.SendRequest("keepalive@openssh.com", i%64 == 0, nil); err != nil {
			return
		}
	}
}

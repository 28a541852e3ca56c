package hostile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"

	"github.com/sourcegraph/conc"
)

// banner is what a server says first (RFC 4253, section 4.2).
const banner = "SSH-2.0-hostile\r\n"

// Silent accepts the TCP connection and says nothing.
func Silent() Act { return Act{tcp: (*peer).listen} }

// HangUp closes the TCP connection at once.
func HangUp() Act { return Act{tcp: (*peer).close} }

// SlowBanner sends a banner that never ends, a byte a second.
func SlowBanner() Act {
	return Act{tcp: func(p *peer) {
		var listening conc.WaitGroup
		defer listening.Wait()
		listening.Go(p.listen)
		p.dribble(strings.TrimSpace(banner), p.Write)
	}}
}

// EndlessGreeting sends lines that a server may send before its banner, as fast as they are taken.
func EndlessGreeting() Act {
	return Act{tcp: func(p *peer) { p.flood([]byte(strings.Repeat("Welcome to this host!\r\n", 1000)), p.Write) }}
}

// Garbage sends random bytes in place of a banner, and hangs up.
func Garbage() Act { return Act{tcp: func(p *peer) { send(p, garbage(64<<10)) }} }

// GarbagePackets sends random bytes behind its banner, and hangs up.
func GarbagePackets() Act {
	return Act{tcp: func(p *peer) { send(p, append([]byte(banner), garbage(64<<10)...)) }}
}

// HugePacket announces a packet of 4 GiB, and goes on sending.
func HugePacket() Act {
	return Act{tcp: func(p *peer) {
		send(p, binary.BigEndian.AppendUint32([]byte(banner), 1<<32-1))
		p.flood(make([]byte, 32<<10), p.Write)
	}}
}

// Cut closes the connection after that many writes: 1 is the banner, 2 the proposal for the key exchange, then come the key
// exchange itself and, a packet each, the steps of the login.
func Cut(writes int) Act { return Act{writes: writes} }

// Stall falls silent after that many writes, see [Cut].
func Stall(writes int) Act { return Act{writes: writes, stall: true} }

// SilentLogin never answers the user's key.
func SilentLogin() Act {
	return Act{login: func(p *peer) error {
		<-p.gone
		return errors.New("the client has gone")
	}}
}

// RefuseLogin accepts no key.
func RefuseLogin() Act { return Act{login: func(*peer) error { return errors.New("not you") }} }

// send hands over bytes that the client may not want.
func send(p *peer, b []byte) {
	_, _ = p.Write(b) // It may hang up first.
}

// garbage is always the same, and has no newline that would make a line of it.
func garbage(size int) []byte {
	random := rand.NewChaCha8([32]byte{})
	b := make([]byte, size)
	_, _ = random.Read(b) // It never fails, by its documentation.
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\xff"))
}

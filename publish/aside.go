package publish

import (
	"slices"
	"time"
)

// A standing is why a message is not sent like any other.
type standing int

// The standings of a message, by its key.
const (
	suspected   standing = iota // It may have made the broker end the channel: it is sent alone.
	guilty                      // It did so when it was sent last: alone, and seldom.
	unanswered                  // The broker withheld its confirm: only a part of the window is open to it.
	standings                   // How many there are.
	unsuspected standing = -1
)

// asideFor is how long a message is aside at most, where others go on coming, before one of its standing has its turn.
const asideFor = 5 * time.Second

// Aside are the messages that were taken from the source and are sent when it has no other, so that they hold up none.
type aside struct {
	room     int // For how many.
	messages [standings][]Message
	turn     [standings]time.Time // When the next is sent though there are others.
}

func (a *aside) len() int {
	n := 0
	for _, mm := range a.messages {
		n += len(mm)
	}
	return n
}

func (a *aside) has(why standing) bool { return len(a.messages[why]) > 0 }

// put reports false where there is no room.
func (a *aside) put(m Message, why standing) bool {
	if a.len() >= a.room {
		return false
	}
	if !a.has(why) {
		a.turn[why] = time.Now().Add(asideFor)
	}
	a.messages[why] = append(a.messages[why], m)
	return true
}

// ripe returns a standing whose turn has come; unsuspected if there is none.
func (a *aside) ripe(mayGo func(standing) bool) standing {
	for why := range standings {
		if a.has(why) && !time.Now().Before(a.turn[why]) && mayGo(why) {
			return why
		}
	}
	return unsuspected
}

func (a *aside) take(why standing) Message {
	mm := a.messages[why]
	m := mm[0]
	mm[0] = Message{}
	a.messages[why] = mm[1:]
	a.turn[why] = time.Now().Add(asideFor)
	return m
}

// clear returns all messages and forgets them.
func (a *aside) clear() []Message {
	all := slices.Concat(a.messages[:]...)
	a.messages = [standings][]Message{}
	return all
}

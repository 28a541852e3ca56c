package publish

// A Source is what a Publisher or Writer pulls its messages from. All three methods are called from the one goroutine that runs Run,
// and must not block.
type Source interface {
	// Ready has a value when Take may have more than at the last Take that had none, or soon after that, so that several can be sent at once.
	// It is buffered by one; a spare value is harmless.
	Ready() <-chan struct{}
	// Take hands out the next message to send, and false when there is none now.
	Take() (Message, bool)
	// Settle says what became of a message that Take handed out. It is called exactly once for each, before Run returns.
	Settle(Message, Fate)
}

// Fate is what became of a message.
type Fate int

// The fates of a message.
const (
	// Confirmed: the broker has taken responsibility for it.
	Confirmed Fate = iota + 1
	// Unroutable: the broker confirmed it, but returned it first, because no queue is bound for its key. Only mandatory messages are
	// returned; others are confirmed and forgotten.
	Unroutable
	// Refused: the broker did not take it (basic.nack), for instance because a queue is full, or it did not say so in time while it
	// confirmed others, for instance because a queue has no majority. Other queues may have it, and that one may get it later.
	Refused
	// Lost: the connection ended before the confirm, so it may have arrived or not.
	Lost
	// Invalid: it can never be sent, see Message.Validate.
	Invalid
	// Rejected: the broker ended the connection because of this very message, which was the only one under way. It would do so again,
	// so a Source should not hand it out again soon, if at all.
	Rejected
)

// String names the fate in lower case, as it is logged.
func (f Fate) String() string {
	switch f {
	case Confirmed:
		return "confirmed"
	case Unroutable:
		return "unroutable"
	case Refused:
		return "refused"
	case Lost:
		return "lost"
	case Invalid:
		return "invalid"
	case Rejected:
		return "rejected"
	}
	return "unknown"
}

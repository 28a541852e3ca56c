package outbox

// cacheBytes bounds the cache of events' bodies. In the rule an event is sent and confirmed within moments, and never read from the file.
const cacheBytes = 16 << 20

// bodies holds events as they are stored: all of them where there is no file, else some.
type bodies struct {
	all   bool
	byID  map[uint64][]byte
	bytes int
}

func newBodies(all bool) bodies { return bodies{all: all, byID: map[uint64][]byte{}} }

func (b *bodies) add(id uint64, value []byte) {
	if !b.all && b.bytes+len(value) > cacheBytes {
		return
	}
	b.byID[id] = value
	b.bytes += len(value)
}

func (b *bodies) remove(id uint64) {
	b.bytes -= len(b.byID[id])
	delete(b.byID, id)
}

package hosts

import (
	"errors"
	"io"
	"slices"
	"sync"
)

// Sizes of buffers for answers, in bytes. With 20 units an answer has some 12 KiB.
const (
	leastRead   = 64
	leastBuffer = 16 << 10
	mostBuffer  = 128 << 10 // Greater ones are not kept.
)

// answers keeps the buffers of answers that were read, for the next ones.
type answers struct{ free sync.Pool }

// buffer returns an empty one.
func (a *answers) buffer() []byte {
	if kept, ok := a.free.Get().(*[]byte); ok {
		return (*kept)[:0]
	}
	return make([]byte, 0, leastBuffer)
}

// done takes the buffer of an answer of which nothing is needed any more.
func (a *answers) done(answer []byte) {
	if size := cap(answer); size >= leastBuffer && size <= mostBuffer {
		a.free.Put(&answer)
	}
}

// readAll appends what r has to text, until its end or until limit bytes have come and one more.
func readAll(text []byte, r io.Reader, limit int64) ([]byte, error) {
	for most := len(text) + int(limit) + 1; len(text) < most; {
		text = slices.Grow(text, leastRead)
		n, err := r.Read(text[len(text):min(cap(text), most)])
		text = text[:len(text)+n]
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return text, err
		}
	}
	return text, nil
}

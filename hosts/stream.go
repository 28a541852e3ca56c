package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"service_manager/hosts/systemctl"
)

// A stream is a command on a host that answers one question after the other, for as long as the connection stands: it spares the host a
// session and four processes for each poll, and this side a third to a half of what SSH costs. It is only a shorter way: whatever goes wrong with it, the
// question is asked again by a command of its own, whose end says what is the matter.
type stream struct {
	session   *session
	questions chan question
	end       func()
	ending    <-chan struct{} // closed by end

	words string // of the last question that was answered
}

// A question is a nonce and words for a stream.
type question struct {
	nonce, words string
	limit        int64         // of the answer, in bytes
	answer       chan<- []byte // has room for one
}

// errStreamEnded says that the command of a stream ended: it met an error, or the host does not let it run.
var errStreamEnded = errors.New("the stream ended")

// openStream begins a stream. Whether the host lets it run shows with the first question.
func (c *conn) openStream() *stream {
	ending := make(chan struct{})
	st := &stream{questions: make(chan question), ending: ending, end: sync.OnceFunc(func() { close(ending) })}
	st.session = &session{
		conn: c, command: systemctl.StreamCommand, listen: &listener{converse: st.serve}, ended: make(chan struct{}),
	}
	if !c.serve(st.session.run) {
		close(st.session.ended)
	}
	return st
}

// serve asks the host what is asked here, until either side ends.
func (st *stream) serve(stdio io.ReadWriter) error {
	for {
		select {
		case q := <-st.questions:
			answer, err := st.put(stdio, q)
			if err != nil {
				return err
			}
			st.words = q.words
			q.answer <- answer
		case <-st.ending:
			return errStreamEnded
		case <-st.session.conn.done:
			return errLost
		}
	}
}

// put writes the question and reads the answer.
func (st *stream) put(stdio io.ReadWriter, q question) ([]byte, error) {
	line := q.nonce + "\n"
	if q.words != st.words {
		line = q.nonce + " " + q.words + "\n"
	}
	if _, err := io.WriteString(stdio, line); err != nil {
		return nil, fmt.Errorf("%w: %w", errStreamEnded, err)
	}
	answer, done := st.session.conn.pool.answers.buffer(), []byte(systemctl.DoneMarker(q.nonce))
	for !bytes.HasSuffix(answer, done) {
		if int64(len(answer)) > q.limit {
			return nil, fmt.Errorf("%w: over %d bytes", errFlood, q.limit)
		}
		answer = slices.Grow(answer, 1)
		n, err := stdio.Read(answer[len(answer):cap(answer)])
		if answer = answer[:len(answer)+n]; err != nil && n == 0 {
			return nil, fmt.Errorf("%w: %w", errStreamEnded, err)
		}
	}
	return answer, nil
}

// ask puts a question and waits for its answer until ctx ends, when the stream is left as a command that did not end in time. The error
// wraps [errLate] and the cause of ctx, or [errStreamEnded], or says that the connection is gone.
func (st *stream) ask(ctx context.Context, nonce, words string, limit int64) ([]byte, error) {
	c := st.session.conn
	c.transport.allow(2*limit + packetBytes)
	defer c.transport.allow(idleBytes)
	answer := make(chan []byte, 1)
	questions := st.questions
	for {
		select {
		case questions <- question{nonce, words, limit, answer}:
			questions = nil // It is on its way.
		case text := <-answer:
			return text, nil
		case <-st.session.ended:
			if err := st.session.err; errors.Is(err, errLost) || errors.Is(err, errFlood) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %w", errStreamEnded, st.session.err)
		case <-ctx.Done():
			st.leave()
			return nil, fmt.Errorf("%w: %w", errLate, context.Cause(ctx))
		}
	}
}

// leave gives the stream up: the command on the host ends with its standard input, once it reads that.
func (st *stream) leave() {
	st.end()
	st.session.leave()
}

// maxStreamFailures is how many streams of a connection may fail before it has no more.
const maxStreamFailures = 3

// askStream asks over the host's stream. It reports false where the question is to be asked by a command of its own, as it is until that
// went well once after a failure. The error is an [Error].
func (l *link) askStream(ctx context.Context, q systemctl.Query, limit int64) (answer systemctl.Answer, answered bool, err error) {
	c := l.conn
	if c.streamFailed || c.streamFailures >= maxStreamFailures {
		return systemctl.Answer{}, false, nil
	}
	words, err := q.Words()
	if err != nil {
		return systemctl.Answer{}, false, fail(CommandFailed, "%w", err)
	}
	if c.stream == nil {
		c.stream = c.openStream()
	}
	began := time.Now()
	text, err := c.stream.ask(ctx, q.Nonce, words, limit)
	if err == nil {
		defer c.pool.answers.done(text)
		if answer, err = q.Parse(text, nil); err == nil {
			c.streamFailures = 0
			return answer, true, nil
		}
		c.stream.leave()
	}
	c.stream = nil
	c.streamFailed = true
	c.streamFailures++
	switch {
	case errors.Is(err, errLate):
		return systemctl.Answer{}, false, explainExec(err, since(began))
	case errors.Is(err, errLost), errors.Is(err, errFlood):
		l.drop()
		return systemctl.Answer{}, false, explainExec(err, since(began))
	}
	return systemctl.Answer{}, false, nil
}

// endStream ends the stream that there may be, waits for that until ctx ends, and reports whether there was one that has ended.
func (c *conn) endStream(ctx context.Context) bool {
	st := c.stream
	if st == nil {
		return false
	}
	c.stream = nil
	st.leave()
	select {
	case <-st.session.ended:
		return true
	case <-ctx.Done():
		return false
	}
}

package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// A Writer writes messages as JSON lines, {"routing_key": …, "body": {…}}, instead of sending them.
type Writer struct {
	w io.Writer
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w}
}

// Run writes what src holds, one write per line, and settles it as Confirmed, until ctx ends (nil) or a write fails, for instance with
// EPIPE when the reader of a pipe has gone. A write that blocks is not interrupted.
func (w *Writer) Run(ctx context.Context, src Source) error {
	var line []byte
	for ctx.Err() == nil {
		m, ok := src.Take()
		if !ok {
			select {
			case <-ctx.Done():
			case <-src.Ready():
			}
			continue
		}
		line = AppendLine(line[:0], m.Key, m.Body)
		if _, err := w.w.Write(line); err != nil {
			src.Settle(m, Lost)
			return fmt.Errorf("writing the message of host %q: %w", m.Host, err)
		}
		src.Settle(m, Confirmed)
	}
	return nil
}

// AppendLine appends a message as a Writer writes it: {"routing_key": …, "body": {…}} and a newline. The body is JSON on one line.
func AppendLine(line []byte, key string, body []byte) []byte {
	word, _ := json.Marshal(key) // It makes any string JSON.
	line = append(line, `{"routing_key":`...)
	line = append(line, word...)
	line = append(line, `,"body":`...)
	line = append(line, body...)
	return append(line, "}\n"...)
}

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
		key, err := json.Marshal(m.Key)
		if err != nil {
			src.Settle(m, Invalid)
			continue
		}
		line = append(line[:0], `{"routing_key":`...)
		line = append(line, key...)
		line = append(line, `,"body":`...)
		line = append(line, m.Body...)
		line = append(line, "}\n"...)
		if _, err := w.w.Write(line); err != nil {
			src.Settle(m, Lost)
			return fmt.Errorf("writing the message of host %q: %w", m.Host, err)
		}
		src.Settle(m, Confirmed)
	}
	return nil
}

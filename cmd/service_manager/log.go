package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// The log's keys, few and the same for the same thing everywhere (a test holds the tree against this list):
//
//	host, outcome, before, changes     a host of the inventory, how reading it ended, and how before; changes: how many hosts had each
//	collector, hosts, notice           the collector's name, how many hosts, and what of the inventory may surprise
//	broker, queue, of                  the broker's address without user and password, its queue, and which messages
//	event, seq, id                     a message
//	routing_key, routing_keys, keys    what the broker refuses or withholds, and how many such keys
//	events, suspects, bytes            how many messages, and how large
//	err, why, reason                   an error; what it comes of; the broker's words
//	path, set_aside                    the state file, and what it was renamed to
//	since, since_start, dropped_after  for how long, how many since the start, and after how long
//	lines, not_logged                  how much the log leaves out
//	interval, stretched_to, took       how often a host is polled, how often instead, and how long its poll took
//	added, changed, removed            how many hosts a reload has to do with
//	broker_changed, key                whether it exchanged the broker, and a key of the inventory that it does not put into effect
//	address, pprof, request, stack     of the HTTP server
//
// Nothing secret is ever a value. The libraries of AMQP, bbolt and SSH log nothing of their own.

// priority is the prefix of sd-daemon(3) that tells the journal how grave a line is.
func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// logger makes the log that the flags ask for, from the given level on.
func (a *app) logger(level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if a.verbose {
		options.Level = slog.LevelDebug
	}
	if a.journal {
		return slog.New(newJournalHandler(a.stderr, options, a.logFormat == "json"))
	}
	if a.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, options))
	}
	return slog.New(slog.NewTextHandler(a.stderr, options))
}

// runLog is the logger of run, which waits for no one who reads it.
func (a *app) runLog() *slog.Logger {
	var log *slog.Logger
	a.log = newLogQueue(a.stderr, func(lines int) {
		log.Warn("lines of the log were dropped, as no one read them", slog.Int("lines", lines))
	})
	a.stderr = a.log
	log = a.logger(slog.LevelInfo)
	return log
}

// A journalHandler logs lines for the systemd journal: each begins with its priority, which the journal takes off, and has no time, which
// the journal knows. Text has no level either. JSON keeps it, for whoever parses the message and does not look at the journal's fields.
// A value with line breaks is quoted by the handlers of slog, so that one record is one line.
type journalHandler struct {
	slog.Handler

	out *prefixed
}

func newJournalHandler(w io.Writer, options *slog.HandlerOptions, json bool) journalHandler {
	out := &prefixed{w: w}
	if json {
		return journalHandler{slog.NewJSONHandler(out, options), out}
	}
	text := *options
	text.ReplaceAttr = func(_ []string, attr slog.Attr) slog.Attr {
		if _, ok := attr.Value.Any().(slog.Level); ok && attr.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return attr
	}
	return journalHandler{slog.NewTextHandler(out, &text), out}
}

// Handle implements [slog.Handler].
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.prefix = priority(r.Level)
	r.Time = time.Time{} // Which is not written.
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return journalHandler{h.Handler.WithAttrs(attrs), h.out}
}

// WithGroup implements [slog.Handler].
func (h journalHandler) WithGroup(name string) slog.Handler {
	return journalHandler{h.Handler.WithGroup(name), h.out}
}

// A prefixed writer puts the prefix of the record that is being handled before its line. Who handles one holds mu.
type prefixed struct {
	w io.Writer

	mu     sync.Mutex
	prefix string
}

// Write is called once for each record, as the handlers of slog promise.
func (p *prefixed) Write(line []byte) (int, error) {
	if _, err := io.WriteString(p.w, p.prefix+string(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// complaint makes an error's text what stderr wants: in the journal each line is an error.
func (a *app) complaint(text string) string {
	text = strings.TrimSuffix(text, "\n")
	if a.journal {
		text = priority(slog.LevelError) + strings.ReplaceAll(text, "\n", "\n"+priority(slog.LevelError))
	}
	return text + "\n"
}

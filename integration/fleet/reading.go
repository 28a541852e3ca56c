package fleet

import (
	"context"
	"io"
	"time"

	"service_manager/hosts/journalctl"
)

// followEvery is how often a journal that is followed is looked at.
const followEvery = 500 * time.Millisecond

// noRights is what journalctl prints for an account that is in none of the groups (src/shared/logs-show.c, src/journal/journalctl-util.c).
const noRights = `Hint: You are currently not seeing messages from other users and the system.
      Users in groups 'adm', 'systemd-journal' can see all messages.
      Pass -q to turn off this notice.
No journal files were opened due to insufficient permissions.
`

// readJournal prints what q asks for, and with Follow what comes, until the client ends standard input, as it does when it is gone.
func (s *station) readJournal(ctx context.Context, q journalctl.Query, stdin io.Reader, stdout, stderr io.Writer) int {
	if s.host.mute {
		_, _ = io.WriteString(stderr, noRights) // The client may be gone.
		return 1
	}
	if _, err := io.WriteString(stdout, q.Begin()); err != nil {
		return -1
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.fleet.returning.Go(func() {
		_, _ = io.Copy(io.Discard, stdin) // However it ends.
		stop()
	})
	r := reading{station: s, query: q, out: stdout}
	if !r.past(ctx) {
		return -1
	}
	if !q.Follow {
		return 0
	}
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return -1
		case <-ticker.C:
			if !r.pass(ctx, func(now int64) []journalctl.Entry { return s.host.journal(q, r.next, now) }) {
				return -1
			}
		}
	}
}

// A reading of a journal has come up to, but not including, a moment.
type reading struct {
	station *station
	query   journalctl.Query
	out     io.Writer
	next    int64
	buffer  []byte
}

// pass prints what entries returns of the host as it is now, and goes on to that moment. It reports false where the reading has ended.
func (r *reading) pass(ctx context.Context, entries func(now int64) []journalctl.Entry) bool {
	var all []journalctl.Entry
	answered := r.station.await(ctx, func(now time.Time) {
		until := now.UnixMicro()
		all = entries(until)
		r.next = max(r.next, until)
	})
	if !answered {
		return false
	}
	r.buffer = r.buffer[:0]
	for _, e := range all {
		r.buffer = e.Append(r.buffer)
	}
	if len(all) == 0 {
		return true
	}
	_, err := r.out.Write(r.buffer)
	return err == nil
}

// past prints what there is already.
func (r *reading) past(ctx context.Context) bool {
	q, from := r.query, int64(0)
	if !q.Since.IsZero() && q.After == "" {
		from = q.Since.UnixMicro()
	}
	if q.After != "" {
		from = parseCursor(q.After).at
	}
	upTo := func(now int64) int64 {
		if q.Until.IsZero() {
			return now
		}
		return min(now, q.Until.UnixMicro()+1)
	}
	if q.Lines >= 0 {
		return r.pass(ctx, func(now int64) []journalctl.Entry { return r.station.host.newest(q, q.Lines, from, upTo(now)) })
	}
	for more := true; more; { // Bit by bit, since it may be long.
		const bit = 10 * time.Minute
		ok := r.pass(ctx, func(now int64) []journalctl.Entry {
			begin, end := from, upTo(now)
			if from = max(begin, r.station.host.begin()) + bit.Microseconds(); from < end {
				end = from
			} else {
				more = false
			}
			return r.station.host.journal(q, begin, end)
		})
		if !ok {
			return false
		}
	}
	return true
}

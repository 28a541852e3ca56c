package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"service_manager/hosts"
	"service_manager/hosts/journalctl"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// defaultLines is how many lines of each host are shown unless someone asks for more, be it by a time.
const defaultLines = 10

// logsFlags are the flags of logs.
type logsFlags struct {
	all, follow            bool
	lines                  string // a number or "all"; empty: as fits
	since, until, priority string
	format                 string
	timeout                time.Duration
}

func (a *app) logsCommand() *cobra.Command {
	var flags logsFlags
	cmd := &cobra.Command{
		Use:        "logs [flags] UNIT SELECTOR…|--all",
		Short:      "Show the log of a unit on hosts, merged by time",
		SuggestFor: []string{"journal", "journalctl"},
		Long: `Logs reads the journal of a unit on the selected hosts and prints its lines oldest first, with the
host in front: the last 10 of each host, or all since --since. With -f those that come follow, until
Ctrl-C; a host that was away has what it logged meanwhile shown late. Nothing is left running on the hosts.

.service is implied, and the unit need not be watched by the inventory. It may be a glob, for which
each line says the unit.

A selector is a host name, with ranges and lists as in the inventory, a glob, @group or label=value.
Without one, --all is wanted.

Times are yours, whatever the zone of the host: 10:00, "2026-11-26 10:00", 2h30m (ago), 3d, today,
yesterday, RFC 3339. They are compared with the clock of the host. -p is as for journalctl: a priority
and all graver ones, or a range. -o json prints an object per line, cat only the message, behind the
host if there are several.

On a host the account reads what journalctl shows it. Where that is nothing, it has to be in the group
systemd-journal, and what to run is printed.

Exit codes: 0 all journals were read, with -f until Ctrl-C; 2 one could not be read; 3 usage or
inventory error; 5 trouble with stdout.`,
		Example: `  service_manager logs nginx @web
  service_manager logs -f nginx @web
  service_manager logs -p err --since 2h mount_controller --all
  service_manager logs --since 10:00 --until 10:05 'worker@*' 'worker-[01-20]'
  service_manager logs -n all -o json nginx web-01 | jq -r .message`,
		ValidArgsFunction: a.completeOperation,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return failed(exitUsage, errors.New("logs wants a unit, then hosts, as in: service_manager logs nginx.service @web"))
			}
			return a.unlessSwapped(a.logs(cmd.Context(), args[0], args[1:], flags), cmd, args)
		},
	}
	cmd.Flags().BoolVar(&flags.all, "all", false, "of all hosts of the inventory")
	cmd.Flags().BoolVarP(&flags.follow, "follow", "f", false, "go on with the lines to come")
	cmd.Flags().StringVarP(&flags.lines, "lines", "n", "", "the last `N` lines of each host, or all (default 10; with --since all)")
	cmd.Flags().StringVar(&flags.since, "since", "", "only lines from this `TIME` on")
	cmd.Flags().StringVar(&flags.until, "until", "", "only lines up to this `TIME`")
	cmd.Flags().StringVarP(&flags.priority, "priority", "p", "", "only lines of this `PRIORITY` or graver, such as warning; or a range: err..notice")
	cmd.Flags().StringVarP(&flags.format, "output", "o", "short", "short, json or cat")
	cmd.Flags().DurationVar(&flags.timeout, "timeout", 30*time.Second, "how long a host may take for its next line, without -f")
	offerWords(cmd, "output", "short", "json", "cat")
	offerWords(cmd, "priority", journalctl.Priorities()...)
	offerWords(cmd, "lines", "all")
	offerWords(cmd, "since", "today", "yesterday", "10m", "1h", "1d")
	return cmd
}

func (a *app) logs(ctx context.Context, unit string, selectors []string, flags logsFlags) error {
	query, err := logsQuery(unit, selectors, flags, time.Now())
	if err != nil {
		return failed(exitUsage, err)
	}
	inv, selected, err := a.loadHosts(selectors)
	if err != nil {
		return err
	}
	a.tellNotices(inv)
	ssh := hosts.New(hosts.Config{Trust: a.howToTrust()})
	defer ssh.Close()
	r := &logReader{
		pool: ssh, limits: inv.Collector, query: query, silence: flags.timeout, began: time.Now(),
	}
	for _, h := range selected {
		r.hosts = append(r.hosts, &logHost{host: h})
	}
	out := newLogWriter(a.stdout, flags.format, selected, query)
	if query.Follow {
		err = a.followLogs(ctx, r, out)
	} else {
		err = a.readLogs(ctx, r, out)
	}
	if err != nil {
		return err
	}
	return a.concludeLogs(r, out, unit, ctx.Err() != nil)
}

// logsQuery checks the command line before anything is read for it.
func logsQuery(unit string, selectors []string, flags logsFlags, now time.Time) (journalctl.Query, error) {
	q := journalctl.Query{Follow: flags.follow}
	var err error
	switch {
	case !slices.Contains([]string{"short", "json", "jsonl", "cat"}, flags.format):
		return q, fmt.Errorf("-o %q: write short, json or cat", flags.format)
	case len(selectors) == 0 && !flags.all:
		return q, fmt.Errorf("of which hosts? Write selectors behind the unit, or --all, as in: service_manager logs %s @web", shellWord(unit))
	case len(selectors) > 0 && flags.all:
		return q, errors.New("--all and selectors: write one of them")
	case flags.follow && flags.until != "":
		return q, errors.New("-f and --until: what is followed has no end; write one of them")
	case flags.timeout <= 0:
		return q, errors.New("--timeout: write a duration above 0, such as 30s")
	}
	if q.Unit, err = logsUnit(unit); err != nil {
		return q, fmt.Errorf("%w; the unit comes first, then the hosts", err)
	}
	if q.Lines, err = logsLines(flags); err != nil {
		return q, err
	}
	if flags.since != "" {
		if q.Since, err = parseMoment(flags.since, now); err != nil {
			return q, fmt.Errorf("--since %w", err)
		}
	}
	if flags.until != "" {
		if q.Until, err = parseMoment(flags.until, now); err != nil {
			return q, fmt.Errorf("--until %w", err)
		}
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && q.Until.Before(q.Since) {
		return q, fmt.Errorf("--until %s is before --since %s", q.Until.Format(time.DateTime), q.Since.Format(time.DateTime))
	}
	if flags.priority != "" {
		if q.Priority, err = journalctl.ParsePriority(flags.priority); err != nil {
			return q, fmt.Errorf("-p: %w", err)
		}
	}
	return q, nil
}

func logsUnit(unit string) (string, error) {
	if inventory.IsGlob(unit) {
		return unit, systemctl.CheckGlob(unit)
	}
	full, err := inventory.UnitName(unit)
	if err != nil {
		return "", err
	}
	return full, systemctl.CheckUnitName(full)
}

func logsLines(flags logsFlags) (int, error) {
	switch {
	case flags.lines == "all", flags.lines == "" && flags.since != "":
		return journalctl.All, nil
	case flags.lines == "":
		return defaultLines, nil
	}
	n, err := strconv.Atoi(flags.lines)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("-n %q: write a number of lines, or all", flags.lines)
	}
	return n, nil
}

// readLogs prints what the journals hold.
func (a *app) readLogs(ctx context.Context, r *logReader, out *logWriter) error {
	bar := newProgress(a.stderr, r.names())
	sources := make([]logSource, len(r.hosts))
	for i, h := range r.hosts {
		sources[i] = make(logSource, logBacklog)
		h.deliver = sources[i].put
		h.seen = func(trouble bool) { bar.step(h.host.Name, trouble) }
		h.ended = func() { close(sources[i]) }
	}
	return a.printLogs(ctx, r, func(context.Context) error { // It ends with its sources.
		return mergeEnded(ctx, sources, out, sync.OnceFunc(bar.end))
	})
}

// followLogs prints what the journals hold and will.
func (a *app) followLogs(ctx context.Context, r *logReader, out *logWriter) error {
	bar := newProgress(a.stderr, r.names())
	live := newLiveMerge()
	for _, h := range r.hosts {
		h.deliver = live.put
		h.seen = func(trouble bool) { bar.step(h.host.Name, trouble) }
	}
	var tell heldBack
	r.tell = func(host, text string) { tell.tell(a.stderr, host+": "+text) }
	r.begun = func() {
		bar.end()
		tell.open(a.stderr)
		live.begin()
	}
	return a.printLogs(ctx, r, func(ctx context.Context) error { return live.merge(ctx, out) })
}

// printLogs has the hosts read while show prints, until both have ended: the context of show ends with the reading, and that with show.
func (a *app) printLogs(ctx context.Context, r *logReader, show func(context.Context) error) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	showing, read := context.WithCancel(ctx)
	defer read()
	printed := make(chan error, 1)
	go func() {
		err := show(showing)
		stop()
		printed <- err
	}()
	r.run(reading)
	read()
	select {
	case err := <-printed:
		if err == nil || errors.Is(err, context.Canceled) {
			return nil
		}
		return failed(exitOwn, err)
	case <-lateAfter(ctx, senderEnds):
		// As in tail: a write to a pipe that no one reads cannot be interrupted.
		return failed(exitOwn, errors.New("stdout does not take the lines: what reads it has stopped reading"))
	}
}

// lateAfter is closed d after ctx has ended.
func lateAfter(ctx context.Context, d time.Duration) <-chan struct{} {
	late := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(d, func() { close(late) }) })
	return late
}

// concludeLogs tells which journals were not read and what to do about it.
func (a *app) concludeLogs(r *logReader, out *logWriter, unit string, interrupted bool) error {
	troubled := r.troubled()
	tellLogTroubles(a.stderr, troubled)
	switch {
	case interrupted && !r.query.Follow:
		return failed(exitHost, errors.New("interrupted: this is not all"))
	case len(troubled) > 0:
		return failed(exitHost, nil)
	case out.lines == 0 && !interrupted:
		fmt.Fprintf(a.stderr, "there is no such line of %s; does it run there? %s\n", printable(r.query.Unit),
			strings.TrimSpace("service_manager status -u "+shellWord(unit)+" "+a.selectorOf(nil)(r.names())))
	}
	return nil
}

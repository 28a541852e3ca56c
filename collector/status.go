package collector

import (
	"time"

	"github.com/google/uuid"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/publish"
)

// status makes the message of w's last poll, or one that says again what is known. What the host has not told is null in it.
func (c *Collector) status(w *watch, a account) publish.Status {
	s := publish.Status{
		Schema:          publish.Schema,
		Type:            publish.KindStatus,
		ID:              uuid.Must(uuid.NewV7()).String(),
		Collector:       c.config.Name,
		Epoch:           c.config.Epoch,
		Host:            hostRef(w.host),
		Time:            publish.Time{Time: a.ended},
		IntervalSeconds: a.interval.Seconds(),
		Outcome:         string(w.outcome),
		Units:           []publish.Unit{},
		Poll: publish.Poll{
			DurationMS: milliseconds(a.worked), DialMS: milliseconds(a.dialled), QueuedMS: milliseconds(a.queued),
		},
	}
	if w.err != nil {
		s.Error = new(w.trouble(a.next))
	}
	if w.lastAt.IsZero() {
		return s
	}
	if w.err != nil {
		s.StaleSince = &publish.Time{Time: w.lastAt}
	}
	s.System = w.system
	s.Units = units(w.last.Units)
	return s
}

// system is what a host said of itself. It is kept for longer than the snapshot, of which it holds nothing.
func system(s *hosts.Snapshot) *publish.System {
	words := struct{ state, systemd, bootID string }{s.Manager.State, s.Manager.Version, s.BootID}
	return &publish.System{
		State:       known(&words.state),
		Systemd:     known(&words.systemd),
		FailedUnits: s.Manager.FailedUnits,
		QueuedJobs:  s.Manager.QueuedJobs,
		BootID:      known(&words.bootID),
	}
}

// units are those that a host showed, as they stand in a status. They share what does not change.
func units(shown []systemctl.Unit) []publish.Unit {
	all := make([]publish.Unit, len(shown))
	moments := make(moments, 0, len(shown)) // Most units have one.
	for i := range shown {
		all[i] = unit(&shown[i], &moments)
	}
	return all
}

func unit(u *systemctl.Unit, moments *moments) publish.Unit {
	return publish.Unit{
		Name:             u.Name,
		RequestedAs:      known(&u.RequestedAs),
		Description:      known(&u.Description),
		LoadState:        u.LoadState,
		ActiveState:      u.ActiveState,
		SubState:         u.SubState,
		UnitFileState:    known(&u.UnitFileState),
		Result:           known(&u.Result),
		Since:            moments.of(u.Since),
		InvocationID:     known(&u.InvocationID),
		Restarts:         u.Restarts,
		MainPID:          u.MainPID,
		ExitCode:         known(&u.ExitCode),
		ExitStatus:       u.ExitStatus,
		MemoryBytes:      u.MemoryBytes,
		CPUSeconds:       u.CPUSeconds,
		Tasks:            u.Tasks,
		StatusText:       known(&u.StatusText),
		NeedDaemonReload: u.NeedDaemonReload,
		NextElapse:       moments.of(u.NextElapse),
		LastTrigger:      moments.of(u.LastTrigger),
	}
}

// known is nil for a word that the host does not have.
func known(word *string) *string {
	if *word == "" {
		return nil
	}
	return word
}

// moments are points in time of a status, many of them in one piece of memory.
type moments []publish.HostTime

func (m *moments) of(t *time.Time) *publish.HostTime {
	if t == nil {
		return nil
	}
	*m = append(*m, publish.HostTime{Time: *t}) // Where that takes new memory, what is in the old one stays there.
	return &(*m)[len(*m)-1]
}

// milliseconds rounds to microseconds, which is more than these figures mean.
func milliseconds(d time.Duration) float64 {
	return float64(max(d, 0).Microseconds()) / 1000
}

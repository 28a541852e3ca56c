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
	s.System = system(w.last)
	for _, u := range w.last.Units {
		s.Units = append(s.Units, unit(u))
	}
	return s
}

func system(s hosts.Snapshot) *publish.System {
	return &publish.System{
		State:       known(s.Manager.State),
		Systemd:     known(s.Manager.Version),
		FailedUnits: s.Manager.FailedUnits,
		QueuedJobs:  s.Manager.QueuedJobs,
		BootID:      known(s.BootID),
	}
}

func unit(u systemctl.Unit) publish.Unit {
	return publish.Unit{
		Name:             u.Name,
		RequestedAs:      known(u.RequestedAs),
		Description:      known(u.Description),
		LoadState:        u.LoadState,
		ActiveState:      u.ActiveState,
		SubState:         u.SubState,
		UnitFileState:    known(u.UnitFileState),
		Result:           known(u.Result),
		Since:            hostTime(u.Since),
		InvocationID:     known(u.InvocationID),
		Restarts:         u.Restarts,
		MainPID:          u.MainPID,
		ExitCode:         known(u.ExitCode),
		ExitStatus:       u.ExitStatus,
		MemoryBytes:      u.MemoryBytes,
		CPUSeconds:       u.CPUSeconds,
		Tasks:            u.Tasks,
		StatusText:       known(u.StatusText),
		NeedDaemonReload: u.NeedDaemonReload,
		NextElapse:       hostTime(u.NextElapse),
		LastTrigger:      hostTime(u.LastTrigger),
	}
}

// known is nil for a word that the host does not have.
func known(word string) *string {
	if word == "" {
		return nil
	}
	return &word
}

func hostTime(t *time.Time) *publish.HostTime {
	if t == nil {
		return nil
	}
	return &publish.HostTime{Time: *t}
}

// milliseconds rounds to microseconds, which is more than these figures mean.
func milliseconds(d time.Duration) float64 {
	return float64(max(d, 0).Microseconds()) / 1000
}

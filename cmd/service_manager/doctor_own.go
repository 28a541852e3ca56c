package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"service_manager/hosts"
)

// collector looks at this machine: the files that it needs, the open files that it may have, and its clock.
func (e examination) collector(ctx context.Context, ssh *hosts.Pool, reports []hosts.Report) patient {
	var findings []finding
	for _, f := range ssh.ExamineFiles(ctx, e.hosts) {
		findings = append(findings, finding(f))
	}
	if limit, ok := openFiles(); ok {
		findings = append(findings, e.fileLimit(limit))
	}
	if f, off := ownClock(reports); off {
		findings = append(findings, f)
	}
	return newPatient(aboutCollector, aboutCollector, findings)
}

// fileLimit compares the limit of open files with what run needs: one for each host that is not behind a jump host, and some.
func (e examination) fileLimit(limit uint64) finding {
	need := uint64(64)
	for _, h := range e.inventory.Hosts {
		if h.Via == nil {
			need++
		}
	}
	f := finding{Step: "open files", Detail: fmt.Sprintf("%d may be open, %d are needed", limit, need)}
	if limit < need {
		f.Code, f.Severity, f.Problem = "few_open_files", hosts.SeverityWarning, "too few files may be open for a connection to each host"
		f.Why = "the hosts beyond the limit cannot be connected to"
		f.Remedy = fmt.Sprintf("LimitNOFILE=%d in the unit of run, or ulimit -n %d before it", max(need*2, 65536), max(need*2, 65536))
	}
	return f
}

// ownClock suspects our clock where most hosts agree that it is wrong.
func ownClock(reports []hosts.Report) (finding, bool) {
	const (
		enough = 3
		large  = 2 * time.Second
	)
	var offsets []time.Duration
	for _, r := range reports {
		if r.ClockOffset != nil {
			offsets = append(offsets, *r.ClockOffset)
		}
	}
	if len(offsets) < enough {
		return finding{}, false
	}
	slices.Sort(offsets)
	median := offsets[len(offsets)/2]
	if median.Abs() <= large {
		return finding{}, false
	}
	return finding{
		Step: "clock", Code: "own_clock", Severity: hosts.SeverityWarning,
		Detail:  fmt.Sprintf("most hosts' clocks differ from ours by about %v", median.Round(100*time.Millisecond)),
		Problem: "this machine's own clock seems to be wrong",
		Why:     "all times in messages but the hosts' own are by it",
		Remedy:  "timedatectl; sudo timedatectl set-ntp true",
	}, true
}

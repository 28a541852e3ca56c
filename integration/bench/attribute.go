package bench

import (
	"errors"
	"strings"

	"github.com/google/pprof/profile"
)

// A share is a part of the work and whose functions do it.
type share struct {
	name      string
	functions []string // What their names begin with.
}

// The parts that no function of ours is on the stack of.
const (
	shareGC      = "garbage collection"
	shareRuntime = "Go scheduler"
	shareOther   = "all else"
)

// shares are the parts of a poll. The first that fits counts.
func shares() []share {
	const ours = "service_manager/"
	return []share{
		{"parse", []string{ours + "hosts/systemctl."}},
		{"SSH", []string{ours + "hosts.", ours + "hosts/knownhosts.", "golang.org/x/crypto/ssh"}},
		{"compare", []string{ours + "collector/change.", ours + "collector.(*schedule).observation"}},
		{"encode", []string{
			"encoding/json.", ours + "publish.Status.", ours + "publish.(*Status).", ours + "publish.Event.", ours + "publish.(*Event).",
			ours + "collector.(*Collector).status", ours + "collector.unit", ours + "collector.system",
		}},
		{"commit", []string{ours + "collector/outbox.", "go.etcd.io/bbolt"}},
		{"publish", []string{ours + "publish.", "github.com/rabbitmq/amqp091-go"}},
		{"schedule", []string{ours + "collector."}},
		{"observe, HTTP", []string{ours + "cmd/service_manager", "net/http", "main.", "runtime/pprof"}},
		{shareGC, []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge"}},
		{shareRuntime, []string{"runtime."}},
		{shareOther, nil},
	}
}

// attribute splits a CPU profile: it returns which fraction of the time went into each part. A sample belongs to the innermost function on
// its stack that is of some part, so that what the libraries and the runtime do, allocation included, counts for whom they do it. What
// no one asked for is the runtime's own.
func attribute(p *profile.Profile) (map[string]float64, error) {
	at := -1
	for i, t := range p.SampleType {
		if t.Type == "cpu" {
			at = i
		}
	}
	if at < 0 {
		return nil, errors.New("the profile has no CPU time")
	}
	all := shares()
	times, total := map[string]float64{}, 0.0
	for _, s := range p.Sample {
		v := float64(s.Value[at])
		times[part(all, s)] += v
		total += v
	}
	for name := range times { // Of which there is none where there was nothing to sample.
		times[name] /= total
	}
	return times, nil
}

// part is what the sample belongs to. What is in the runtime alone is the last resort.
func part(all []share, s *profile.Sample) string {
	resort := shareOther
	for _, location := range s.Location { // Innermost first.
		for _, line := range location.Line { // Likewise: what was inlined comes before what it is in.
			if line.Function == nil {
				continue
			}
			switch found := owner(all, line.Function.Name); found {
			case shareOther:
			case shareRuntime:
				resort = shareRuntime
			default:
				return found
			}
		}
	}
	return resort
}

// owner is the part that a function belongs to.
func owner(all []share, function string) string {
	for _, s := range all {
		for _, prefix := range s.functions {
			if strings.HasPrefix(function, prefix) {
				return s.name
			}
		}
	}
	return shareOther
}

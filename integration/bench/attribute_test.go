package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"
)

// sample is one with a stack, innermost function first.
func sample(nanoseconds int64, stack ...string) *profile.Sample {
	s := &profile.Sample{Value: []int64{1, nanoseconds}}
	for _, name := range stack {
		s.Location = append(s.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: name}}}})
	}
	return s
}

func TestAttribute(t *testing.T) {
	const poll = "service_manager/collector.(*schedule).start.func1"
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Sample: []*profile.Sample{
			sample(10, "runtime.mallocgc", "service_manager/hosts/systemctl.Query.Parse", "service_manager/hosts.(*link).ask", poll),
			sample(20, "internal/runtime/syscall.Syscall6", "golang.org/x/crypto/ssh.(*mux).loop"),
			sample(5, "crypto/sha256.Sum", "service_manager/hosts.(*Pool).Poll", poll),
			sample(8, "runtime.memmove", "service_manager/collector/change.(*Baseline).Compare", poll),
			sample(12, "encoding/json.Marshal", "service_manager/publish.Status.Message", "service_manager/collector/outbox.(*Outbox).Take"),
			sample(15, "go.etcd.io/bbolt.(*Tx).Commit", "service_manager/collector/outbox.(*Outbox).write"),
			sample(14, "github.com/rabbitmq/amqp091-go.(*Channel).Publish", "service_manager/publish.(*session).send"),
			sample(3, "runtime.selectgo", poll),
			sample(6, "runtime.scanobject", "runtime.gcBgMarkWorker"),
			sample(4, "runtime.findRunnable", "runtime.schedule"),
			sample(2, "os.ReadFile"),
			sample(1),
		},
	}
	got, err := attribute(p)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"parse": 0.1, "SSH": 0.25, "compare": 0.08, "encode": 0.12, "commit": 0.15, "publish": 0.14, "schedule": 0.03,
		"garbage collection": 0.06, "Go scheduler": 0.04, "all else": 0.03,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("parts (-want +got):\n" + diff)
	}
	if _, err := attribute(&profile.Profile{SampleType: p.SampleType[:1]}); err == nil {
		t.Error("a profile without CPU time was split")
	}
	if got, err := attribute(&profile.Profile{SampleType: p.SampleType}); err != nil || len(got) > 0 {
		t.Errorf("a profile without samples: %v, %v", got, err)
	}
}

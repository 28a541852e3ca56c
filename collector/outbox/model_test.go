package outbox_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// TestModel plays random histories of commits, fates, pauses, crashes and orderly ends, and compares with what a consumer may expect: of
// each host every event once and in order, or a gap that tells of it.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &model{Rand: rand.New(rand.NewPCG(seed, 1)), t: t, hosts: map[string]*modelHost{}, config: onDisk(t)}
				m.config.UnroutableFor = time.Minute
				m.config.MaxMessages = 40
				m.box = open(t, m.config)
				for range 300 {
					m.step()
				}
				m.finish()
			})
		})
	}
}

type model struct {
	*rand.Rand

	t        *testing.T
	config   outbox.Config
	box      *outbox.Outbox
	hosts    map[string]*modelHost
	inFlight []publish.Message
	commits  int
	events   int
}

type modelHost struct {
	state     string
	committed []string        // Units: each event has one of its own.
	arrived   map[string]bool // Those that were confirmed.
	seqs      map[uint64]bool // True for those that were confirmed, false for those that only a gap tells of.
	greatest  uint64          // Seq confirmed.
	last      uint64          // The same, of those that must not come again.
	deleted   uint64          // The same, when the file had surely forgotten it.
	flying    bool
}

func (m *model) host(name string) *modelHost {
	h := m.hosts[name]
	if h == nil {
		h = &modelHost{arrived: map[string]bool{}, seqs: map[uint64]bool{}}
		m.hosts[name] = h
	}
	return h
}

func (m *model) step() {
	switch n := m.IntN(100); {
	case n < 30:
		m.commit(fmt.Sprint("host-", m.IntN(6)))
	case n < 55:
		m.take()
	case n < 80:
		m.settle(m.fate())
	case n < 95:
		m.sleep(time.Duration(m.IntN(4000)) * time.Millisecond)
	case n < 97:
		m.end()
	default:
		m.crash()
	}
}

func (m *model) fate() publish.Fate {
	fates := []publish.Fate{
		publish.Confirmed, publish.Confirmed, publish.Confirmed, publish.Lost, publish.Refused, publish.Unroutable, publish.Rejected,
	}
	return fates[m.IntN(len(fates))]
}

// sleep gives deletions, probes and so on their time.
func (m *model) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	if d >= 100*time.Millisecond {
		for _, h := range m.hosts {
			h.deleted = h.last
		}
	}
}

func (m *model) commit(name string) {
	m.commits++
	h, events := m.host(name), changes(name, m.IntN(4))
	units := make([]string, len(events))
	for i := range events {
		m.events++
		units[i] = fmt.Sprintf("%d.service", m.events)
		events[i].Unit = &units[i]
		events[i].Host.Group = fmt.Sprint("group-", m.IntN(2))
	}
	state := fmt.Sprint("state ", m.commits)
	stored := []byte(state)
	if m.IntN(10) == 0 {
		state, stored = "", nil // It is removed.
	}
	err := m.box.Commit(name, stored, events)
	switch {
	case err == nil:
		h.state = state
		h.committed = append(h.committed, units...)
	case !errors.Is(err, outbox.ErrFull) || !m.box.Stats().Full || m.box.Len() < m.config.MaxMessages-4:
		m.t.Fatalf("with %d messages: %v", m.box.Len(), err)
	}
}

// take checks what is handed out against all that was.
func (m *model) take() bool {
	msg, ok := m.box.Take()
	if !ok {
		return false
	}
	h := m.host(msg.Host)
	if h.flying {
		m.t.Fatalf("%s while another one is in flight", name(msg))
	}
	if msg.Seq <= h.last {
		m.t.Fatalf("%s again, though #%d was confirmed", name(msg), h.last)
	}
	h.flying = true
	m.inFlight = append(m.inFlight, msg)
	return true
}

func (m *model) settle(f publish.Fate) {
	if len(m.inFlight) == 0 {
		return
	}
	i := m.IntN(len(m.inFlight))
	msg := m.inFlight[i]
	m.inFlight = slices.Delete(m.inFlight, i, i+1)
	h := m.host(msg.Host)
	h.flying = false
	if f == publish.Confirmed {
		m.arrive(h, msg)
	}
	m.box.Settle(msg, f)
}

func (m *model) arrive(h *modelHost, msg publish.Message) {
	h.last = msg.Seq
	h.greatest = max(h.greatest, msg.Seq)
	h.seqs[msg.Seq] = true
	if msg.Event != publish.Gap {
		h.arrived[msg.Unit] = true
		return
	}
	gap := decode[publish.Event](m.t, msg).Gap
	if gap.FirstSeq == nil {
		return
	}
	for seq := *gap.FirstSeq; seq <= *gap.LastSeq; seq++ {
		if !h.seqs[seq] {
			h.seqs[seq] = false
		}
	}
}

// end ends in order: nothing that was confirmed comes again.
func (m *model) end() {
	for len(m.inFlight) > 0 {
		m.settle(publish.Lost)
	}
	closeBox(m.t, m.box)
	m.open(m.config.Path)
}

// crash goes on with a copy of the file. What was confirmed since the last transaction may come again.
func (m *model) crash() {
	synctest.Wait()
	file, err := os.ReadFile(m.config.Path)
	if err != nil {
		m.t.Fatal(err)
	}
	path := filepath.Join(m.t.TempDir(), "state.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		m.t.Fatal(err)
	}
	closeBox(m.t, m.box)
	for _, h := range m.hosts {
		h.last, h.flying = h.deleted, false
	}
	m.inFlight = nil
	m.open(path)
}

// open opens a file, and compares the states that it has.
func (m *model) open(path string) {
	epoch := m.box.Epoch()
	m.config.Path = path
	m.box = open(m.t, m.config)
	if m.box.Epoch() != epoch {
		m.t.Fatal("a new epoch")
	}
	want := map[string]string{}
	for name, h := range m.hosts {
		if h.state != "" {
			want[name] = h.state
		}
		h.deleted = h.last
	}
	got := map[string]string{}
	for host, state := range m.box.States() {
		got[host] = string(state)
	}
	if !maps.Equal(want, got) {
		m.t.Fatalf("states %v, want %v", got, want)
	}
}

// finish lets the broker take everything, and counts.
func (m *model) finish() {
	for range 3 { // Gaps follow.
		for m.box.Len() > 0 {
			if !m.take() && len(m.inFlight) == 0 {
				m.sleep(time.Second)
			}
			m.settle(publish.Confirmed)
		}
		m.sleep(time.Second)
	}
	for name, h := range m.hosts {
		missing := 0
		for _, unit := range h.committed {
			if !h.arrived[unit] {
				missing++
			}
		}
		told := 0
		for seq := uint64(1); seq <= h.greatest; seq++ {
			arrived, known := h.seqs[seq]
			if !known {
				m.t.Errorf("%s#%d is missing, and no gap tells of it", name, seq)
			}
			if !arrived {
				told++
			}
		}
		if len(h.arrived)+missing != len(h.committed) || missing > told {
			m.t.Errorf("%s: of %d events %d arrived and %d are missing; gaps tell of %d", name, len(h.committed), len(h.arrived), missing, told)
		}
	}
	if s := m.box.Stats(); s.Events != 0 || s.Bytes != 0 || s.Parked != 0 || s.InFlight != 0 {
		m.t.Errorf("at the end: %+v", s)
	}
}

package publish

import (
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A pile is a Source of small messages, one per host name, that remembers their fates.
type pile struct {
	ready chan struct{}

	mu      sync.Mutex
	cond    *sync.Cond
	waiting []Message
	fates   []string // "host fate", in the order told.
}

func newPile(hosts ...string) *pile {
	s := &pile{ready: make(chan struct{}, 1)}
	s.cond = sync.NewCond(&s.mu)
	s.put(hosts...)
	return s
}

func message(host string) Message {
	body, err := encode(map[string]string{"host": host})
	if err != nil {
		panic(err)
	}
	return Message{Key: RoutingKey(KindStatus, "web", host), ID: "id-" + host, Type: KindStatus, Host: host, Mandatory: true, Body: body}
}

// put lets them wait all at once: who takes from the pile finds none of them or all.
func (s *pile) put(hosts ...string) {
	mm := make([]Message, len(hosts))
	for i, h := range hosts {
		mm[i] = message(h)
	}
	s.putMessages(mm...)
}

func (s *pile) putMessages(mm ...Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, mm...)
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *pile) Ready() <-chan struct{} { return s.ready }

func (s *pile) Take() (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return Message{}, false
	}
	m := s.waiting[0]
	s.waiting = s.waiting[1:]
	return m, true
}

func (s *pile) Settle(m Message, f Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fates = append(s.fates, m.Host+" "+f.String())
	s.cond.Broadcast()
}

// told returns the fates told since the last call.
func (s *pile) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fates
	s.fates = nil
	return f
}

// await waits until n fates have been told.
func (s *pile) await(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.fates) < n {
		s.cond.Wait()
	}
}

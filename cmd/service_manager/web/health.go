package web

import (
	"errors"
	"fmt"
	"net/http"

	"service_manager/publish"
)

// healthz tells whether the program is alive, whatever there is around it.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	say(w, s.config.Alive())
}

// readyz tells whether it does what it is for.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	say(w, errors.Join(s.config.Alive(), s.hasHosts(), s.config.Latest.stalled(), s.reachesBroker()))
}

func (s *Server) hasHosts() error {
	if len(s.config.Latest.fleet.Load().records) == 0 {
		return errors.New("there are no hosts: the inventory has none, or is not loaded yet")
	}
	return nil
}

func (s *Server) reachesBroker() error {
	if s.config.Publisher == nil {
		return nil
	}
	switch stats := s.config.Publisher(); {
	case stats.Broker == "":
		return errors.New("there is no connection to a broker; events are kept in the state file")
	case stats.Blocked:
		return pausedBy(stats)
	}
	return nil
}

func pausedBy(stats publish.Stats) error {
	return fmt.Errorf("the broker %s takes no messages: it has an alarm of memory or disk", stats.Broker)
}

// say says ok, or what is wrong with a line for each reason.
func say(w http.ResponseWriter, wrong error) {
	if wrong != nil {
		http.Error(w, wrong.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

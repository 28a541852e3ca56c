package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"service_manager/publish"
)

// A choice is which hosts are asked for. An empty list is all.
type choice struct{ groups, outcomes []string }

func choiceOf(rawQuery string) (choice, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil { // What can be read of it would choose other hosts than are asked for.
		return choice{}, fmt.Errorf("parameters %q: %w", rawQuery, err)
	}
	for key := range query {
		if key != "group" && key != "outcome" {
			return choice{}, fmt.Errorf("unknown parameter %q: write group or outcome", key)
		}
	}
	c := choice{groups: query["group"], outcomes: query["outcome"]}
	known := append(outcomes(), pending)
	for _, outcome := range c.outcomes {
		if !slices.Contains(known, outcome) {
			return choice{}, fmt.Errorf("unknown outcome %q: write one of %s", outcome, strings.Join(known, ", "))
		}
	}
	return c, nil
}

func (c choice) has(r *record, outcome string) bool {
	return (len(c.groups) == 0 || slices.Contains(c.groups, r.group)) && (len(c.outcomes) == 0 || slices.Contains(c.outcomes, outcome))
}

// hosts tells of all hosts, or those chosen. It holds one status at a time in memory, and the encoded one.
func (s *Server) hosts(w http.ResponseWriter, r *http.Request) {
	chosen, err := choiceOf(r.URL.RawQuery)
	if err != nil {
		s.refuse(w, http.StatusBadRequest, err)
		return
	}
	records := s.config.Latest.fleet.Load().records
	waiting := []string{}
	for _, record := range records {
		if record.seen.Load() == nil && chosen.has(record, pending) {
			waiting = append(waiting, record.name)
		}
	}
	head, err := json.Marshal(map[string]any{"collector": s.config.Name, pending: waiting})
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// An error of out stays, and what it is later told is lost: the client has gone.
	out := bufio.NewWriterSize(w, 64<<10)
	_, _ = fmt.Fprintf(out, "%s,\"hosts\":[", head[:len(head)-1])
	separator := "\n"
	for _, record := range records {
		seen := record.seen.Load()
		if seen == nil || !chosen.has(record, seen.status.Outcome) {
			continue
		}
		m, err := s.message(seen)
		if err != nil {
			continue
		}
		_, _ = out.WriteString(separator)
		if _, err := out.Write(m.Body); err != nil {
			return
		}
		separator = ",\n"
	}
	_, _ = out.WriteString("\n]}\n")
	_ = out.Flush()
}

// host tells of one host.
func (s *Server) host(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	record := s.config.Latest.fleet.Load().byName[name]
	if record == nil {
		s.refuse(w, http.StatusNotFound, fmt.Errorf("there is no host %q", name))
		return
	}
	seen := record.seen.Load()
	if seen == nil {
		w.Header().Set("Retry-After", "1")
		s.refuse(w, http.StatusServiceUnavailable, fmt.Errorf("host %q has not been polled yet: ask again", name))
		return
	}
	m, err := s.message(seen)
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(m.Body, '\n')) // An error is that the client has gone.
}

// message is what would be published of a host now.
func (s *Server) message(seen *seen) (publish.Message, error) {
	status := seen.status
	status.EventSeq = s.config.Confirmed(status.Host.Name)
	m, err := status.Message()
	if err != nil {
		s.config.Log.Error("a status cannot be told", slog.String("host", status.Host.Name), slog.Any("err", err))
	}
	return m, err
}

// refuse answers with an error, as JSON.
func (s *Server) refuse(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // Likewise.
}

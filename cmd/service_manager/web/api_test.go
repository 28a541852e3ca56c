package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service_manager/publish"
)

// What is asked for is what was published, to the byte, with the event_seq that a status handed over now would have.
func TestHost(t *testing.T) {
	c := config("web-01", "web-02")
	c.Confirmed = func(host string) uint64 { return uint64(len(host)) }
	s := status("web-01", unit("<nginx>.service", "active"))
	c.Latest.Observe(s)
	h := handler(t, c)
	s.EventSeq = 6
	m, err := s.Message()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/api/v1/hosts/web-01": {http.StatusOK, string(m.Body) + "\n"},
		"/api/v1/hosts/web-02": {http.StatusServiceUnavailable, `{"error":"host \"web-02\" has not been polled yet: ask again"}` + "\n"},
		"/api/v1/hosts/web-03": {http.StatusNotFound, `{"error":"there is no host \"web-03\""}` + "\n"},
	} {
		if code, body := get(t, h, path); code != want.code || body != want.body {
			t.Errorf("%s: %d %s\nwant %d %s", path, code, body, want.code, want.body)
		}
	}
}

func TestHosts(t *testing.T) {
	c := config("web-02", "web-01", "db-01", "db-02")
	c.Latest.Observe(status("web-01"))
	c.Latest.Observe(trouble("web-02", "timeout"))
	c.Latest.Observe(status("db-01"))
	h := handler(t, c)
	for query, want := range map[string]struct{ hosts, pending []string }{
		"":                              {[]string{"db-01", "web-01", "web-02"}, []string{"db-02"}},
		"?group=web":                    {[]string{"web-01", "web-02"}, []string{}},
		"?group=web&outcome=ok":         {[]string{"web-01"}, []string{}},
		"?outcome=ok&outcome=pending":   {[]string{"db-01", "web-01"}, []string{"db-02"}},
		"?group=web&group=db":           {[]string{"db-01", "web-01", "web-02"}, []string{"db-02"}},
		"?group=none":                   {nil, []string{}},
		"?group=web&outcome=no_systemd": {nil, []string{}},
	} {
		code, body := get(t, h, "/api/v1/hosts"+query)
		var got struct {
			Collector string           `json:"collector"`
			Pending   []string         `json:"pending"`
			Hosts     []publish.Status `json:"hosts"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
			t.Errorf("%s: code %d, %v in:\n%s", query, code, err, body)
			continue
		}
		var names []string
		for _, s := range got.Hosts {
			if names = append(names, s.Host.Name); s.Type != publish.KindStatus {
				t.Errorf("%s: a message of type %q", query, s.Type)
			}
		}
		if diff := cmp.Diff(want.hosts, names) + cmp.Diff(want.pending, got.Pending); diff != "" || got.Collector != "fleet-a" {
			t.Errorf("%s: collector %q, hosts (-want +got):\n%s", query, got.Collector, diff)
		}
	}
	for query, want := range map[string]string{
		"?groop=web":        `unknown parameter \"groop\": write group or outcome`,
		"?group=web%zz":     `parameters \"group=web%zz\": invalid URL escape`,
		"?group=a;group=b":  `parameters \"group=a;group=b\": invalid semicolon`,
		"?outcome=terrible": `unknown outcome \"terrible\": write one of ok, unreachable,`,
	} {
		if code, body := get(t, h, "/api/v1/hosts"+query); code != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want 400 and %s", query, code, body, want)
		}
	}
}

// One that can never be published is left out, and the list stays JSON.
func TestHostThatCannotBeTold(t *testing.T) {
	c := config("a", "b")
	broken := status("a")
	broken.ID = ""
	c.Latest.Observe(broken)
	c.Latest.Observe(status("b"))
	h := handler(t, c)
	if code, body := get(t, h, "/api/v1/hosts/a"); code != http.StatusInternalServerError || !json.Valid([]byte(body)) {
		t.Errorf("%d %s", code, body)
	}
	if _, body := get(t, h, "/api/v1/hosts"); !json.Valid([]byte(body)) || !strings.Contains(body, "id-b") {
		t.Errorf("%s", body)
	}
}

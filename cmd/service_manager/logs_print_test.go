package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"service_manager/hosts"
	"service_manager/hosts/journalctl"
	"service_manager/inventory"
)

func TestLogFormats(t *testing.T) {
	t.Setenv("TZ", "UTC")
	time.Local = time.UTC //nolint:gosmopolitan // as the program sees it
	entry := journalctl.Entry{
		Time: time.UnixMicro(1764150000123456), Cursor: "s=1", Unit: "worker@1.service", Identifier: "worker", PID: "812", Priority: 3,
		Message: "first\x1b[31m\tpart\nsecond <&>\n",
	}
	bare := journalctl.Entry{Time: time.UnixMicro(1764150000123456), Priority: -1, Message: "x", Cut: true}
	two := []inventory.Host{{Name: "web-01"}, {Name: "db-1"}}
	for name, test := range map[string]struct {
		format   string
		coloured bool
		unit     string
		hosts    []inventory.Host
		line     logLine
		want     string
	}{
		"short": {
			"short", false, "worker@1.service", two,
			logLine{host: "db-1", entry: entry},
			"db-1   Nov 26 09:40:00.123 worker[812]: first·[31m    part\ndb-1   Nov 26 09:40:00.123 worker[812]: second <&>\n",
		},
		"glob": {
			"short", false, "worker@*", two[:1],
			logLine{host: "web-01", entry: entry},
			"web-01 Nov 26 09:40:00.123 worker@1.service worker[812]: first·[31m    part\n" +
				"web-01 Nov 26 09:40:00.123 worker@1.service worker[812]: second <&>\n",
		},
		"bare": {
			"short", false, "a.service", two[:1],
			logLine{host: "web-01", entry: bare},
			"web-01 Nov 26 09:40:00.123 x\nweb-01 Nov 26 09:40:00.123 (cut off after 1048576 bytes)\n",
		},
		"coloured": {
			"cat", true, "worker@1.service", two,
			logLine{host: "db-1", entry: entry},
			"\x1b[" + hostColour("db-1") + "mdb-1  \x1b[0m \x1b[1;31mfirst·[31m    part\x1b[0m\n\x1b[" + hostColour("db-1") + "mdb-1  \x1b[0m \x1b[1;31msecond <&>\x1b[0m\n",
		},
		"cat": {"cat", false, "a.service", two[:1], logLine{host: "web-01", entry: entry}, "first·[31m    part\nsecond <&>\n"},
		"json": {
			"json", false, "a.service", two,
			logLine{host: "db-1", entry: entry},
			`{"host":"db-1","time":"2025-11-26T09:40:00.123456Z","unit":"worker@1.service","identifier":"worker","pid":812,"priority":3,` +
				`"message":"first\u001b[31m\tpart\nsecond <&>\n","message_cut":false,"boot_id":null,"cursor":"s=1"}` + "\n",
		},
		"bare json": {
			"json", false, "a.service", two,
			logLine{host: "db-1", entry: bare},
			`{"host":"db-1","time":"2025-11-26T09:40:00.123456Z","unit":null,"identifier":null,"pid":null,"priority":null,` +
				`"message":"x","message_cut":true,"boot_id":null,"cursor":""}` + "\n",
		},
	} {
		var out bytes.Buffer
		w := newLogWriter(&out, test.format, test.hosts, journalctl.Query{Unit: test.unit})
		w.coloured = test.coloured
		if err := errors.Join(w.print(test.line), w.flush()); err != nil || out.String() != test.want {
			t.Errorf("%s: %v\n%q; want\n%q", name, err, out.String(), test.want)
		}
	}
}

// Hosts with the same trouble are named together; who may not read the journal is told how to, on which hosts.
func TestTellLogTroubles(t *testing.T) {
	var troubled []*logHost
	for i, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		h := &logHost{host: inventory.Host{Name: name, SSH: inventory.SSH{User: "monitor"}}}
		h.trouble = &hosts.Error{Outcome: hosts.Denied, Err: journalctl.ErrNotPermitted}
		if i == 0 {
			h.trouble = &hosts.Error{Outcome: hosts.Unreachable, Err: errors.New("connection \x1brefused")}
		}
		troubled = append(troubled, h)
	}
	var out strings.Builder
	tellLogTroubles(&out, troubled)
	const want = `a: unreachable: connection ·refused
b, c, d, e, f, g: denied: monitor may not read the journal there. To allow that, on each of these hosts:
  sudo usermod --append --groups systemd-journal monitor
That group may read all of the journal and nothing else. It counts from the next login on.
`
	if out.String() != want {
		t.Errorf("%s; want\n%s", &out, want)
	}
}

package publish

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas returns the schemas of all kinds of message, which hold formats too.
func schemas(tb testing.TB) map[string]*jsonschema.Schema {
	tb.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	all := map[string]*jsonschema.Schema{}
	for _, kind := range []string{KindStatus, KindEvent, KindCollector} {
		s, err := compiler.Compile(filepath.Join("schema", kind+".schema.json"))
		if err != nil {
			tb.Fatal(err)
		}
		all[kind] = s
	}
	return all
}

// goldens returns the messages of testdata by file, each time new ones.
func goldens(tb testing.TB) map[string]map[string]any {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.golden.json")
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string]map[string]any{}
	for _, file := range files {
		all[filepath.Base(file)] = readObject(tb, file)
	}
	return all
}

func readObject(tb testing.TB, file string) map[string]any {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	return object
}

func TestSchemasNameTheirVersion(t *testing.T) {
	for kind, s := range schemas(t) {
		if want := fmt.Sprintf("urn:service-manager:schema:%d:%s", Schema, kind); s.ID != want {
			t.Errorf("the schema of a %s is %s, want %s", kind, s.ID, want)
		}
		if version := s.Properties["schema"].Const; version == nil || fmt.Sprint(*version) != fmt.Sprint(Schema) {
			t.Errorf("the schema of a %s wants another version than %d", kind, Schema)
		}
	}
}

func TestSchemasAcceptMessages(t *testing.T) {
	all := schemas(t)
	seen := map[string]int{}
	for file, message := range goldens(t) {
		kind := message["type"].(string)
		seen[kind]++
		if err := all[kind].Validate(message); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if seen[KindStatus] < 2 || seen[KindEvent] < 7 || seen[KindCollector] < 2 {
		t.Errorf("messages: %v", seen)
	}
}

// An object of a message is one that has fields; those that map names to values, as labels do, have none.
type object struct {
	at     string
	fields map[string]any
}

func objects(at string, value any) []object {
	var all []object
	switch v := value.(type) {
	case map[string]any:
		if strings.HasSuffix(at, ".labels") || strings.HasSuffix(at, ".hosts") {
			return nil
		}
		all = append(all, object{at, v})
		for name, field := range v {
			all = append(all, objects(at+"."+name, field)...)
		}
	case []any:
		for i, element := range v {
			all = append(all, objects(fmt.Sprintf("%s[%d]", at, i), element)...)
		}
	}
	return all
}

// TestSchemasWantEveryField takes each field away, and puts what no field may have in its place.
func TestSchemasWantEveryField(t *testing.T) {
	all := schemas(t)
	for file, message := range goldens(t) {
		schema := all[message["type"].(string)]
		for _, o := range objects(file, message) {
			for name, value := range maps.Clone(o.fields) {
				delete(o.fields, name)
				if schema.Validate(message) == nil {
					t.Errorf("%s: valid without %s", o.at, name)
				}
				o.fields[name] = []any{1.5}
				if schema.Validate(message) == nil {
					t.Errorf("%s: valid with a list of a number for %s", o.at, name)
				}
				o.fields[name] = value
			}
		}
	}
}

// TestSchemasAllowMoreFields is about messages of later versions.
func TestSchemasAllowMoreFields(t *testing.T) {
	all := schemas(t)
	for file, message := range goldens(t) {
		for _, o := range objects(file, message) {
			o.fields["new"] = map[string]any{"field": 1.0}
		}
		if err := all[message["type"].(string)].Validate(message); err != nil {
			t.Errorf("%s with more fields: %v", file, err)
		}
	}
}

// A change is made to a message at some path, whose numbers are places in a list.
type change struct {
	file, path string
	value      any
}

func (c change) make(tb testing.TB) map[string]any {
	tb.Helper()
	message := goldens(tb)[c.file]
	if message == nil {
		tb.Fatalf("there is no %s", c.file)
	}
	object := message
	path := strings.Split(c.path, ".")
	for _, name := range path[:len(path)-1] {
		if list, ok := object[name].([]any); ok {
			object = list[0].(map[string]any)
			continue
		}
		object = object[name].(map[string]any)
	}
	name := path[len(path)-1]
	if _, ok := object[name]; !ok {
		tb.Fatalf("%s has no %s", c.file, c.path)
	}
	object[name] = c.value
	return message
}

func TestSchemasRefuse(t *testing.T) {
	all := schemas(t)
	for _, c := range []change{
		{"status.golden.json", "schema", 2.0},
		{"status.golden.json", "schema", "1"},
		{"status.golden.json", "type", "event"},
		{"status.golden.json", "id", "1"},
		{"status.golden.json", "collector", ""},
		{"status.golden.json", "host.name", "a host"},
		{"status.golden.json", "host.labels", nil},
		{"status.golden.json", "host.labels.env", 1.0},
		{"status.golden.json", "time", "2026-11-22T10:00:00Z"},          // no milliseconds
		{"status.golden.json", "time", "2026-11-22T11:00:00.120+01:00"}, // not in UTC
		{"status.golden.json", "time", "2026-13-22T10:00:00.120Z"},      // no month
		{"status.golden.json", "time", 1795341600.0},                    // seconds since 1970
		{"status.golden.json", "interval_seconds", 0.0},
		{"status.golden.json", "interval_seconds", "10s"},
		{"status.golden.json", "event_seq", nil},
		{"status.golden.json", "event_seq", -1.0},
		{"status.golden.json", "event_seq", 1.5},
		{"status.golden.json", "outcome", nil},
		{"status.golden.json", "outcome", "OK"},
		{"status.golden.json", "outcome", "timeout"},                      // without an error
		{"status.golden.json", "error", "connection refused"},             // but ok
		{"status.golden.json", "stale_since", "2026-11-22T09:00:00.000Z"}, // but ok
		{"status.golden.json", "system", nil},                             // but ok
		{"status.golden.json", "system.boot_id", ""},                      // an empty word for null
		{"status.golden.json", "system.systemd", 252.0},
		{"status.golden.json", "units", nil}, // null for an empty list
		{"status.golden.json", "units.load_state", nil},
		{"status.golden.json", "units.main_pid", 0.0}, // a number for null
		{"status.golden.json", "units.restarts", "0"},
		{"status.golden.json", "units.since", "2026-11-20T08:00:00.000Z"}, // milliseconds
		{"status.golden.json", "units.since", ""},
		{"status.golden.json", "units.need_daemon_reload", 0.0},
		{"status.golden.json", "poll.duration_ms", nil},
		{"status.golden.json", "poll.dial_ms", -1.0},
		{"status_never_read.golden.json", "error", nil},
		{"status_never_read.golden.json", "stale_since", "2026-11-22T09:00:00.000Z"}, // never read, but old
		{"event_unit.golden.json", "seq", 0.0},
		{"event_unit.golden.json", "event", "Unit Failed"},
		{"event_unit.golden.json", "event", "host.rebooted"}, // with units before and after
		{"event_unit.golden.json", "event", "gap"},           // without a gap
		{"event_unit.golden.json", "unit", nil},
		{"event_unit.golden.json", "observed_at", nil},
		{"event_unit.golden.json", "happened_at", 0.0}, // a number for null
		{"event_unit.golden.json", "restarts", nil},
		{"event_unit.golden.json", "suppressed", -1.0},
		{"event_unit.golden.json", "before", map[string]any{}}, // an empty object for null
		{"event_unit.golden.json", "after.active_state", ""},
		{"event_unit.golden.json", "after.exit_status", "9"},
		{"event_host.golden.json", "event", "unit.failed"},               // of no unit
		{"event_host.golden.json", "event", "host.removed"},              // with a state after
		{"event_host.golden.json", "before.error", "connection refused"}, // but ok
		{"event_host.golden.json", "after.system", "running"},
		{"event_gap_refused.golden.json", "gap", nil},
		{"event_gap_refused.golden.json", "gap.first_seq", 0.0}, // a number for null
		{"event_gap_refused.golden.json", "gap.last_seq", nil},  // a first without a last
		{"notice.golden.json", "type", "notice"},
		{"notice.golden.json", "event", ""},
		{"notice.golden.json", "hosts", nil},
		{"notice.golden.json", "hosts.ok", "18"},
		{"notice.golden.json", "oldest_data_seconds", -1.0},
		{"notice.golden.json", "outbox.oldest_event", 0.0}, // a number for null
		{"notice.golden.json", "outbox.full", nil},
		{"notice.golden.json", "outbox.dropped", nil},
	} {
		message := c.make(t)
		kind, _, _ := strings.Cut(strings.ReplaceAll(c.file, "notice", KindCollector), "_")
		kind, _, _ = strings.Cut(kind, ".")
		if all[kind].Validate(message) == nil {
			t.Errorf("%s: valid with %s %v", c.file, c.path, c.value)
		}
	}
}

// TestSchemasAcceptWhatIsNew is about words that no one has heard of yet.
func TestSchemasAcceptWhatIsNew(t *testing.T) {
	all := schemas(t)
	for _, c := range []change{
		{"status.golden.json", "units.active_state", "hibernating"},
		{"status.golden.json", "system.state", "sleeping"},
		{"status_never_read.golden.json", "outcome", "quarantined"},
		{"event_unit.golden.json", "event", "unit.frozen"},
		{"event_host.golden.json", "event", "host.moved"},
		{"event_host_removed.golden.json", "event", "inventory.changed"},
		{"event_gap_refused.golden.json", "gap.reason", "lost"},
		{"notice.golden.json", "event", "reloaded"},
	} {
		message := c.make(t)
		if err := all[message["type"].(string)].Validate(message); err != nil {
			t.Errorf("%s with %s %v: %v", c.file, c.path, c.value, err)
		}
	}
}

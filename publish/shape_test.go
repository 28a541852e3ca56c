package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A shape is the type of each field of a message, such as "integer or null" of "status.units[].main_pid". It is all that a consumer
// relies on but the meaning.
type shape map[string]string

// ofGo adds what t becomes as JSON.
func (s shape) ofGo(at string, t reflect.Type) {
	null := ""
	if t.Kind() == reflect.Pointer {
		t, null = t.Elem(), " or null"
	}
	switch t {
	case reflect.TypeFor[Time](), reflect.TypeFor[HostTime]():
		s[at] = "date-time" + null
		return
	case reflect.TypeFor[EventState](): // One of the two.
		s.ofGo(at, reflect.TypeFor[UnitState]())
		s.ofGo(at, reflect.TypeFor[HostState]())
		s[at] = "object" + null
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		s[at] = "object" + null
		for field := range t.Fields() {
			s.ofGo(at+"."+field.Tag.Get("json"), field.Type)
		}
	case reflect.Map:
		s[at] = "object" + null
		s.ofGo(at+".*", t.Elem())
	case reflect.Slice:
		s[at] = "array" + null
		s.ofGo(at+"[]", t.Elem())
	case reflect.String:
		s[at] = "string" + null
	case reflect.Bool:
		s[at] = "boolean" + null
	case reflect.Float64:
		s[at] = "number" + null
	case reflect.Int, reflect.Int64, reflect.Uint64:
		s[at] = "integer" + null
	default:
		s[at] = "unknown: " + t.String()
	}
}

// ofSchema adds what a schema says, where defs are the schemas that it may refer to.
func (s shape) ofSchema(at string, schema, defs map[string]any) {
	var types []string
	for _, alternative := range alternatives(schema, defs) {
		kind := alternative["type"].(string)
		if kind == "string" && alternative["format"] == "date-time" {
			kind = "date-time"
		}
		if !slices.Contains(types, kind) {
			types = append(types, kind)
		}
		s.ofContents(at, alternative, defs)
	}
	s[at] = strings.Join(types, " or ")
}

func (s shape) ofContents(at string, schema, defs map[string]any) {
	if items, ok := schema["items"].(map[string]any); ok {
		s.ofSchema(at+"[]", items, defs)
	}
	if values, ok := schema["additionalProperties"].(map[string]any); ok {
		s.ofSchema(at+".*", values, defs)
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		s[at+"."+name.(string)] = "required, but not described"
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, property := range properties {
		s.ofSchema(at+"."+name, property.(map[string]any), defs)
		if !slices.Contains(required, any(name)) {
			s[at+"."+name] += ", but not required"
		}
	}
}

// alternatives returns the schemas of one type each that schema stands for.
func alternatives(schema, defs map[string]any) []map[string]any {
	if ref, ok := schema["$ref"].(string); ok {
		return alternatives(defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), defs)
	}
	var all []map[string]any
	if anyOf, ok := schema["anyOf"].([]any); ok {
		for _, one := range anyOf {
			all = append(all, alternatives(one.(map[string]any), defs)...)
		}
		return all
	}
	types, ok := schema["type"].([]any)
	if !ok {
		return []map[string]any{schema}
	}
	for _, kind := range types {
		one := maps.Clone(schema)
		one["type"] = kind
		all = append(all, one)
	}
	return all
}

func (s shape) String() string {
	var lines strings.Builder
	for _, at := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&lines, "%s: %s\n", at, s[at])
	}
	return lines.String()
}

func goShape() shape {
	s := shape{}
	s.ofGo(KindStatus, reflect.TypeFor[Status]())
	s.ofGo(KindEvent, reflect.TypeFor[Event]())
	s.ofGo(KindCollector, reflect.TypeFor[Notice]())
	return s
}

// TestSchemasAgreeWithTypes shows that the schemas have the fields of the Go types, each required, and no other.
func TestSchemasAgreeWithTypes(t *testing.T) {
	described := shape{}
	for _, kind := range []string{KindStatus, KindEvent, KindCollector} {
		schema := readObject(t, filepath.Join("schema", kind+".schema.json"))
		described.ofSchema(kind, schema, schema["$defs"].(map[string]any))
	}
	if diff := cmp.Diff(goShape(), described); diff != "" {
		t.Error("-type +schema:\n" + diff)
	}
}

// TestSchemasSayTheSame compares what several schemas define, so that each can be read, and used, alone.
func TestSchemasSayTheSame(t *testing.T) {
	defs := func(kind string) map[string]any {
		return readObject(t, filepath.Join("schema", kind+".schema.json"))["$defs"].(map[string]any)
	}
	status, event, collector := defs(KindStatus), defs(KindEvent), defs(KindCollector)
	for _, name := range []string{"time", "host", "system"} {
		if diff := cmp.Diff(status[name], event[name]); diff != "" || status[name] == nil {
			t.Errorf("%s (-status +event):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(status["time"], collector["time"]); diff != "" {
		t.Error("time (-status +collector):\n" + diff)
	}
	properties := func(defs map[string]any) map[string]any {
		return defs["unit"].(map[string]any)["properties"].(map[string]any)
	}
	for name, property := range properties(event) {
		if diff := cmp.Diff(properties(status)[name], property); diff != "" {
			t.Errorf("unit.%s (-status +event):\n%s", name, diff)
		}
	}
}

// TestShapeOfSchemaVersion keeps the promise of [Schema]: within one version fields are added, and never change or go.
func TestShapeOfSchemaVersion(t *testing.T) {
	file := filepath.Join("testdata", fmt.Sprintf("shape_%d.txt", Schema))
	promised, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a new version of the contract: write what it promises from now on to %s:\n%s", file, goShape())
	} else if err != nil {
		t.Fatal(err)
	}
	got := goShape().String()
	for line := range strings.Lines(string(promised)) {
		if !strings.Contains("\n"+got, "\n"+line) {
			t.Errorf("consumers of schema %d rely on %q: such a change raises Schema", Schema, strings.TrimSpace(line))
		}
	}
	if diff := cmp.Diff(string(promised), got); diff != "" && !t.Failed() {
		t.Errorf("new fields need no new version, but their place in %s (-want +got):\n%s", file, diff)
	}
}

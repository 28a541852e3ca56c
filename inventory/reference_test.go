package inventory

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// uncommented is the reference with every #key and #[table] active.
func uncommented(t *testing.T) []byte {
	t.Helper()
	return regexp.MustCompile(`(?m)^#([a-z\[])`).ReplaceAll(readTestFile(t, "reference.toml"), []byte("$1"))
}

func readTestFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestShippedFilesParse(t *testing.T) {
	for name, hosts := range map[string]int{"reference.toml": 22, "example.toml": 20} {
		inv, err := Load(name)
		if err != nil {
			t.Fatalf("%s:\n%v", name, err)
		}
		if len(inv.Hosts) != hosts || len(inv.Notices) != 0 {
			t.Errorf("%s has %d hosts and notices %q, want %d and none", name, len(inv.Hosts), inv.Notices, hosts)
		}
	}
}

// TestReferenceHasEveryKey goes over the raw structs, so that a new key cannot be left out of the reference.
func TestReferenceHasEveryKey(t *testing.T) {
	r := &report{}
	raw, ok := r.decode(&file{name: "reference.toml"}, uncommented(t))
	if err := r.err(); err != nil || !ok {
		t.Fatalf("with every key active:\n%v", err)
	}
	want, got := map[string]bool{}, map[string]bool{}
	collectKeys(reflect.ValueOf(raw), "", want, got)
	if len(want) < 60 {
		t.Fatalf("only %d keys found in the raw structs", len(want))
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !got[key] {
			t.Errorf("%s is not in reference.toml", key)
		}
	}
}

// collectKeys adds each key of a struct type to want, and those with a value to got.
func collectKeys(v reflect.Value, path string, want, got map[string]bool) {
	v = reflect.Indirect(v)
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("toml")
		if key == "" {
			continue
		}
		key = path + key
		want[key] = true
		field := v.Field(i)
		if given, ok := reflect.TypeAssert[interface{ given() bool }](field); ok {
			got[key] = got[key] || given.given()
			continue
		}
		switch field.Kind() {
		case reflect.Struct:
			if path == "" { // the ssh tables of groups and hosts are that of the top level once more
				collectKeys(field, key+".", want, got)
			}
			given, ok := reflect.TypeAssert[interface{ given() bool }](field.Addr())
			got[key] = got[key] || ok && given.given()
		case reflect.Slice:
			for j := range field.Len() {
				got[key] = true
				collectKeys(field.Index(j), key+".", want, got)
			}
		case reflect.Map:
			for _, name := range field.MapKeys() {
				got[key] = true
				collectKeys(field.MapIndex(name), key+".", want, got)
			}
		default:
			panic("collectKeys does not know " + key)
		}
	}
}

// TestReferenceShowsDefaults holds the defaults in the reference against those of an empty file.
func TestReferenceShowsDefaults(t *testing.T) {
	doc := regexp.MustCompile(`(?m)^url = .*$`).ReplaceAll(uncommented(t), nil)
	cfg := testConfig(map[string]string{"/run/credentials/broker_password": "x", "/run/credentials/key_passphrase": "x"})
	doc = regexp.MustCompile(`"bastion"`).ReplaceAll(doc, []byte(`"bastion:22"`))
	inv, err := Parse("reference.toml", doc, cfg)
	if err != nil {
		t.Fatalf("with every key active:\n%v", err)
	}
	empty, err := Parse("empty.toml", nil, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(empty.Collector, inv.Collector, cmpopts.IgnoreFields(Collector{}, "Name", "Timeout", "Listen")); diff != "" {
		t.Errorf("collector (-default +reference):\n%s", diff)
	}
	plain := parse(t, "[[hosts]]\nname = \"a\"\n", nil).Hosts[0].SSH
	shown := inv.Hosts[0].SSH // of db-a, which is in no group
	if shown.Port != plain.Port || shown.Agent != plain.Agent || shown.Keepalive != plain.Keepalive {
		t.Errorf("ssh of %s is %+v, by default %+v", inv.Hosts[0].Name, shown, plain)
	}
	for _, example := range []*string{&inv.Broker.CAFile, &inv.Broker.CertFile, &inv.Broker.KeyFile} {
		*example = ""
	}
	inv.Broker.URLs, inv.Broker.Queues = nil, nil
	if diff := cmp.Diff(brokerFields(empty.Broker), brokerFields(inv.Broker)); diff != "" {
		t.Errorf("broker (-default +reference):\n%s", diff)
	}
}

// brokerFields strips the methods, by which cmp would print only the URLs.
func brokerFields(b Broker) any {
	type fields Broker
	return fields(b)
}

//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"service_manager/publish"
)

// A contract is what consumers are promised: the schemas of the bodies, by kind, and what belongs to each beside the body.
type contract map[string]*jsonschema.Schema

func newContract(t *testing.T) contract {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	c := contract{}
	for _, kind := range []string{"status", "event", "collector"} {
		s, err := compiler.Compile(filepath.Join("..", "publish", "schema", kind+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		c[kind] = s
	}
	return c
}

// check compares a message that the broker delivered with the contract, and returns its body.
func (c contract) check(t *testing.T, d amqp.Delivery) body {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.Body))
	if err != nil {
		t.Fatalf("%s: %v: %s", d.RoutingKey, err, d.Body)
	}
	schema := c[d.Type]
	if schema == nil {
		t.Fatalf("%s: there is no schema of type %q: %s", d.RoutingKey, d.Type, d.Body)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v: %s", d.RoutingKey, err, d.Body)
	}
	b := body{value.(map[string]any)}
	if b.key() != d.RoutingKey {
		t.Errorf("routing key %s, want %s", d.RoutingKey, b.key())
	}
	got := map[string]any{
		"content_type": d.ContentType, "delivery_mode": d.DeliveryMode, "message_id": d.MessageId, "type": d.Type, "app_id": d.AppId,
		"timestamp": d.Timestamp.Unix(), "expiration": d.Expiration,
	}
	for name, value := range d.Headers {
		got["header "+name] = fmt.Sprintf("%T %v", value, value)
	}
	if diff := cmp.Diff(b.properties(t), got); diff != "" {
		t.Errorf("%s: properties and headers (-want +got):\n%s", d.RoutingKey, diff)
	}
	return b
}

// A body is a message as a consumer of any language sees it.
type body struct{ fields map[string]any }

// at returns the text of a field of a field and so on, "" where that is null or not there.
func (b body) at(path ...string) string {
	var value any = b.fields
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// key is the routing key that the message should have.
func (b body) key() string {
	words := []string{b.at("type"), b.at("host", "group"), b.at("host", "name")}
	if b.at("type") == "collector" {
		words = []string{b.at("type"), b.at("collector"), b.at("event")}
	}
	for i, word := range words {
		words[i] = strings.ReplaceAll(word, ".", "_")
	}
	return strings.Join(words, ".")
}

// properties are those that the message should have, and its headers with their types.
func (b body) properties(t *testing.T) map[string]any {
	t.Helper()
	moment, outcome := b.at("time"), b.at("outcome")
	if b.at("type") == "event" {
		moment, outcome = b.at("observed_at"), b.at("after", "outcome")
		if b.at("after", "name") != "" {
			outcome = "ok" // A unit is only told of when its host could be read.
		}
	}
	at, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{
		"content_type": "application/json", "delivery_mode": uint8(2), "message_id": b.at("id"), "type": b.at("type"),
		"app_id": "service_manager", "timestamp": at.Unix(), "expiration": "", "header schema": "int32 " + b.at("schema"),
	}
	for name, value := range map[string]string{
		"collector": b.at("collector"), "host": b.at("host", "name"), "group": b.at("host", "group"), "outcome": outcome,
		"event": b.at("event"), "unit": b.at("unit"), "x-stream-filter-value": b.at("host", "name"),
	} {
		if value != "" {
			all["header "+name] = "string " + value
		}
	}
	if seq := b.at("seq"); seq != "" {
		all["header seq"] = "int64 " + seq
	}
	return all
}

// sighting names a message for what the tests of the contract wait for.
func (b body) sighting() string {
	switch b.at("type") {
	case "status":
		return b.at("outcome") + " status of " + b.at("host", "name")
	case "event":
		return strings.TrimSpace(b.at("event") + " of " + b.at("host", "name") + " " + b.at("unit"))
	}
	return b.at("event") + " of " + b.at("collector")
}

// await checks every message until all the wanted ones have been seen.
func (c contract) await(t *testing.T, messages *consumer, wanted ...string) {
	t.Helper()
	missing := map[string]bool{}
	for _, sighting := range wanted {
		missing[sighting] = true
	}
	for timeout := time.After(patience); len(missing) > 0; {
		what := strings.Join(slices.Sorted(maps.Keys(missing)), ", ")
		delete(missing, c.check(t, messages.next(t, timeout, what).Delivery).sighting())
	}
}

// goldens are messages of every shape, as the tests of publish have them.
func goldens(t *testing.T) []publish.Message {
	t.Helper()
	files, err := filepath.Glob("../publish/testdata/*.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []publish.Message
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		var body interface {
			Message() (publish.Message, error)
		} = new(publish.Notice)
		if strings.HasPrefix(name, "status") {
			body = new(publish.Status)
		} else if strings.HasPrefix(name, "event") {
			body = new(publish.Event)
		}
		if err := json.Unmarshal(text, body); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m, err := body.Message()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, m)
	}
	return all
}

// Also what the stack's hosts never do: a gap, say.
func TestContractOfEveryShape(t *testing.T) {
	c, d, src, mm := newContract(t), newDesk(t), newTray(t), goldens(t)
	q := d.bind(t, "#", nil)
	start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange}, src)
	src.put(mm...)
	src.awaitConfirmed(len(mm))
	for range mm {
		m, ok, err := d.ch.Get(q, true)
		if err != nil || !ok {
			t.Fatalf("of %d messages too few are in the queue: %v", len(mm), err)
		}
		c.check(t, m)
	}
}

// What the broker delivers is as the schemas, and the headers as the design, say.
func TestContractOfStatuses(t *testing.T) {
	newContract(t).await(t, consume(t, "status.#"), "ok status of web-01", "ok status of web-02", "ok status of db-01")
}

func TestContractOfNotices(t *testing.T) {
	messages := consume(t, "collector.#")
	for range 2 {
		newContract(t).await(t, messages, "heartbeat of stack")
	}
}

func TestContractOfUnitEvents(t *testing.T) {
	c, messages := newContract(t), consume(t, "#")
	const unit = "mount_controller.service"
	of := func(event string) []string {
		return []string{event + " of web-01 " + unit, event + " of web-02 " + unit, event + " of db-01 " + unit}
	}
	everywhere := func(commandLine string) {
		for host := range stackHosts() {
			stack.must(t, host, commandLine)
		}
	}
	c.await(t, messages, "ok status of web-01", "ok status of web-02", "ok status of db-01")
	everywhere("systemctl stop " + unit)
	c.await(t, messages, of("unit.changed")...)
	everywhere("systemctl start " + unit)
	c.await(t, messages, of("unit.restarted")...)
}

func TestContractOfHostEvents(t *testing.T) {
	c, messages := newContract(t), consume(t, "#")
	c.await(t, messages, "ok status of db-01")
	stack.must(t, "db-01", "systemctl stop ssh.service && pkill -KILL -u monitor sshd")
	c.await(t, messages, "host.unreachable of db-01", "unreachable status of db-01")
	stack.must(t, "db-01", "systemctl start ssh.service")
	c.await(t, messages, "host.recovered of db-01", "ok status of db-01")
}

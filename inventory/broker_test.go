package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBrokerURLs(t *testing.T) {
	tests := map[string]struct {
		doc  string
		want []string
	}{
		"as it is":                {`url = "amqp://u:p%2F@h:5672/v%2Fh?heartbeat=5"`, []string{"amqp://u:p%2F@h:5672/v%2Fh?heartbeat=5"}},
		"no user":                 {`url = "amqps://[::1]"`, []string{"amqps://[::1]"}},
		"several":                 {`urls = ["amqp://a", "amqps://b/"]`, []string{"amqp://a", "amqps://b/"}},
		"whole from environment":  {`url = "${BROKER_URL}"`, []string{"amqps://u:p@h/v"}},
		"host from environment":   {`url = "amqp://u@${BROKER_HOST}/${BROKER_HOST}"`, []string{"amqp://u@rabbit.example.com/rabbit.example.com"}},
		"password is escaped":     {`url = "amqp://u:${PASSWORD}@h"`, []string{"amqp://u:p%40ss%2Fw%3Ard%25@h"}},
		"password file":           {"url = \"amqp://u@h/%2f\"\npassword_file = \"password\"", []string{"amqp://u:a%2F%20b@h/%2f"}},
		"dollar without brace":    {`url = "amqp://u:$x@h"`, []string{"amqp://u:$x@h"}},
		"file of systemd":         {"url = \"amqp://u@h\"\npassword_file = \"${CREDENTIALS_DIRECTORY}/password\"", []string{"amqp://u:c@h"}},
		"external with a user":    {"url = \"amqps://u@h\"\nauth = \"external\"\ncert_file = \"client.pem\"\nkey_file = \"client.key\"", []string{"amqps://u@h"}},
		"no broker":               {``, nil},
		"colon in a user's name":  {`url = "amqp://${PASSWORD}:x@h"`, []string{"amqp://p%40ss%2Fw%3Ard%25:x@h"}},
		"scheme in capitals":      {`url = "AMQPS://h"`, []string{"amqps://h"}},
		"at sign in the password": {`url = "amqp://u:a%40b@h"`, []string{"amqp://u:a%40b@h"}},
	}
	files := map[string]string{"dir/password": "a/ b\r\n", "/run/credentials/password": "c"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inv := parse(t, "[broker]\n"+test.doc, files)
			if diff := cmp.Diff(test.want, inv.Broker.URLs); diff != "" {
				t.Errorf("URLs (-want +got):\n%s", diff)
			}
			if got, want := inv.Broker.External, strings.Contains(test.doc, "external"); got != want {
				t.Errorf("External is %v", got)
			}
		})
	}
}

func TestBrokerKeys(t *testing.T) {
	inv := parse(t, `[broker]
exchange = "x"
declare = "none"
ca_file = "/etc/ca.pem"
outbox_max_messages = 5_000
outbox_max_bytes = "10MB"
unroutable_for = "0s"
status_ttl = "30s"
[[broker.queues]]
name = "all"
[[broker.queues]]
name = "s"
type = "stream"
bindings = ["event.*.*", "status.web.#"]
max_bytes = "2GiB"
max_age = "24h"
[[broker.queues]]
name = "c"
type = "classic"
max_messages = 9
`, nil)
	want := Broker{
		Exchange: "x", Declare: DeclareNone, CAFile: "/etc/ca.pem", Outbox: Outbox{5000, 10_000_000}, StatusTTL: 30 * time.Second,
		Queues: []Queue{
			{Name: "all", Type: QueueQuorum, Bindings: []string{"#"}},
			{Name: "s", Type: QueueStream, Bindings: []string{"event.*.*", "status.web.#"}, MaxBytes: 2 << 30, MaxAge: 24 * time.Hour},
			{Name: "c", Type: QueueClassic, Bindings: []string{"#"}, MaxMessages: 9},
		},
	}
	if diff := cmp.Diff(brokerFields(want), brokerFields(inv.Broker)); diff != "" {
		t.Errorf("broker (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`dir/main.toml:9: broker.queues: no queue is declared or looked for with declare = "none"`}, inv.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

func TestNoSecretIsShown(t *testing.T) {
	inv := parse(t, "[broker]\nurls = [\"amqp://u:s3cret@h/v\", \"amqps://other\"]\n", nil)
	const want = "amqp://u:xxxxx@h/v, amqps://other"
	if got := inv.Broker.String(); got != want {
		t.Errorf("String is %q, want %q", got, want)
	}
	var all bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&all, verb+verb+verb, inv.Broker, &inv.Broker, inv)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&all, nil), slog.NewJSONHandler(&all, nil)} {
		slog.New(h).Info("read", slog.Any("broker", inv.Broker), slog.Any("inventory", inv), slog.Any("value", *inv))
	}
	data, err := json.Marshal(any(inv))
	if err != nil {
		t.Fatal(err)
	}
	all.Write(data)
	for _, form := range []string{"s3cret", fmt.Sprintf("%x", "s3cret")} {
		if strings.Contains(all.String(), form) {
			t.Errorf("%q is shown in:\n%s", form, all.String())
		}
	}
	if !strings.Contains(all.String(), "amqp://u:xxxxx@h/v") {
		t.Errorf("the URL is not shown at all in:\n%s", all.String())
	}
	if got := (Broker{URLs: []string{"amqp://u:s3%cret@h"}}).String(); got != "(not a URL)" {
		t.Errorf("String of what is no URL is %q", got)
	}
}

// TestMistakesShowNoSecret puts a secret wherever a broken URL may have one.
func TestMistakesShowNoSecret(t *testing.T) {
	for _, value := range []string{
		"amqp://u:s3cret/x@h", "s3cret", "amqp://u:s3cret@", "http://u:s3cret@h", "amqp://u:%zzs3cret@h", "amqp://u:s3cret@h:99999",
		"amqp://u:s3cret#@h", "amqp://s3cret:${", "amqp://u:${s3cret}x@h\u007f", "amqp://u:s3cret@h:port", "amqp://u:s3cret@h{}",
	} {
		_, err := Parse("x.toml", fmt.Appendf(nil, "[broker]\nurl = %q\npassword_file = \"p\"\n", value), testConfig(nil))
		if err == nil {
			t.Errorf("%q is accepted", value)
		} else if strings.Contains(strings.ReplaceAll(err.Error(), "variable s3cret", ""), "s3cret") {
			t.Errorf("%q: the mistake shows the secret: %v", value, err)
		}
	}
}

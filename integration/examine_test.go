//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"service_manager/integration/proxy"
	"service_manager/publish"
)

// finding returns that of a step, which must be there.
func finding(t *testing.T, findings []publish.Finding, step string) publish.Finding {
	t.Helper()
	for _, f := range findings {
		if f.Step == step {
			return f
		}
	}
	t.Fatalf("no step %q in %+v", step, findings)
	return publish.Finding{}
}

func TestExamineWell(t *testing.T) {
	d := newDesk(t)
	q := d.bind(t, "#", nil)
	findings := publish.Examine(t.Context(), publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange})
	var steps []string
	for _, f := range findings {
		if f.Severity != publish.SeverityOK {
			t.Errorf("%+v", f)
		}
		steps = append(steps, f.Step)
	}
	if got, want := strings.Join(steps, " "), "connect login vhost server exchange publish alarm"; got != want {
		t.Errorf("steps %q, want %q", got, want)
	}
	if got, _ := d.drain(t, q); len(got) != 0 {
		t.Errorf("%d messages are left behind", len(got))
	}
}

func TestExaminePermissions(t *testing.T) {
	d := newDesk(t)
	d.bind(t, "#", nil)
	stack.must(t, "broker", "rabbitmqctl add_user examined examined")
	defer stack.must(t, "broker", "rabbitmqctl delete_user examined")
	url := stack.url("examined")
	for _, test := range []struct {
		name, grant string // the words after "rabbitmqctl"
		declare     publish.Declare
		step        string
		severity    publish.Severity
		code, want  string
	}{
		{"no vhost", "clear_permissions examined", publish.DeclareActive, "vhost", publish.SeverityError, "vhost_denied", "set_permissions -p / examined '^test"},
		{"nothing but the vhost", "set_permissions examined '^$' '^$' '^$'", publish.DeclarePassive, "publish", publish.SeverityError, "denied", "set_permissions -p / examined '^$' '^test"},
		{"no configure", "set_permissions examined '^$' '.*' '^$'", publish.DeclareActive, "exchange", publish.SeverityError, "denied", "set_permissions -p / examined '^test"},
		{"just enough", "set_permissions examined '^$' '^test' '^$'", publish.DeclarePassive, "publish", publish.SeverityOK, "", "may publish"},
		{"an unseen type", "set_permissions examined '^$' '^test' '^$'", publish.DeclarePassive, "exchange", publish.SeverityNote, "exchange_unseen", "list_exchanges -p / name type durable"},
		{"other topics", fmt.Sprintf("set_topic_permissions examined %s '^other' '^$'", d.exchange), publish.DeclarePassive, "publish", publish.SeverityWarning, "topic_permissions", "set_topic_permissions"},
		{"no connections", `set_user_limits examined '{"max-connections": 0}'`, publish.DeclarePassive, "vhost", publish.SeverityError, "connection_limit", "list_user_limits --user examined"},
	} {
		stack.must(t, "broker", "rabbitmqctl "+test.grant)
		findings := publish.Examine(t.Context(), publish.Config{URLs: []string{url}, Exchange: d.exchange, Declare: test.declare})
		wantFinding(t, test.name, finding(t, findings, test.step), test.severity, test.code, test.want)
	}
}

// wantFinding wants f to be of this severity and code, to say text, and why it matters if anything is wrong.
func wantFinding(t *testing.T, name string, f publish.Finding, severity publish.Severity, code, text string) {
	t.Helper()
	explained := f.Problem != "" && f.Why != "" && f.Remedy != ""
	if f.Severity != severity || f.Code != code || explained != (code != "") || !strings.Contains(f.Detail+" "+f.Remedy, text) {
		t.Errorf("%s: found %+v\nwant %s %s and to read %q", name, f, severity, code, text)
	}
}

func TestExamineExchange(t *testing.T) {
	d := newDesk(t)
	good := brokerURL(t)
	if err := d.ch.ExchangeDeclare(d.exchange+".fleeting", "topic", false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	active, passive := publish.DeclareActive, publish.DeclarePassive
	for _, test := range []struct {
		name       string
		config     publish.Config
		step       string
		severity   publish.Severity
		code, want string
	}{
		{"wrong password", publish.Config{URLs: []string{strings.Replace(good, ":admin@", ":s3cret@", 1)}}, "login", publish.SeverityError, "auth_failed", "authenticate_user admin"},
		{"no vhost", publish.Config{URLs: []string{good + "nowhere"}}, "vhost", publish.SeverityError, "no_vhost", "add_vhost nowhere"},
		{"missing", publish.Config{Exchange: "missing", Declare: passive}, "exchange", publish.SeverityError, "no_exchange", "declare exchange name=missing"},
		{"missing, active", publish.Config{Exchange: d.exchange + ".new"}, "exchange", publish.SeverityOK, "", "has been declared"},
		{"no topic exchange", publish.Config{Exchange: "amq.fanout"}, "exchange", publish.SeverityError, "exchange_type", "name another one"},
		{"no topic exchange, passive", publish.Config{Exchange: "amq.fanout", Declare: passive}, "exchange", publish.SeverityError, "exchange_type", "name another one"},
		{"reserved", publish.Config{Exchange: "amq.ours"}, "exchange", publish.SeverityError, "exchange_reserved", "does not begin with amq."},
		{"fleeting", publish.Config{Exchange: d.exchange + ".fleeting", Declare: active}, "exchange", publish.SeverityError, "exchange_settings", `set declare = "passive"`},
		{"fleeting, passive", publish.Config{Exchange: d.exchange + ".fleeting", Declare: passive}, "exchange", publish.SeverityWarning, "exchange_settings", "unless it is meant to be so"},
	} {
		config := test.config
		if config.URLs == nil {
			config.URLs = []string{good}
		}
		if config.Exchange == "" {
			config.Exchange = d.exchange
		}
		findings := publish.Examine(t.Context(), config)
		wantFinding(t, test.name, finding(t, findings, test.step), test.severity, test.code, test.want)
		if strings.Contains(fmt.Sprint(findings), "s3cret") {
			t.Errorf("%s: the password is shown: %+v", test.name, findings)
		}
	}
	for _, exchange := range []string{d.exchange + ".new", d.exchange + ".fleeting"} {
		if err := d.ch.ExchangeDelete(exchange, false, false); err != nil {
			t.Error(err)
		}
	}
}

// A broker in alarm says so only to those who publish, and then reads nothing more.
func TestExamineAlarm(t *testing.T) {
	d := newDesk(t)
	d.bind(t, "#", nil)
	stack.must(t, "broker", "rabbitmqctl set_vm_memory_high_watermark 0.00001")
	defer stack.must(t, "broker", "rabbitmqctl set_vm_memory_high_watermark 0.4")
	const tries = 30 // RabbitMQ looks at its memory every second or so, and its tool takes about one.
	for range tries {
		if strings.Contains(stack.on(t, "broker", "rabbitmq-diagnostics alarms"), "emory") {
			break
		}
	}
	findings := publish.Examine(t.Context(), publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange})
	wantFinding(t, "in alarm", finding(t, findings, "alarm"), publish.SeverityError, "alarm", "memory")
	wantFinding(t, "in alarm", finding(t, findings, "publish"), publish.SeverityOK, "", "may publish")
}

// A broker that stops to answer, at whatever step, is reported when the context ends.
func TestExamineFrozenBroker(t *testing.T) {
	for _, mode := range []proxy.Mode{proxy.Freeze, proxy.Blackhole} {
		d := newDesk(t)
		u, px := through(t)
		px.SetMode(mode)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		within(t, "the examination to end", func() {
			f := finding(t, publish.Examine(ctx, publish.Config{URLs: []string{u}, Exchange: d.exchange}), "login")
			wantFinding(t, "frozen", f, publish.SeverityError, "timeout", "rabbitmq-diagnostics check_running")
		})
		cancel()
	}
}

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
		if strings.HasSuffix(f.Step, " "+step) {
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
		_, step, _ := strings.Cut(f.Step, " ")
		if f.Severity != publish.SeverityOK {
			t.Errorf("%+v", f)
		}
		steps = append(steps, step)
	}
	if got, want := strings.Join(steps, " "), "connect login server exchange publish alarm"; got != want {
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
		want        string
	}{
		{"no vhost", "clear_permissions examined", publish.DeclareActive, "login", publish.SeverityError, "set_permissions -p / examined '^test"},
		{"nothing but the vhost", "set_permissions examined '^$' '^$' '^$'", publish.DeclarePassive, "publish", publish.SeverityError, "set_permissions -p / examined '^$' '^test"},
		{"no configure", "set_permissions examined '^$' '.*' '^$'", publish.DeclareActive, "exchange", publish.SeverityError, "set_permissions -p / examined '^test"},
		{"just enough", "set_permissions examined '^$' '^test' '^$'", publish.DeclarePassive, "publish", publish.SeverityOK, "may publish"},
		{"other topics", fmt.Sprintf("set_topic_permissions examined %s '^other' '^$'", d.exchange), publish.DeclarePassive, "publish", publish.SeverityWarning, "set_topic_permissions"},
	} {
		stack.must(t, "broker", "rabbitmqctl "+test.grant)
		findings := publish.Examine(t.Context(), publish.Config{URLs: []string{url}, Exchange: d.exchange, Declare: test.declare})
		f := finding(t, findings, test.step)
		if f.Severity != test.severity || !strings.Contains(f.Detail+" "+f.Remedy, test.want) {
			t.Errorf("%s: found %+v\nwant %s and to read %q", test.name, f, test.severity, test.want)
		}
	}
}

func TestExamineExchange(t *testing.T) {
	d := newDesk(t)
	good := brokerURL(t)
	for _, test := range []struct {
		name     string
		config   publish.Config
		step     string
		severity publish.Severity
		want     string
	}{
		{"wrong password", publish.Config{URLs: []string{strings.Replace(good, ":admin@", ":s3cret@", 1)}}, "login", publish.SeverityError, "check user and password"},
		{"no vhost", publish.Config{URLs: []string{good + "nowhere"}}, "login", publish.SeverityError, "add_vhost nowhere"},
		{"missing", publish.Config{Exchange: "missing", Declare: publish.DeclarePassive}, "exchange", publish.SeverityError, "declare it"},
		{"missing, active", publish.Config{Exchange: d.exchange + ".new"}, "exchange", publish.SeverityOK, "has been declared"},
		{"no topic exchange", publish.Config{Exchange: "amq.fanout"}, "exchange", publish.SeverityError, "no durable topic exchange"},
		{"no topic exchange, passive", publish.Config{Exchange: "amq.fanout", Declare: publish.DeclarePassive}, "exchange", publish.SeverityError, "no durable topic exchange"},
	} {
		config := test.config
		if config.URLs == nil {
			config.URLs = []string{good}
		}
		if config.Exchange == "" {
			config.Exchange = d.exchange
		}
		findings := publish.Examine(t.Context(), config)
		f := finding(t, findings, test.step)
		if f.Severity != test.severity || !strings.Contains(f.Detail+" "+f.Remedy, test.want) {
			t.Errorf("%s: found %+v\nwant %s and to read %q", test.name, f, test.severity, test.want)
		}
		if strings.Contains(fmt.Sprint(findings), "s3cret") {
			t.Errorf("%s: the password is shown: %+v", test.name, findings)
		}
	}
	if err := d.ch.ExchangeDelete(d.exchange+".new", false, false); err != nil {
		t.Error(err)
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
	if f := finding(t, findings, "alarm"); f.Severity != publish.SeverityError || !strings.Contains(f.Detail, "memory") {
		t.Errorf("found %+v", f)
	}
	if f := finding(t, findings, "publish"); f.Severity != publish.SeverityOK {
		t.Errorf("found %+v", f)
	}
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
			if f.Severity != publish.SeverityError || !strings.Contains(f.Remedy, "frozen") {
				t.Errorf("found %+v", f)
			}
		})
		cancel()
	}
}

package publish

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// TestExplain has the broker's words as RabbitMQ 3.10 says them.
func TestExplain(t *testing.T) {
	server := func(code int, reason string) error { return &amqp.Error{Code: code, Reason: reason, Server: true} }
	for name, tc := range map[string]struct {
		err       error
		connected bool
		want      string // The whole text, or its end if it begins with "…".
	}{
		"no permission on the vhost": {
			server(530, "NOT_ALLOWED - access to vhost 'fleet' refused for user 'least'"), false,
			`broker amqp://h:5672/fleet: NOT_ALLOWED - access to vhost 'fleet' refused for user 'least' (530): grant it: ` +
				`rabbitmqctl set_permissions -p fleet USER '^$' '^fleet\.status$' '^$'`,
		},
		"no vhost": {server(530, "NOT_ALLOWED - vhost fleet not found"), false, "…or make it: rabbitmqctl add_vhost fleet"},
		"no permission on the exchange": {
			server(403, "ACCESS_REFUSED - access to exchange 'fleet.status' in vhost '/' refused for user 'least'"), true,
			`…'^$' '^fleet\.status$' '^$'; with these, set declare = "passive", for active also wants configure`,
		},
		"no permission on a topic": {
			server(403, "ACCESS_REFUSED - write access to topic 'status.web.a' in exchange 'fleet.status' in vhost 'fleet' refused for user 'least'"), true,
			`…rabbitmqctl set_topic_permissions -p fleet USER fleet.status '^(status|event|collector)\.' '^$'`,
		},
		"too big": {
			server(406, "PRECONDITION_FAILED - message size 17825792 is larger than configured max size 16777216"), true,
			"…raise max_message_size in the broker's configuration, or watch fewer units on the host",
		},
		"expired certificate": {
			&amqp.Error{Code: 501, Reason: "remote error: tls: expired certificate"}, false,
			"…tls: expired certificate: the broker refuses the client certificate: renew cert_file, by a CA in the broker's ssl_options.cacertfile",
		},
		"broker's certificate expired": {
			x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired},
			false,
			"…renew the broker's certificate, or correct this machine's clock",
		},
		"wrong password": {amqp.ErrCredentials, false, "…not allowed: check user and password (guest may only log in on the broker's own machine)"},
		"no EXTERNAL":    {amqp.ErrSASL, false, "…EXTERNAL needs its plugin rabbitmq_auth_mechanism_ssl"},
		"no exchange":    {server(404, "NOT_FOUND - no exchange 'fleet.status' in vhost '/'"), true, `…name=fleet.status type=topic durable=true) or set declare = "active"`},
		"other exchange": {server(406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange"), false, "…delete it or configure another name"},
		"shut down":      {server(320, "CONNECTION_FORCED - shutdown"), true, "broker amqp://h:5672/fleet: CONNECTION_FORCED - shutdown (320)"},
		"no AMQP":        {&amqp.Error{Code: 501, Reason: "EOF"}, false, "broker amqp://h:5672/fleet: EOF: is this RabbitMQ's AMQP port (5672, with amqps 5671)?"},
		"AMQP to TLS": {
			&amqp.Error{Code: 501, Reason: `Exception (501) Reason: "frame size exceeds negotiated frame_max"`}, false,
			"broker amqp://h:5672/fleet: frame size exceeds negotiated frame_max: is this RabbitMQ's AMQP port (5672, with amqps 5671)?",
		},
		"hung up on":       {&net.OpError{Op: "write", Err: net.ErrClosed}, false, "…is this RabbitMQ's AMQP port (5672, with amqps 5671)?"},
		"EOF later":        {&amqp.Error{Code: 501, Reason: "EOF"}, true, "broker amqp://h:5672/fleet: EOF"},
		"refused":          {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, false, "…is RabbitMQ running there, on port 5672?"},
		"no such name":     {&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}, false, "…check the host name in the URL"},
		"unknown CA":       {x509.UnknownAuthorityError{}, false, "…set ca_file to the certificate of the CA that signed the broker's"},
		"another name":     {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}, false, "…use a name from the broker's certificate in the URL"},
		"late":             {os.ErrDeadlineExceeded, false, "…a firewall, or a broker that is frozen or overloaded; ask it, there: rabbitmq-diagnostics status"},
		"late answer":      {errNoAnswer, false, "…a firewall, or a broker that is frozen or overloaded; ask it, there: rabbitmq-diagnostics status"},
		"something else":   {errors.New("bang"), false, "broker amqp://h:5672/fleet: bang"},
		"and when running": {os.ErrDeadlineExceeded, true, "broker amqp://h:5672/fleet: i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := parseBroker("amqp://u:s3cret@h/fleet")
			if err != nil {
				t.Fatal(err)
			}
			e := explain(b, Config{Exchange: "fleet.status", Declare: DeclareActive}, tc.err, tc.connected)
			end, part := strings.CutPrefix(tc.want, "…")
			if got := e.Error(); got != tc.want && (!part || !strings.HasSuffix(got, end)) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if !errors.Is(e, tc.err) {
				t.Error("the cause is lost")
			}
		})
	}
}

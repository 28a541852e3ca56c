package publish

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// The codes of the findings that keep a Publisher from publishing. Their meaning is in [examination.advice].
const (
	codeConfig      = "bad_configuration"
	codeUnresolved  = "unresolved"
	codeRefused     = "refused"
	codeUnreachable = "unreachable"
	codeTimeout     = "timeout"         // at any step after the TCP connection
	codeLost        = "connection_lost" // likewise

	codeTLSFiles          = "tls_files"
	codeNoTLS             = "no_tls"
	codeNeedsTLS          = "needs_tls"
	codeTLSFailed         = "tls_failed"
	codeUntrusted         = "certificate_untrusted"
	codeOtherName         = "certificate_name"
	codeExpired           = "certificate_expired"
	codeClientCertificate = "client_certificate"

	codeNotAMQP     = "not_amqp"
	codeAMQPVersion = "amqp_version"
	codeClosed      = "closed"
	codeNoMechanism = "no_mechanism"
	codeAuthFailed  = "auth_failed"

	codeNoVhost     = "no_vhost"
	codeVhostDenied = "vhost_denied"
	codeVhostDown   = "vhost_down"
	codeLimit       = "connection_limit"

	codeNoExchange       = "no_exchange"
	codeExchangeType     = "exchange_type"
	codeExchangeSettings = "exchange_settings"
	codeExchangeInternal = "exchange_internal"
	codeExchangeReserved = "exchange_reserved"
	codeDenied           = "denied"
)

// unpublished is what all that keeps a Publisher from publishing comes to.
const unpublished = "nothing is published through this broker until that is mended; run goes on trying, and keeps the events"

// unsafe is why the collector sends nothing to a broker that does not prove who it is.
const unsafe = "anyone on the way could answer in the broker's place and would get the login and all messages, so the collector sends nothing"

// advice says what a code means, why it matters, and what to do about it at or for x's broker.
func (x *examination) advice(code string) (problem, why, remedy string) {
	host, port := shellWord(x.broker.uri.Host), strconv.Itoa(x.broker.uri.Port)
	why = unpublished
	switch code {
	case codeConfig:
		problem = "the table [broker] of the inventory cannot be used"
		why = "run does not start with it"
		remedy = "correct the table [broker]; service_manager check reads it without connecting"
	case codeUnresolved:
		problem = "the broker's host name has no address"
		remedy = "do the same by hand: getent ahosts " + host + "; then correct the name in url of [broker], or make it known in DNS or /etc/hosts"
	case codeRefused:
		problem = "nothing listens on the broker's port"
		remedy = "start it, on the broker: sudo systemctl start rabbitmq-server; if it runs, see where it listens: rabbitmq-diagnostics listeners, and " +
			"ss -ltn 'sport = :" + port + "'; then correct host and port in url of [broker]; if it listens there, a firewall refuses: sudo nft list ruleset"
	case codeUnreachable:
		problem = "there is no TCP connection to the broker"
		remedy = "find out where it ends: nc -vz -w 5 " + host + " " + port + ", and tracepath -n " + host + "; then start the broker's host, open the " +
			"port in the firewalls between, or correct host and port in url of [broker]"
	case codeTimeout:
		problem = "the broker takes the connection, but answers too late or not at all"
		why = "it is frozen, overloaded or no broker at all; " + unpublished
		remedy = "on the broker: rabbitmq-diagnostics listeners (is port " + port + " one for AMQP?), rabbitmq-diagnostics check_running, and top; " +
			"if all is well there, find what between swallows packets: tracepath -n " + host
	case codeLost:
		problem = "the broker ends the connection, or it breaks"
		remedy = "run doctor again; if it comes back, see what the broker says: rabbitmq-diagnostics log_tail"
	default:
		return x.tlsAdvice(code)
	}
	return problem, why, remedy
}

func (x *examination) tlsAdvice(code string) (problem, why, remedy string) {
	why = unsafe
	switch code {
	case codeTLSFiles:
		problem = "the collector cannot use its own certificate files"
		why = "without them it does not even try to connect; " + unpublished
		remedy = "correct ca_file, cert_file and key_file in [broker]: PEM files that the collector's account can read; look into one: " +
			"openssl x509 -noout -subject -dates -in FILE"
	case codeNoTLS:
		problem = "the port speaks no TLS, but the URL asks for it"
		why = "anyone on the way could read the password, so the collector does not send it; " + unpublished
		remedy = "find the port with protocol amqp/ssl, on the broker: rabbitmq-diagnostics listeners; name it in url of [broker] (commonly 5671); " +
			"or, on a network that no one else can listen to, write amqp:// in place of amqps://"
	case codeNeedsTLS:
		problem, why = "the port speaks TLS, but the URL does not ask for it", unpublished
		remedy = "write amqps:// in place of amqp:// in url of [broker], with ca_file where no CA of this machine signed the broker's certificate; see it: " +
			x.openssl("")
	case codeTLSFailed:
		problem, why = "TLS fails before there is a secure connection", unpublished
		remedy = "compare: " + x.openssl("") + "; on the broker: rabbitmq-diagnostics listeners (is this port amqp/ssl?), rabbitmq-diagnostics " +
			"tls_versions, its files in ssl_options of rabbitmq.conf, and rabbitmq-diagnostics log_tail" + x.orCertificate()
	case codeUntrusted:
		problem = "the broker's certificate is not one that the collector trusts"
		remedy = "set ca_file in [broker] to the certificate of the CA that signed it; it is the right file when this ends with \"Verify return code: 0\": " +
			x.openssl("-verify_return_error -CAfile "+shellWord(cmp.Or(x.cfg.CAFile, x.broker.uri.CACertFile, "FILE")))
	case codeOtherName:
		problem = "the broker's certificate is for another name"
		remedy = "use one of its names in url of [broker], or have it issued for " + shellWord(cmp.Or(x.broker.uri.ServerName, x.broker.uri.Host)) + " too; they are: " +
			x.openssl("") + " | openssl x509 -noout -subject -ext subjectAltName"
	case codeExpired:
		problem = "the broker's certificate is not valid at this time"
		remedy = "renew it (ssl_options.certfile in the broker's rabbitmq.conf), or correct this machine's clock: timedatectl; its dates: " +
			x.openssl("") + " | openssl x509 -noout -dates"
	case codeClientCertificate:
		problem, why = "the broker gets no client certificate that it can verify", unpublished
		remedy = "set cert_file and key_file in [broker], signed by a CA in the broker's ssl_options.cacertfile, and valid; try them: " +
			x.openssl("-cert "+shellWord(cmp.Or(x.cfg.CertFile, "FILE"))+" -key "+shellWord(cmp.Or(x.cfg.KeyFile, "FILE")))
	default:
		return x.loginAdvice(code)
	}
	return problem, why, remedy
}

func (x *examination) loginAdvice(code string) (problem, why, remedy string) {
	why = unpublished
	vhost := shellWord(x.broker.uri.Vhost)
	switch code {
	case codeNotAMQP:
		problem = "what answers on the port is no AMQP broker"
		remedy = "name the port of AMQP in url of [broker]: commonly 5672, with amqps:// 5671 (15672 is the management page); on the broker: " +
			"rabbitmq-diagnostics listeners"
	case codeAMQPVersion:
		problem = "the broker speaks another version of AMQP"
		remedy = "name a broker that speaks AMQP 0-9-1 in url of [broker], as RabbitMQ does on the ports for AMQP of: rabbitmq-diagnostics listeners"
	case codeClosed:
		problem = "the connection is closed without a word before the login"
		remedy = "on the broker: rabbitmq-diagnostics listeners (is this port one for AMQP?), rabbitmq-diagnostics check_running (is it still " +
			"starting?), and rabbitmq-diagnostics log_tail (a limit of connections?)" + x.orCertificate()
	case codeNoMechanism:
		problem = "the broker offers no way to log in that the inventory allows"
		remedy = `allow it in the broker's rabbitmq.conf: auth_mechanisms.1 = PLAIN; or set auth = "external" in [broker]`
		if x.cfg.External {
			remedy = "on the broker: rabbitmq-plugins enable rabbitmq_auth_mechanism_ssl, and in its rabbitmq.conf: auth_mechanisms.1 = EXTERNAL; or " +
				`remove auth = "external" from [broker]`
		}
	case codeAuthFailed:
		problem = "the broker does not accept the login"
		remedy = x.loginRemedy()
	case codeNoVhost:
		problem = "the broker has no such vhost"
		remedy = "compare: rabbitmqctl list_vhosts; then correct the last part of url in [broker], or make it: rabbitmqctl add_vhost " + vhost +
			", and " + x.grant()
	case codeVhostDenied:
		problem = "the user may not use the vhost"
		remedy = x.grant()
	case codeVhostDown:
		problem = "the vhost is down on this node of the broker"
		remedy = "see why: rabbitmq-diagnostics log_tail; then: rabbitmqctl restart_vhost -p " + vhost
	case codeLimit:
		problem = "a limit of connections or channels keeps the collector out"
		remedy = fmt.Sprintf("close what is not needed: rabbitmqctl list_connections user vhost peer_host name; or raise the limit, which rabbitmqctl "+
			"list_user_limits --user %s and list_vhost_limits -p %s show, with set_user_limits or set_vhost_limits", x.user(), vhost)
	default:
		return x.exchangeAdvice(code)
	}
	return problem, why, remedy
}

// orCertificate is advice on what a broker that wants a client certificate may also do when it gets none. Go sends none that is not
// signed by a CA that the broker names.
func (x *examination) orCertificate() string {
	switch {
	case x.broker.uri.Scheme != "amqps":
		return ""
	case x.cfg.CertFile == "" && x.broker.uri.CertFile == "":
		return "; if it wants a client certificate, set cert_file and key_file in [broker]"
	}
	return "; if it wants a client certificate, its ssl_options.cacertfile must have the CA that signed cert_file"
}

// loginRemedy is for what the broker takes for a wrong user or password. It does not say which.
func (x *examination) loginRemedy() string {
	switch {
	case x.cfg.External:
		return "compare the certificate's name (ssl_cert_login_from in rabbitmq.conf says which) with: rabbitmqctl list_users; make the user: rabbitmqctl " +
			"add_user NAME, and rabbitmqctl clear_password NAME"
	case x.broker.uri.Username == "guest":
		return "guest may only log in on the broker's own machine, so make another user: rabbitmqctl add_user service_manager, and name it in url of [broker]"
	}
	user := x.user()
	return fmt.Sprintf("on the broker: rabbitmqctl authenticate_user %s, which asks for the password; then correct it in url or password_file of [broker] "+
		"(in a url @ is %%40, / is %%2F), or: rabbitmqctl change_password %s; rabbitmqctl add_user %s if there is none", user, user, user)
}

func (x *examination) exchangeAdvice(code string) (problem, why, remedy string) {
	why = unpublished
	switch code {
	case codeNoExchange:
		problem = "the exchange is not there, and run may not declare it"
		remedy = "declare it: " + x.declare() + `; or set declare = "active" in [broker], for which the user needs the configure permission on it`
	case codeExchangeType:
		problem = "there is an exchange of this name that is no topic exchange"
		why = "consumers could not bind to just the hosts or groups that they want; " + unpublished
		remedy = "name another one in exchange of [broker]; or " + x.anew()
	case codeExchangeInternal:
		problem = "the exchange is internal: it takes messages from other exchanges alone"
		remedy = "name another one in exchange of [broker]; or " + x.anew()
	case codeExchangeSettings:
		problem = "the exchange has other settings than run would give it"
		why = `one that is not durable, or deletes itself, is gone one day with all its bindings; and where declare = "active", the broker lets run use none ` +
			"with other settings"
		remedy = "unless it is meant to be so, " + x.anew()
		if x.cfg.Declare == DeclareActive {
			remedy = `if it is meant to be so, set declare = "passive" in [broker]; else ` + x.anew()
		}
	case codeExchangeReserved:
		problem = "the exchange's name is reserved for the broker's own"
		remedy = "name one that does not begin with amq. in exchange of [broker]"
	case codeDenied:
		problem = "the user lacks a permission on the exchange"
		remedy = x.grant()
	}
	return problem, why, remedy
}

// declare is the command that declares the exchange as run would.
func (x *examination) declare() string {
	return "rabbitmqadmin --vhost=" + shellWord(x.broker.uri.Vhost) + " declare exchange name=" + shellWord(x.cfg.Exchange) + " type=topic durable=true"
}

// anew is how an exchange comes to have other settings. No one can delete those that come with the broker.
func (x *examination) anew() string {
	if strings.HasPrefix(x.cfg.Exchange, "amq.") {
		return "see which there are: rabbitmqctl list_exchanges -p " + shellWord(x.broker.uri.Vhost) + " name type durable"
	}
	return "delete it, which its consumers' bindings do not survive: rabbitmqadmin --vhost=" + shellWord(x.broker.uri.Vhost) + " delete exchange name=" +
		shellWord(x.cfg.Exchange) + "; and declare it anew: " + x.declare()
}

// grant is the command for the permissions that the configuration needs, and none other.
func (x *examination) grant() string {
	only := "^" + regexp.QuoteMeta(x.cfg.Exchange) + "$"
	configure, hint := "^$", ""
	if x.cfg.Declare == DeclareActive {
		configure, hint = only, `; with '^$' in place of the first pattern where declare = "passive"`
	}
	return fmt.Sprintf("give the user these permissions, which replace what it has: rabbitmqctl set_permissions -p %s %s %s %s '^$'%s",
		shellWord(x.broker.uri.Vhost), x.user(), shellWord(configure), shellWord(only), hint)
}

// user is who logs in, as a word of a shell.
func (x *examination) user() string {
	if x.cfg.External {
		return "USER" // Whom the broker takes from the certificate.
	}
	return shellWord(x.broker.uri.Username)
}

// openssl is the command that makes a TLS connection to the broker and shows what comes of it.
func (x *examination) openssl(options string) string {
	command := "openssl s_client -connect " + shellWord(net.JoinHostPort(x.broker.uri.Host, strconv.Itoa(x.broker.uri.Port)))
	if name := x.broker.uri.ServerName; name != "" {
		command += " -servername " + shellWord(name)
	}
	if options != "" {
		command += " " + options
	}
	return command + " </dev/null"
}

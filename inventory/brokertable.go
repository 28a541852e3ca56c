package inventory

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func (p *parser) broker(raw *rawBroker) Broker {
	b := Broker{
		Exchange: "service_manager",
		Declare:  oneOf(p, raw.Declare, "declare", DeclareActive, DeclarePassive, DeclareNone),
		External: oneOf(p, raw.Auth, "auth", "plain", "external") == "external",
		Outbox: Outbox{
			MaxMessages: p.integer(raw.OutboxMaxMessages, "outbox_max_messages", 1000, 1e9, 1_000_000),
			MaxBytes:    p.bytes(raw.OutboxMaxBytes, "outbox_max_bytes", 1<<20, 1<<30),
		},
		UnroutableFor: p.duration(raw.UnroutableFor, "unroutable_for", 0, 30*24*time.Hour, time.Hour),
		Queues:        p.queues(raw.Queues),
	}
	if raw.StatusTTL.v != 0 {
		b.StatusTTL = p.duration(raw.StatusTTL, "status_ttl", time.Second, 30*24*time.Hour, 0)
	}
	if name, ok := p.word(raw.Exchange, "exchange"); ok {
		b.Exchange = p.shortString(raw.Exchange, "exchange", name)
	}
	b.URLs = p.brokerURLs(raw)
	b.CAFile, _ = p.readable(raw.CAFile, "ca_file")
	b.CertFile, _ = p.readable(raw.CertFile, "cert_file")
	b.KeyFile, _ = p.readable(raw.KeyFile, "key_file")
	p.secret(raw.KeyFile.at, "key_file", b.KeyFile)
	p.checkTLS(raw, b.URLs)
	if b.Declare == DeclareNone && len(raw.Queues) > 0 {
		p.notice(raw.Queues[0].at, `broker.queues: no queue is declared or looked for with declare = "none"`)
	}
	return b
}

// checkTLS sees that the keys about TLS and EXTERNAL fit each other and the URLs.
func (p *parser) checkTLS(raw *rawBroker, urls []string) {
	tls := 0
	for _, u := range urls {
		if strings.HasPrefix(u, "amqps:") {
			tls++
		}
	}
	for key, t := range map[string]text{"ca_file": raw.CAFile, "cert_file": raw.CertFile, "key_file": raw.KeyFile} {
		if t.given() && len(urls) > 0 && tls == 0 {
			p.mistake(t.at, "%s has no effect without TLS; write amqps:// in the URL or remove the key", key)
		}
	}
	switch cert, key := raw.CertFile, raw.KeyFile; {
	case cert.given() && !key.given():
		p.mistake(cert.at, "cert_file without key_file; write key_file too")
	case key.given() && !cert.given():
		p.mistake(key.at, "key_file without cert_file; write cert_file too")
	}
	if raw.Auth.v != "external" {
		return
	}
	switch {
	case !raw.CertFile.given() && !raw.KeyFile.given():
		p.mistake(raw.Auth.at, `auth = "external" means the client's certificate; write cert_file and key_file`)
	case tls < len(urls):
		p.mistake(raw.Auth.at, `auth = "external" needs TLS; write amqps:// in every URL`)
	case raw.PasswordFile.given():
		p.mistake(raw.PasswordFile.at, `password_file has no effect with auth = "external"; remove one of them`)
	}
	for _, s := range urls {
		if u, err := url.Parse(s); err == nil && hasPassword(u) {
			p.mistake(raw.Auth.at, `auth = "external" uses no password; remove it from the URL`)
			return
		}
	}
}

func hasPassword(u *url.URL) bool {
	_, ok := u.User.Password()
	return ok
}

// brokerURLs returns the URLs with environment variables and the password filled in.
func (p *parser) brokerURLs(raw *rawBroker) []string {
	given, key := raw.URLs.v, "urls"
	switch {
	case raw.URL.given() && raw.URLs.given():
		p.mistake(raw.URLs.at, "url and urls together; keep one of them")
		return nil
	case raw.URL.ok:
		given, key = []text{raw.URL}, "url"
	case raw.URLs.ok && len(given) == 0:
		p.mistake(raw.URLs.at, `urls is empty; write urls = ["amqp://USER@HOST:5672/"]`)
	}
	var password string
	fromFile := false
	if raw.Auth.v != "external" { // which has no use for it, as checkTLS says
		password, fromFile = p.password(raw.PasswordFile)
	}
	var urls []string
	for _, t := range given {
		u, err := p.brokerURL(t.v)
		if err == nil && fromFile {
			err = setPassword(u, password)
		}
		if err != nil {
			p.mistake(t.at, "%s: %v", key, err)
			continue
		}
		urls = append(urls, u.String())
	}
	return urls
}

func setPassword(u *url.URL, password string) error {
	switch {
	case hasPassword(u):
		return errors.New("has a password beside password_file; remove one of them")
	case u.User.Username() == "":
		return errors.New("names no user for the password in password_file; write amqp://USER@HOST")
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return nil
}

// password reads a file such as systemd's LoadCredential= provides. A newline at the end does not count.
func (p *parser) password(t text) (string, bool) {
	name, ok := p.readable(t, "password_file")
	if !ok {
		return "", false
	}
	p.secret(t.at, "password_file", name)
	data, err := p.cfg.ReadFile(name)
	if err != nil {
		p.mistake(t.at, "password_file: %s cannot be read: %v", name, reason(err))
		return "", false
	}
	password := strings.TrimRight(string(data), "\r\n")
	if password == "" || strings.ContainsAny(password, "\r\n") {
		p.mistake(t.at, "password_file: %s does not hold one line with a password", name)
		return "", false
	}
	return password, true
}

// brokerURL reads one URL (RabbitMQ URI specification). Its errors show nothing of it, since any part of a URL that was
// not understood may be a password.
func (p *parser) brokerURL(raw string) (*url.URL, error) {
	begin, end := userinfo(raw)
	expanded, err := p.expandEnv(raw, func(at int, value string) string {
		if at < begin || at >= end {
			return value
		}
		return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
	})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(expanded)
	switch {
	case err != nil || strings.Contains(u.Path+u.RawQuery, "@") || u.Fragment != "":
		return nil, errors.New("is not a URL; write amqp://USER:PASSWORD@HOST:5672/VHOST, with / ? # @ : % and spaces in user " +
			"and password as %2F and so on, or use password_file")
	case u.Scheme != "amqp" && u.Scheme != "amqps":
		return nil, errors.New("does not begin with amqp:// or amqps://")
	case u.Hostname() == "":
		return nil, errors.New("names no host; write amqp://USER@HOST:5672/")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("has a port that is not between 1 and 65535")
		}
	}
	return u, nil
}

// userinfo says where USER:PASSWORD begins and ends. What ${NAME} puts there is escaped; elsewhere it is taken as it is,
// also where one variable holds the whole URL.
func userinfo(raw string) (begin, end int) {
	scheme := strings.Index(raw, "://")
	if scheme < 0 {
		return 0, 0
	}
	begin = scheme + len("://")
	authority := raw[begin:]
	if i := strings.IndexAny(authority, "/?#"); i >= 0 {
		authority = authority[:i]
	}
	return begin, begin + max(strings.LastIndexByte(authority, '@'), 0)
}

// bytes is p.integer for sizes.
func (p *parser) bytes(s size, key string, least, otherwise int64) int64 {
	if !s.ok {
		return otherwise
	}
	if int64(s.v) < least {
		p.mistake(s.at, "%s is %d bytes; write at least %q", key, int64(s.v), fmt.Sprintf("%dMiB", least>>20))
		return otherwise
	}
	return int64(s.v)
}

// shortString checks a name against what AMQP can carry.
func (p *parser) shortString(t text, key, s string) string {
	if len(s) > maxRoutingKey || !utf8.ValidString(s) {
		p.mistake(t.at, "%s has %d bytes; AMQP allows %d", key, len(s), maxRoutingKey)
	}
	return s
}

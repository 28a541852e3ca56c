package inventory

import (
	"regexp"
	"time"
)

// none turns off what a key would inherit, as in ssh_config(5).
const none = "none"

var (
	// A user may be DOMAIN\name, name@realm or machine$, but nothing that a log line or a shell could take for more.
	userChars  = regexp.MustCompile(`^[\pL\pN_][\pL\pN._@\\+-]*\$?$`)
	aliasChars = regexp.MustCompile(`^[A-Za-z0-9.:_\[\]-]+$`)
)

// ssh returns the inherited settings with one ssh table on top.
func (p *parser) ssh(s SSH, raw *rawSSH) SSH {
	if !raw.given() {
		return s
	}
	if user, ok := p.word(raw.User, "user"); ok {
		if !userChars.MatchString(user) {
			p.mistake(raw.User.at, "user %q is not an account's name; write the name alone", user)
		}
		s.User = user
	}
	s.Port = p.integer(raw.Port, "port", 1, 65535, s.Port)
	if name, ok := p.readable(raw.IdentityFile, "identity_file"); ok {
		s.IdentityFile = name
	}
	if raw.KnownHosts.ok {
		s.KnownHosts = p.knownHosts(raw.KnownHosts)
	}
	if alias, ok := p.word(raw.HostKeyAlias, "host_key_alias"); ok {
		if !aliasChars.MatchString(alias) {
			p.mistake(raw.HostKeyAlias.at, "host_key_alias %q; write one name as it stands in known_hosts", alias)
		}
		s.HostKeyAlias = unlessNone(alias)
	}
	p.sshFile(&s.PassphraseFile, raw.PassphraseFile, "passphrase_file")
	p.sshFile(&s.CertificateFile, raw.CertificateFile, "certificate_file")
	p.sshFile(&s.ConfigFile, raw.ConfigFile, "config_file")
	p.sshLater(&s, raw)
	return s
}

// sshLater takes the keys without effect yet that are not files.
func (p *parser) sshLater(s *SSH, raw *rawSSH) {
	if raw.Agent.ok {
		if s.Agent = raw.Agent.v; s.Agent {
			p.notYet("ssh.agent", raw.Agent.at)
		}
	}
	if jump, ok := p.word(raw.Jump, "jump"); ok {
		s.Jump = p.jump(jump, raw.Jump)
	}
	if raw.Become.ok {
		if become := oneOf(p, raw.Become, "become", none, "sudo"); become != none {
			p.notYet("ssh.become", raw.Become.at)
			s.Become = become
		} else {
			s.Become = ""
		}
	}
	if raw.Keepalive.ok {
		p.notYet("ssh.keepalive", raw.Keepalive.at)
		if s.Keepalive = raw.Keepalive.v; s.Keepalive != 0 {
			s.Keepalive = p.duration(raw.Keepalive, "keepalive", time.Second, time.Hour, 0)
		}
	}
}

// sshFile sets a file whose use comes later, or none.
func (p *parser) sshFile(into *string, t text, key string) {
	if t.ok && t.v == none {
		*into = ""
		return
	}
	if t.given() {
		p.notYet("ssh."+key, t.at)
	}
	if name, ok := p.readable(t, key); ok {
		*into = name
	}
}

func unlessNone(s string) string {
	if s == none {
		return ""
	}
	return s
}

func (p *parser) knownHosts(l list) []string {
	if len(l.v) == 0 {
		p.mistake(l.at, "known_hosts is empty, so no host could be trusted; name a file or leave the key out")
	}
	var names []string
	for _, t := range l.v {
		if name, ok := p.readable(t, "known_hosts"); ok {
			names = append(names, name)
		}
	}
	return names
}

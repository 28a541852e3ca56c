package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// none turns off what a key would inherit, as in ssh_config(5).
const none = "none"

var (
	// A user may be DOMAIN\name, name@realm or machine$, but nothing that a log line or a shell could take for more.
	userChars  = regexp.MustCompile(`^[\pL\pN_][\pL\pN._@\\+-]*\$?$`)
	aliasChars = regexp.MustCompile(`^[A-Za-z0-9.:_\[\]-]+$`)
)

// sshSettings are the settings of [ssh], a group or a host, with what they inherit.
type sshSettings struct {
	SSH

	from sshPlaces
}

// sshPlaces say where the inventory sets a key that an OpenSSH client configuration may set too, or that is judged together
// with others; the zero place where it does not.
type sshPlaces struct {
	user, port, identityFile, certificateFile, knownHosts, hostKeyAlias, configFile, jump place
}

// defaultSSH is what holds for a host of which nothing is said.
func (p *parser) defaultSSH() sshSettings {
	return sshSettings{SSH: SSH{User: p.cfg.User, Port: 22, Mode: ModeExec, Keepalive: 15 * time.Second}}
}

// ssh returns the inherited settings with one ssh table on top.
func (p *parser) ssh(s sshSettings, raw *rawSSH) sshSettings {
	if !raw.given() {
		return s
	}
	if user, ok := p.word(raw.User, "user"); ok {
		if !userChars.MatchString(user) {
			p.mistake(raw.User.at, "user %q is not an account's name; write the name alone", user)
		}
		s.User, s.from.user = user, raw.User.at
	}
	if raw.Port.ok {
		s.Port, s.from.port = p.integer(raw.Port, "port", 1, 65535, s.Port), raw.Port.at
	}
	if raw.KnownHosts.ok {
		s.KnownHosts, s.from.knownHosts = p.knownHosts(raw.KnownHosts), raw.KnownHosts.at
	}
	if alias, ok := p.word(raw.HostKeyAlias, "host_key_alias"); ok {
		if !aliasChars.MatchString(alias) {
			p.mistake(raw.HostKeyAlias.at, "host_key_alias %q; write one name as it stands in known_hosts", alias)
		}
		s.HostKeyAlias, s.from.hostKeyAlias = unlessNone(alias), raw.HostKeyAlias.at
	}
	if jump, ok := p.word(raw.Jump, "jump"); ok {
		s.Jump, s.from.jump = p.jump(jump, raw.Jump), raw.Jump.at
	}
	if raw.Keepalive.ok {
		if s.Keepalive = raw.Keepalive.v; s.Keepalive != 0 {
			s.Keepalive = p.duration(raw.Keepalive, "keepalive", time.Second, time.Hour, 0)
		}
	}
	p.become(&s, raw.Become)
	if raw.Mode.ok {
		s.Mode = oneOf(p, raw.Mode, "mode", ModeExec, ModeStream)
	}
	p.sshKey(&s, raw)
	return s
}

// sshKey takes what is about the user's key, and the client configuration, which may name one.
func (p *parser) sshKey(s *sshSettings, raw *rawSSH) {
	if raw.Agent.ok {
		s.Agent = raw.Agent.v
	}
	if name, ok := p.identityFile(raw.IdentityFile); ok {
		s.IdentityFile, s.from.identityFile = name, raw.IdentityFile.at
	}
	if name, ok := p.fileOrNone(raw.PassphraseFile, "passphrase_file"); ok {
		s.PassphraseFile = name
		p.secret(raw.PassphraseFile.at, "passphrase_file", name)
	}
	if name, ok := p.fileOrNone(raw.CertificateFile, "certificate_file"); ok {
		s.CertificateFile, s.from.certificateFile = name, raw.CertificateFile.at
	}
	if name, ok := p.fileOrNone(raw.ConfigFile, "config_file"); ok {
		s.ConfigFile, s.from.configFile = name, raw.ConfigFile.at
		p.readClientConfig(s)
	} else if raw.ConfigFile.ok {
		s.ConfigFile = raw.ConfigFile.v // so that hosts are not said to lack what it may say of them
	}
}

// How a host is asked (SSH.Mode).
const (
	ModeExec   = "exec"   // by a command of its own for each poll
	ModeStream = "stream" // by one command that stays, and answers each poll
)

func (p *parser) become(s *sshSettings, t text) {
	if !t.ok {
		return
	}
	s.Become = ""
	if become := oneOf(p, t, "become", none, "sudo"); become != none {
		s.Become = become
	}
}

// fileOrNone is readable for a key that may be none, which is the empty name.
func (p *parser) fileOrNone(t text, key string) (string, bool) {
	if t.ok && t.v == none {
		return "", true
	}
	return p.readable(t, key)
}

// identityFile returns the name of a private or public key. Beside an agent the public one is enough, so only checkKey can
// say that it is not.
func (p *parser) identityFile(t text) (string, bool) {
	name, ok := p.path(t, "identity_file")
	if !ok {
		return "", false
	}
	if p.access(name) != nil && p.access(name+".pub") == nil {
		return name, true
	}
	if name, ok = p.readable(t, "identity_file"); ok {
		p.secret(t.at, "identity_file", name)
	}
	return name, ok
}

// checkKey sees that the key that a host's identity file names can be used, and names the public key where that is the one
// which is there.
func (p *parser) checkKey(s *sshSettings) {
	name := s.IdentityFile
	if s.from.identityFile.line == 0 {
		return
	}
	err := p.access(name)
	switch {
	case s.Agent && err != nil:
		s.IdentityFile += ".pub"
	case s.Agent:
	case strings.HasSuffix(name, ".pub"):
		p.mistake(s.from.identityFile, "identity_file: %s is a public key; name the private key, or set agent = true", name)
	case err != nil:
		p.mistake(s.from.identityFile, "identity_file: %s cannot be read: %v; correct the path or the file's permissions, or "+
			"set agent = true where an agent holds the key", name, reason(err))
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
		if name, ok := p.yetToBeMade(t); ok {
			names = append(names, name)
		} else if name, ok := p.readable(t, "known_hosts"); ok {
			names = append(names, name)
		}
	}
	return names
}

// yetToBeMade reports whether a file of known host keys is missing from a folder that exists, as before the first trust. It holds no
// keys then, as for OpenSSH.
func (p *parser) yetToBeMade(t text) (string, bool) {
	name, ok := p.path(t, "known_hosts")
	if !ok || !errors.Is(p.access(name), fs.ErrNotExist) {
		return "", false
	}
	if folder, err := p.cfg.Mode(filepath.Dir(name)); err != nil || !folder.IsDir() {
		return "", false
	}
	p.notice(t.at, fmt.Sprintf("known_hosts: %s does not exist; service_manager trust makes it", name))
	return name, true
}

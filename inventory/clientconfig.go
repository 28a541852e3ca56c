package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"service_manager/inventory/sshconfig"
)

// readClientConfig reads the client configuration of s, if it has one that was not read yet.
func (p *parser) readClientConfig(s *sshSettings) {
	name := s.ConfigFile
	if name == "" || p.clientConfigs[name] != nil {
		return
	}
	file, err := sshconfig.Read(name, sshconfig.Config{ReadFile: p.cfg.ReadFile, Glob: p.cfg.Glob, Home: p.cfg.Home})
	if err != nil {
		p.mistake(s.from.configFile, "config_file: %v", err)
		return
	}
	if p.clientConfigs == nil {
		p.clientConfigs = make(map[string]*sshconfig.File)
	}
	p.clientConfigs[name] = file
}

// client is a host that takes from a client configuration what the inventory does not say.
type client struct {
	*parser
	*sshconfig.Answer

	host   *Host
	ssh    *sshSettings // what the inventory says
	name   string       // by which the configuration knows the host
	tokens map[byte]string
}

// configure takes over what the host's client configuration, if it has one, says of name: as ssh would, were the keys of
// the inventory given as options. What the configuration says of jump hosts is left to the caller, in the answer.
func (p *parser) configure(h *Host, s *sshSettings, name string, addressed bool) *sshconfig.Answer {
	file := p.clientConfigs[s.ConfigFile]
	if file == nil {
		return nil
	}
	query := sshconfig.Query{Name: name, LocalUser: p.cfg.User}
	if addressed {
		query.HostName = h.Address
	}
	if s.from.user.line > 0 {
		query.User = h.SSH.User
	}
	c := &client{parser: p, Answer: file.Lookup(query), host: h, ssh: s, name: name}
	c.where(addressed)
	c.login()
	c.tokens = map[byte]string{
		'd': p.cfg.Home, 'h': h.Address, 'k': cmp.Or(h.SSH.HostKeyAlias, name), 'L': p.cfg.Hostname, 'l': p.cfg.Hostname, 'n': name,
		'p': strconv.Itoa(h.SSH.Port), 'r': h.SSH.User, 'u': p.cfg.User,
	}
	c.identityFile()
	c.certificateFile()
	c.knownHosts()
	c.passedOver()
	return c.Answer
}

// where takes HostName, Port and HostKeyAlias.
func (c *client) where(addressed bool) {
	if line, ok := c.First("hostname"); ok && !addressed {
		address, err := sshconfig.Expand(line.Args[0], map[byte]string{'h': c.name})
		if err == nil && !isAddress(address) {
			err = errors.New("this is neither a DNS name nor an IP address")
		}
		if err != nil {
			c.wrong(line, err)
		}
		if _, notIP := netip.ParseAddr(address); notIP != nil {
			address = strings.ToLower(address)
		}
		c.host.Address = address
	}
	if line, ok := c.First("port"); ok && c.ssh.from.port.line == 0 {
		port, err := strconv.ParseUint(line.Args[0], 10, 16)
		if err != nil || port == 0 {
			c.wrong(line, errors.New("write a number from 1 to 65535"))
		}
		c.host.SSH.Port = int(port)
	}
	if line, ok := c.First("hostkeyalias"); ok && c.ssh.from.hostKeyAlias.line == 0 {
		if !aliasChars.MatchString(line.Args[0]) {
			c.wrong(line, errors.New("write one name as it stands in known_hosts"))
		}
		c.host.SSH.HostKeyAlias = line.Args[0]
	}
}

func (c *client) login() {
	line, ok := c.First("user")
	if !ok || c.ssh.from.user.line > 0 {
		return
	}
	if !userChars.MatchString(line.Args[0]) {
		c.wrong(line, errors.New("this is not an account's name"))
	}
	c.host.SSH.User = line.Args[0]
}

// identityFile takes the first IdentityFile that is there. OpenSSH tries them all, but each key offered in vain counts for
// sshd as a failed attempt.
func (c *client) identityFile() {
	lines := c.All("identityfile")
	if c.ssh.from.identityFile.line > 0 || len(lines) == 0 {
		return
	}
	name, line, err := c.firstFile(lines, c.host.SSH.Agent)
	switch {
	case err != nil:
		c.wrong(line, err)
	case name == "" && !c.host.SSH.Agent:
		c.wrong(lines[0], errors.New("this leaves no key to log in with; write identity_file, or agent = true, in the inventory"))
	case strings.HasSuffix(name, ".pub") && !c.host.SSH.Agent:
		c.wrong(line, errors.New("this is a public key; name the private key, or set agent = true in the inventory"))
	default:
		c.host.SSH.IdentityFile = name
		c.secret(c.ssh.from.configFile, "config_file", name)
	}
}

func (c *client) certificateFile() {
	lines := c.All("certificatefile")
	if c.ssh.from.certificateFile.line > 0 || len(lines) == 0 {
		return
	}
	name, line, err := c.firstFile(lines, false)
	if err != nil {
		c.wrong(line, err)
	}
	c.host.SSH.CertificateFile = name
}

// firstFile returns the first file of one name per line that can be read, or the public key beside it if that is enough.
// Where all names are none it is empty. The error is about the line returned.
func (c *client) firstFile(lines []sshconfig.Line, public bool) (string, sshconfig.Line, error) {
	var missing sshconfig.Line
	var reason error
	for _, line := range lines {
		if strings.EqualFold(line.Args[0], none) {
			continue
		}
		name, err := c.expand(line.Args[0])
		if err != nil {
			return "", line, err
		}
		if err = c.access(name); err == nil {
			return name, line, nil
		}
		if public && c.access(name+".pub") == nil {
			return name + ".pub", line, nil
		}
		if reason == nil {
			missing, reason = line, c.cannotRead(name)
		}
	}
	return "", missing, reason
}

func (c *client) cannotRead(name string) error {
	return fmt.Errorf("%s cannot be read: %w", name, reason(c.access(name)))
}

// expand returns the file that a name stands for.
func (c *client) expand(name string) (string, error) {
	rest, inHome := strings.CutPrefix(name, "~/")
	if !inHome && strings.HasPrefix(name, "~") {
		return "", errors.New("of ~ only ~/ is understood; write the whole path")
	}
	switch {
	case inHome && c.cfg.Home == "":
		return "", errors.New("the home folder for ~/ is not known; write the whole path")
	case inHome:
		name = "%d/" + rest
	}
	name, err := sshconfig.Expand(name, c.tokens)
	if err == nil {
		name, err = c.expandEnv(name, nil)
	}
	return filepath.Clean(name), err
}

// knownHosts takes UserKnownHostsFile and GlobalKnownHostsFile. As in OpenSSH those that do not exist count for nothing, and
// where only one of the two is set the other has its default.
func (c *client) knownHosts() {
	user, setUser := c.First("userknownhostsfile")
	global, setGlobal := c.First("globalknownhostsfile")
	if c.ssh.from.knownHosts.line > 0 || !setUser && !setGlobal {
		return
	}
	line := user
	if !setUser {
		user.Args, line = []string{"~/.ssh/known_hosts"}, global
	}
	if !setGlobal {
		global.Args = []string{"/etc/ssh/ssh_known_hosts"}
	}
	var names []string
	for _, name := range slices.Concat(user.Args, global.Args) {
		if strings.EqualFold(name, none) {
			continue
		}
		name, err := c.expand(name)
		if err != nil {
			c.wrong(line, err)
			continue
		}
		switch err := c.access(name); {
		case err == nil:
			names = append(names, name)
		case !errors.Is(err, fs.ErrNotExist):
			c.wrong(line, c.cannotRead(name))
		}
	}
	if names == nil {
		c.wrong(line, errors.New("none of the files exists, so the host could not be trusted"))
	}
	c.host.SSH.KnownHosts = names
}

// passedOver says what of the configuration is not honoured.
func (c *client) passedOver() {
	for _, line := range c.Undecided {
		c.note(line, "the lines below it are passed over, since exec is never run, and some is known only once connected")
	}
	c.noteUnless("canonicalizehostname", "names are taken as they are written", "no")
	c.noteUnless("knownhostscommand", "no command is run", none)
	if c.host.SSH.Agent {
		c.noteUnless("identityagent", "the agent that is asked is that at $SSH_AUTH_SOCK", none, "SSH_AUTH_SOCK", "$SSH_AUTH_SOCK")
	}
}

func (c *client) noteUnless(keyword, text string, harmless ...string) {
	line, ok := c.First(keyword)
	if ok && !slices.ContainsFunc(harmless, func(value string) bool { return strings.EqualFold(value, line.Args[0]) }) {
		c.note(line, text)
	}
}

func (c *client) wrong(line sshconfig.Line, err error) {
	c.remark(c.ssh.from.configFile, line, c.host.Name, true, err.Error())
}

func (c *client) note(line sshconfig.Line, text string) {
	c.remark(c.ssh.from.configFile, line, c.host.Name, false, text)
}

// remarkKey is what remarks have in common of which one is shown: a line of a client configuration, which may hold for
// thousands of hosts, and the place in the inventory that names the file.
type remarkKey struct {
	at      place
	file    string
	line    int
	mistake bool
}

type remark struct {
	text  string
	hosts int
}

// remark says something of a line of a client configuration, as a mistake or a notice, with the first of the hosts that it
// is about.
func (p *parser) remark(at place, line sshconfig.Line, host string, mistake bool, text string) {
	key := remarkKey{at, line.File, line.Number, mistake}
	if known := p.remarks[key]; known != nil {
		known.hosts++
		return
	}
	if p.remarks == nil {
		p.remarks = make(map[remarkKey]*remark)
	}
	p.remarks[key] = &remark{fmt.Sprintf("config_file: %s: host %q: %s", line, host, text), 1}
}

func (p *parser) flushRemarks() {
	for key, r := range p.remarks {
		if r.hosts > 1 {
			r.text += fmt.Sprintf("; and so on for %d more", r.hosts-1)
		}
		if key.mistake {
			p.mistake(key.at, "%s", r.text)
		} else {
			p.notice(key.at, r.text)
		}
	}
}

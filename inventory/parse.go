package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"service_manager/inventory/sshconfig"
)

// Config is what Parse takes from its surroundings. The zero value is this process and its file system.
type Config struct {
	// LookupEnv finds the variables of ${NAME} and $STATE_DIRECTORY; nil means os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	// ReadFile reads included files, the password file and OpenSSH client configurations; nil means os.ReadFile.
	ReadFile func(name string) ([]byte, error)
	// Glob finds the files of an include pattern, also in a client configuration; nil means filepath.Glob.
	Glob func(pattern string) ([]string, error)
	// Real returns what two names of one file have in common; nil means the absolute path without symbolic links.
	Real func(name string) string
	// Readable says why a file that the inventory names cannot be read; nil means to open and close it.
	Readable func(name string) error
	// Mode returns the type and permissions of a file; nil means those that os.Stat gives.
	Mode func(name string) (fs.FileMode, error)
	// User is the default of ssh.user; empty means the user of this process.
	User string
	// Home is the folder of ~/; empty means that of the user of this process, as OpenSSH takes it.
	Home string
	// Hostname is the default of collector.name, up to its first dot; empty means os.Hostname.
	Hostname string
}

func (c Config) withDefaults() Config {
	if c.LookupEnv == nil {
		c.LookupEnv = os.LookupEnv
	}
	if c.ReadFile == nil {
		c.ReadFile = os.ReadFile
	}
	if c.Glob == nil {
		c.Glob = filepath.Glob
	}
	if c.Real == nil {
		c.Real = realPath
	}
	if c.Readable == nil {
		c.Readable = readable
	}
	if c.Mode == nil {
		c.Mode = mode
	}
	if c.User == "" || c.Home == "" {
		if me, err := user.Current(); err == nil { // without one, the keys that need it are asked for
			c.User, c.Home = cmp.Or(c.User, me.Username), cmp.Or(c.Home, me.HomeDir)
		}
	}
	if c.Hostname == "" {
		c.Hostname, _ = os.Hostname() // an empty name is asked for by collector.name
	}
	return c
}

// realPath is the absolute path of a file without symbolic links, as far as it exists.
func realPath(name string) string {
	if absolute, err := filepath.Abs(name); err == nil {
		name = absolute
	}
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	return name
}

// readable opens a file if that cannot block.
func readable(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a folder")
	case !info.Mode().IsRegular():
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return f.Close()
}

func mode(name string) (fs.FileMode, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}

// Load reads the inventory at path and what it includes. The error is an *Error. Where the caller has no path of its
// own, it passes DefaultPath.
func Load(path string) (*Inventory, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{Mistakes: []Mistake{{
			File: path, Message: fmt.Sprintf("cannot be read: %v; %s", reason(err), otherwise(err)), Cause: err,
		}}}
	}
	return Parse(path, data, Config{})
}

// otherwise is what to do where the inventory itself cannot be read.
func otherwise(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "write one, for which [[hosts]] and a name are enough, or name another with --inventory"
	case errors.Is(err, fs.ErrPermission):
		return "be an account that may read it, such as the collector's (sudo -u service_manager), or name another inventory with --inventory"
	}
	return "name another inventory with --inventory"
}

// Parse reads an inventory from data. Its name stands in messages, and its folder is where relative paths begin, also
// those in included files. The error is an *Error with every mistake.
func Parse(name string, data []byte, cfg Config) (*Inventory, error) {
	p := &parser{cfg: cfg.withDefaults(), dir: filepath.Dir(name), looked: make(map[string]error)}
	main, ok := p.add(name, data)
	if !ok {
		return nil, p.err()
	}
	files := append([]*rawFile{main}, p.includes(name, main.Include)...)
	inv := &Inventory{Collector: p.collector(&main.Collector), Broker: p.broker(&main.Broker)}
	for _, f := range p.files {
		inv.Files = append(inv.Files, f.name)
	}
	base := p.ssh(p.defaultSSH(), &main.SSH)
	groups := p.groups(files, settings{
		labels: map[string]string{}, interval: inv.Collector.Interval, timeout: inv.Collector.Timeout, ssh: base,
	})
	fleet := p.fleet(files, groups, &inv.Collector)
	p.checkJumpNames(fleet)
	inv.Hosts, inv.disabled, inv.parents = p.complete(fleet), fleet.disabled, groups.parents()
	p.flushRemarks()
	if err := p.err(); err != nil {
		return nil, err
	}
	inv.Notices = p.notices()
	return inv, nil
}

// parser turns the raw mirror into an Inventory.
type parser struct {
	report

	cfg     Config
	dir     string           // where relative paths begin
	files   []*file          // as read
	partial bool             // what is not here may be in an included file that could not be read
	looked  map[string]error // why a named file cannot be read
	jumps   []text           // every ssh.jump that names a host of the inventory
	hints   int              // see hint

	clientConfigs map[string]*sshconfig.File // the config files that could be read
	remarks       map[remarkKey]*remark      // see remark
}

// includes decodes what a main file of that name includes. What cannot be read leaves the inventory partial.
func (p *parser) includes(main string, include list) []*rawFile {
	p.partial = include.given() && !include.ok
	var files []*rawFile
	seen := map[string]bool{p.cfg.Real(main): true}
	for _, pattern := range include.v {
		names, ok := p.included(pattern)
		p.partial = p.partial || !ok
		for _, name := range names {
			same := p.cfg.Real(name)
			if seen[same] {
				continue
			}
			seen[same] = true
			data, err := p.cfg.ReadFile(name)
			if err != nil {
				p.mistake(pattern.at, "include: %s cannot be read: %v", name, reason(err))
				p.partial = true
				continue
			}
			f, ok := p.add(name, data)
			if !ok {
				p.partial = true
				continue
			}
			p.checkIncluded(f)
			files = append(files, f)
		}
	}
	return files
}

func (p *parser) add(name string, data []byte) (*rawFile, bool) {
	f := &file{name: name, order: len(p.files)}
	p.files = append(p.files, f)
	return p.decode(f, data)
}

// included returns the files of one entry of include. A name must exist, a pattern may match nothing. As in a shell, a
// pattern does not match files that begin with a dot, such as those an editor leaves. It reports false after a mistake.
func (p *parser) included(entry text) ([]string, bool) {
	pattern, ok := p.path(entry, "include")
	if !ok {
		return nil, false
	}
	if !strings.ContainsAny(pattern, `*?[\`) {
		return []string{pattern}, true
	}
	names, err := p.cfg.Glob(pattern)
	if err != nil {
		p.mistake(entry.at, "include: %q is not a pattern for files; close each [ with ]", entry.v)
		return nil, false
	}
	hidden := strings.HasPrefix(filepath.Base(pattern), ".")
	names = slices.DeleteFunc(names, func(name string) bool {
		return !hidden && strings.HasPrefix(filepath.Base(name), ".")
	})
	slices.Sort(names)
	return names, true
}

func (p *parser) checkIncluded(f *rawFile) {
	refuse := func(at place, key string) {
		p.mistake(at, "%s belongs in %s; an included file holds groups and hosts only", key, p.files[0].name)
	}
	if f.Include.given() {
		refuse(f.Include.at, "include")
	}
	if f.Collector.given() {
		refuse(f.Collector.at, "[collector]")
	}
	if f.Broker.given() {
		refuse(f.Broker.at, "[broker]")
	}
	if f.SSH.given() {
		refuse(f.SSH.at, "[ssh]")
	}
}

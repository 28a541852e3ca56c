// Package sshconfig reads OpenSSH client configurations, ssh_config(5), and says which of their lines hold for a host.
//
// It understands what decides over that, Host, Match and Include, as OpenSSH 9.2 does, which is held against `ssh -G`. It
// executes nothing: a Match block that hangs on exec, or on anything else that is not known before connecting, is passed
// over and named in [Answer.Undecided].
package sshconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// maxDepth is how deep Include may go in OpenSSH (readconf.c, READCONF_MAX_DEPTH), maxFiles how many files may be read
// together, which keeps files that include each other in turns from taking forever.
const (
	maxDepth = 16
	maxFiles = 1000
)

// Config is what Read takes from its surroundings. All of it must be set.
type Config struct {
	ReadFile func(name string) ([]byte, error)
	Glob     func(pattern string) ([]string, error)
	// Home is the folder of ~/; relative names in Include begin in its .ssh.
	Home string
}

// A File is a configuration with all that it includes. It is not changed after Read, so it may be used by several
// goroutines.
type File struct {
	blocks []block
	// To look at 10,000 Host lines for each of 10,000 hosts would take seconds, so blocks for plain names are found by name.
	plain map[string][]int // name -> the blocks whose Host line has it among plain names only
	other []int            // all other blocks
}

// A block begins with a Host or Match line, or with its file, which holds for all hosts.
type block struct {
	hosts    []string // patterns of Host
	criteria []criterion
	opening  Line
	items    []item
}

// An item is a line, or what is included in its place.
type item struct {
	Line

	included []*File
}

// A Line is a keyword with its arguments.
type Line struct {
	// File and Number say where it stands.
	File   string
	Number int
	// Keyword is in small letters.
	Keyword string
	// Args has at least one element, without quotes. Those of a command are its one text.
	Args []string
}

// String is FILE:LINE: KEYWORD "ARGUMENTS".
func (l Line) String() string {
	return fmt.Sprintf("%s:%d: %s %q", l.File, l.Number, l.Keyword, strings.Join(l.Args, " "))
}

// keyword describes one that Read takes. All others are passed over, since OpenSSH gets new ones with each version.
type keyword struct {
	args    int  // how many arguments it takes at most; 0 for any number
	raw     bool // the rest of the line is one argument
	repeats bool // each line counts, not only the first
	slot    string
}

func known(name string) (keyword, bool) {
	switch name {
	case "hostname", "user", "port", "hostkeyalias", "identityagent", "canonicalizehostname", "tag":
		return keyword{args: 1, slot: name}, true
	case "identityfile", "certificatefile":
		return keyword{args: 1, repeats: true, slot: name}, true
	case "userknownhostsfile", "globalknownhostsfile":
		return keyword{slot: name}, true
	case "proxyjump":
		return keyword{args: 1, slot: name}, true
	case "proxycommand": // whichever of both comes first counts
		return keyword{raw: true, slot: "proxyjump"}, true
	case "knownhostscommand":
		return keyword{raw: true, slot: name}, true
	case "host", "match", "include":
		return keyword{}, true
	}
	return keyword{}, false
}

// Read reads the configuration in the file called name as `ssh -F name` does. The error names file and line.
func Read(name string, cfg Config) (*File, error) {
	r := &reader{Config: cfg}
	return r.file(name, 0)
}

type reader struct {
	Config

	files int
}

func (r *reader) file(name string, depth int) (*File, error) {
	if r.files++; depth > maxDepth || r.files > maxFiles {
		return nil, errors.New("the files include each other without an end")
	}
	data, err := r.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, bare(err))
	}
	f := &File{blocks: make([]block, 1), plain: make(map[string][]int)}
	number := 0
	for text := range strings.Lines(string(data)) {
		number++
		if err := r.line(f, strings.TrimSpace(text), Line{File: name, Number: number}, depth); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	f.index()
	return f, nil
}

// line adds one line of a file.
func (r *reader) line(f *File, text string, l Line, depth int) error {
	name, rest, err := splitKeyword(text)
	if err != nil || name == "" {
		return err
	}
	l.Keyword = strings.ToLower(name)
	kind, ok := known(l.Keyword)
	if !ok {
		return nil
	}
	if kind.raw {
		l.Args = []string{rest}
	} else if l.Args, err = splitArguments(rest); err != nil {
		return err
	}
	switch {
	case len(l.Args) == 0 || l.Args[0] == "":
		return fmt.Errorf("%s without an argument", name)
	case kind.args > 0 && len(l.Args) > kind.args:
		return fmt.Errorf("%s with more than one argument; put quotes around one with spaces", name)
	}
	last := &f.blocks[len(f.blocks)-1]
	switch l.Keyword {
	case "host":
		f.blocks = append(f.blocks, block{hosts: l.Args, opening: l})
	case "match":
		criteria, err := parseMatch(l.Args)
		if err != nil {
			return err
		}
		f.blocks = append(f.blocks, block{criteria: criteria, opening: l})
	case "include":
		files, err := r.include(l.Args, depth+1)
		if err != nil {
			return fmt.Errorf("include: %w", err)
		}
		last.items = append(last.items, item{included: files})
	default:
		last.items = append(last.items, item{Line: l})
	}
	return nil
}

// include reads what the patterns match. As in OpenSSH, that may be nothing.
func (r *reader) include(patterns []string, depth int) ([]*File, error) {
	var files []*File
	for _, pattern := range patterns {
		rest, inHome := strings.CutPrefix(pattern, "~/")
		switch {
		case inHome:
			pattern = filepath.Join(r.Home, rest)
		case strings.HasPrefix(pattern, "~"):
			return nil, fmt.Errorf("%q: of ~ only ~/ is understood; write the whole path", pattern)
		case !filepath.IsAbs(pattern):
			pattern = filepath.Join(r.Home, ".ssh", pattern)
		}
		names, err := r.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%q is not a pattern for files", pattern)
		}
		slices.Sort(names)
		for _, name := range names {
			f, err := r.file(name, depth)
			if err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	return files, nil
}

// index enters each block where Lookup will look for it.
func (f *File) index() {
	for i, b := range f.blocks {
		isPattern := func(name string) bool { return strings.ContainsAny(name, "*?!") }
		if len(b.hosts) == 0 || slices.ContainsFunc(b.hosts, isPattern) {
			f.other = append(f.other, i)
			continue
		}
		for _, name := range b.hosts {
			if n := len(f.plain[name]); n == 0 || f.plain[name][n-1] != i {
				f.plain[name] = append(f.plain[name], i)
			}
		}
	}
}

// bare is a file error without the path, which the message has already.
func bare(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

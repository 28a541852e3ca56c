package inventory

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// isName reports whether a host or group may be called so: [A-Za-z0-9._-]+.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

// parseDuration takes what time.ParseDuration takes, without a sign.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || strings.ContainsAny(s, "+-") {
		return 0, fmt.Errorf(`%q is not a duration; write numbers with units (ms, s, m, h), such as "500ms", "10s" or "1h30m"`, s)
	}
	return d, nil
}

// parseSize takes a whole number with a binary or decimal unit, as RabbitMQ's configuration does.
func parseSize(s string) (byteCount, error) {
	digits := strings.TrimRight(s, "kKMGTiB")
	unit, ok := sizeUnit(s[len(digits):])
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 0 {
		return 0, fmt.Errorf(`%q is not a size; write a whole number with a unit (kB, MB, GB, KiB, MiB, GiB), such as "512MiB"`, s)
	}
	if n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is more bytes than can be counted", s)
	}
	return byteCount(n * unit), nil
}

func sizeUnit(name string) (int64, bool) {
	switch name {
	case "", "B":
		return 1, true
	case "kB", "KB":
		return 1e3, true
	case "MB":
		return 1e6, true
	case "GB":
		return 1e9, true
	case "TB":
		return 1e12, true
	case "KiB":
		return 1 << 10, true
	case "MiB":
		return 1 << 20, true
	case "GiB":
		return 1 << 30, true
	case "TiB":
		return 1 << 40, true
	}
	return 0, false
}

// duration returns what a key says within its limits, else its default.
func (p *parser) duration(s span, key string, least, most, otherwise time.Duration) time.Duration {
	if !s.ok {
		return otherwise
	}
	if s.v < least || s.v > most {
		p.mistake(s.at, "%s is %s; write %s to %s", key, short(s.v), short(least), short(most))
		return otherwise
	}
	return s.v
}

// short writes a duration without the zero parts: 24h, not 24h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if cut, ok := strings.CutSuffix(s, "m0s"); ok {
		s = cut + "m"
	}
	if cut, ok := strings.CutSuffix(s, "h0m"); ok {
		s = cut + "h"
	}
	return s
}

// integer is the same for numbers.
func (p *parser) integer(n number, key string, least, most, otherwise int) int {
	if !n.ok {
		return otherwise
	}
	if n.v < int64(least) || n.v > int64(most) {
		p.mistake(n.at, "%s is %d; write %d to %d", key, n.v, least, most)
		return otherwise
	}
	return int(n.v)
}

// word returns what a key says if that is not empty.
func (p *parser) word(t text, key string) (string, bool) {
	if t.ok && t.v == "" {
		p.mistake(t.at, "%s is empty; leave the key out or write a value", key)
		return "", false
	}
	return t.v, t.ok
}

// oneOf returns what a key says if it is one of the choices, else the first of them.
func oneOf[T ~string](p *parser, t text, key string, choices ...T) T {
	if !t.ok {
		return choices[0]
	}
	quoted := make([]string, len(choices))
	for i, choice := range choices {
		if t.v == string(choice) {
			return choice
		}
		quoted[i] = strconv.Quote(string(choice))
	}
	p.mistake(t.at, "%s is %q; write %s", key, t.v, strings.Join(quoted, " or "))
	return choices[0]
}

// path returns the file name that a key gives, with ~/ and ${NAME} expanded, taken from the inventory's folder.
func (p *parser) path(t text, key string) (string, bool) {
	name, ok := p.word(t, key)
	if !ok {
		return "", false
	}
	name, err := p.expandEnv(name, nil)
	if err != nil {
		p.mistake(t.at, "%s: %v", key, err)
		return "", false
	}
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if p.cfg.Home == "" {
			p.mistake(t.at, "%s: the home folder for ~/ is not known; write the whole path", key)
			return "", false
		}
		return filepath.Join(p.cfg.Home, rest), true
	}
	if strings.HasPrefix(name, "~") {
		p.mistake(t.at, "%s: only ~/ is expanded; write the whole path in place of %q", key, name)
		return "", false
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(p.dir, name)
	}
	return filepath.Clean(name), true
}

// readable is path for a file that must be readable now.
func (p *parser) readable(t text, key string) (string, bool) {
	name, ok := p.path(t, key)
	if !ok {
		return "", false
	}
	if err := p.access(name); err != nil {
		p.mistake(t.at, "%s: %s cannot be read: %v; correct the path or the file's permissions", key, name, reason(err))
		return "", false
	}
	return name, true
}

// access says why a file cannot be read. It looks once at each.
func (p *parser) access(name string) error {
	err, looked := p.looked[name]
	if !looked {
		err = p.cfg.Readable(name)
		p.looked[name] = err
	}
	return err
}

// secret notes a file with a secret that every account of this machine can read. That its group can is often wanted, for
// the group of a service.
func (p *parser) secret(at place, key, name string) {
	if name == "" || strings.HasSuffix(name, ".pub") {
		return
	}
	if mode, err := p.cfg.Mode(name); err == nil && mode.IsRegular() && mode.Perm()&0o004 != 0 {
		p.notice(at, fmt.Sprintf("%s: every account of this machine can read %s; take that right away with chmod o= %[2]s", key, name))
	}
}

// expandEnv replaces each ${NAME}. With escape, a value is passed through it where its position asks for that.
func (p *parser) expandEnv(s string, escape func(at int, value string) string) (string, error) {
	var b strings.Builder
	for rest := s; ; {
		start := strings.Index(rest, "${")
		if start < 0 {
			b.WriteString(rest)
			return b.String(), nil
		}
		length := strings.IndexByte(rest[start:], '}')
		if length < 0 {
			return "", errors.New("${ without }; write ${NAME}")
		}
		name := rest[start+2 : start+length]
		if !isName(name) || strings.ContainsAny(name, ".-") {
			return "", errors.New("${…} does not hold the name of an environment variable; write ${NAME}")
		}
		value, ok := p.cfg.LookupEnv(name)
		if !ok || value == "" {
			return "", fmt.Errorf("the environment variable %s is not set; set it for this process or use a file", name)
		}
		if escape != nil {
			value = escape(len(s)-len(rest)+start, value)
		}
		b.WriteString(rest[:start] + value)
		rest = rest[start+length+1:]
	}
}

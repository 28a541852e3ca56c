package inventory

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// maxNameBytes keeps the routing keys of the collector's own messages, collector.NAME.WHAT, well within 255 bytes.
const maxNameBytes = 128

// maxTimeout is a limit against slips of the pen only.
const maxTimeout = 10 * time.Minute

func (p *parser) collector(raw *rawCollector) Collector {
	c := Collector{
		Name:           p.collectorName(raw),
		Interval:       p.duration(raw.Interval, "interval", time.Second, 24*time.Hour, 10*time.Second),
		Timeout:        p.duration(raw.Timeout, "timeout", 100*time.Millisecond, maxTimeout, 0),
		ConnectTimeout: p.duration(raw.ConnectTimeout, "connect_timeout", 100*time.Millisecond, maxTimeout, 5*time.Second),
		Parallel:       p.integer(raw.Parallel, "parallel", 1, 1<<16, 512),
		Dials:          p.integer(raw.Dials, "dials", 1, 1<<16, 64),
		DialRate:       p.integer(raw.DialRate, "dial_rate", 1, 100_000, 200),
		DialsPerJump:   p.integer(raw.DialsPerJump, "dials_per_jump", 1, 1<<16, 16),
		State:          p.statePath(raw.State),
		Listen:         p.listen(raw.Listen),
		UnitMetrics:    raw.UnitMetrics.v,
		FlapBurst:      p.integer(raw.FlapBurst, "flap_burst", 1, 10_000, 6),
		FlapRefill:     p.duration(raw.FlapRefill, "flap_refill", 100*time.Millisecond, 24*time.Hour, 10*time.Second),
	}
	if c.Timeout > c.Interval {
		p.mistake(raw.Timeout.at, "timeout %s is longer than the interval of %s; a host that hangs would miss turns, so write less",
			short(c.Timeout), short(c.Interval))
	}
	return c
}

func (p *parser) collectorName(raw *rawCollector) string {
	name, _, _ := strings.Cut(p.cfg.Hostname, ".")
	at := place{p.files[0], raw.at.line}
	if raw.Name.given() {
		name, at = raw.Name.v, raw.Name.at
		if !raw.Name.ok {
			return ""
		}
	}
	switch {
	case isName(name) && len(name) <= maxNameBytes:
	case !raw.Name.given():
		p.mistake(at, `the hostname %q is no name for the collector; write name = "NAME" into [collector]`, p.cfg.Hostname)
	case len(name) > maxNameBytes:
		p.mistake(at, "name has %d bytes; write at most %d", len(name), maxNameBytes)
	default:
		p.mistake(at, "name %q; write letters, digits, dots, dashes and underscores only", name)
	}
	return name
}

// statePath follows systemd.exec(5): StateDirectory= may name several folders, separated by colons.
func (p *parser) statePath(raw text) string {
	if raw.given() {
		name, _ := p.path(raw, "state")
		return name
	}
	folder := "/var/lib/service_manager"
	if dirs, ok := p.cfg.LookupEnv("STATE_DIRECTORY"); ok && dirs != "" {
		folder, _, _ = strings.Cut(dirs, ":")
	}
	return filepath.Join(folder, "state.db")
}

func (p *parser) listen(raw text) string {
	if !raw.given() {
		return ""
	}
	_, port, err := net.SplitHostPort(raw.v)
	if _, portErr := strconv.ParseUint(port, 10, 16); raw.ok && (err != nil || portErr != nil) {
		p.mistake(raw.at, `listen is %q; write HOST:PORT, such as "127.0.0.1:9310", or leave the key out`, raw.v)
	}
	return raw.v
}

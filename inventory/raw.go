package inventory

import "time"

// The raw types mirror the file: one field per key. reference.toml has an entry for each, which a test proves.

// value is what a key holds and where. A value of a wrong type has a place and is not ok.
type value[T any] struct {
	v  T
	at place
	ok bool
}

// given reports whether the key is in the file, with a right or a wrong value.
func (v value[T]) given() bool { return v.at.line > 0 }

type (
	text   = value[string]
	number = value[int64]
	flag   = value[bool]
	span   = value[time.Duration]
	size   = value[byteCount]
	list   = value[[]text]
	dict   = value[map[string]text]
)

// byteCount is a number of bytes, written as "512MiB".
type byteCount int64

// table is embedded in the mirror of every TOML table.
type table struct {
	at place
}

func (t *table) locate(at place) { t.at = at }

func (t *table) given() bool { return t.at.line > 0 }

type rawFile struct {
	table

	Include   list                 `toml:"include"`
	Collector rawCollector         `toml:"collector"`
	Broker    rawBroker            `toml:"broker"`
	SSH       rawSSH               `toml:"ssh"`
	Groups    map[string]*rawGroup `toml:"groups"`
	Hosts     []*rawHost           `toml:"hosts"`
}

type rawCollector struct {
	table

	Name           text   `toml:"name"`
	Interval       span   `toml:"interval"`
	Timeout        span   `toml:"timeout"`
	ConnectTimeout span   `toml:"connect_timeout"`
	Parallel       number `toml:"parallel"`
	Dials          number `toml:"dials"`
	DialRate       number `toml:"dial_rate"`
	DialsPerJump   number `toml:"dials_per_jump"`
	State          text   `toml:"state"`
	Listen         text   `toml:"listen"`
	UnitMetrics    flag   `toml:"unit_metrics"`
	FlapBurst      number `toml:"flap_burst"`
	FlapRefill     span   `toml:"flap_refill"`
}

type rawBroker struct {
	table

	URL               text        `toml:"url"`
	URLs              list        `toml:"urls"`
	PasswordFile      text        `toml:"password_file"`
	Exchange          text        `toml:"exchange"`
	Declare           text        `toml:"declare"`
	Auth              text        `toml:"auth"`
	CAFile            text        `toml:"ca_file"`
	CertFile          text        `toml:"cert_file"`
	KeyFile           text        `toml:"key_file"`
	OutboxMaxMessages number      `toml:"outbox_max_messages"`
	OutboxMaxBytes    size        `toml:"outbox_max_bytes"`
	UnroutableFor     span        `toml:"unroutable_for"`
	StatusTTL         span        `toml:"status_ttl"`
	Queues            []*rawQueue `toml:"queues"`
}

type rawQueue struct {
	table

	Name        text   `toml:"name"`
	Type        text   `toml:"type"`
	Bindings    list   `toml:"bindings"`
	MaxMessages number `toml:"max_messages"`
	MaxBytes    size   `toml:"max_bytes"`
	MaxAge      span   `toml:"max_age"`
}

type rawSSH struct {
	table

	User            text   `toml:"user"`
	Port            number `toml:"port"`
	IdentityFile    text   `toml:"identity_file"`
	PassphraseFile  text   `toml:"passphrase_file"`
	CertificateFile text   `toml:"certificate_file"`
	Agent           flag   `toml:"agent"`
	KnownHosts      list   `toml:"known_hosts"`
	HostKeyAlias    text   `toml:"host_key_alias"`
	ConfigFile      text   `toml:"config_file"`
	Jump            text   `toml:"jump"`
	Become          text   `toml:"become"`
	Mode            text   `toml:"mode"`
	Keepalive       span   `toml:"keepalive"`
}

type rawGroup struct {
	table

	Parent   text   `toml:"parent"`
	Units    list   `toml:"units"`
	Labels   dict   `toml:"labels"`
	Interval span   `toml:"interval"`
	SSH      rawSSH `toml:"ssh"`
}

type rawHost struct {
	table

	Name      text   `toml:"name"`
	Address   text   `toml:"address"`
	Group     text   `toml:"group"`
	Units     list   `toml:"units"`
	UnitsOnly list   `toml:"units_only"`
	Labels    dict   `toml:"labels"`
	Interval  span   `toml:"interval"`
	Enabled   flag   `toml:"enabled"`
	SSH       rawSSH `toml:"ssh"`
}

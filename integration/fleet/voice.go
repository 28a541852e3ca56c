package fleet

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A voice is what a service logs itself while it runs: a line in each stretch of time, somewhere in it. Which, and when, depends on the
// seed and the time only.
type voice struct {
	identifier string
	every      time.Duration
	sayings    []saying
	lastWords  string // before it ends with an error
}

// A saying is a kind of line. Of its text {ip}, {path}, {ms} and so on are made up each time.
type saying struct {
	weight   int
	priority int
	text     string
}

// speak calls say with the lines from a moment up to, but not including, another.
func (v voice) speak(seed uint64, from, to int64, say func(at int64, priority int, message string)) {
	every := v.every.Microseconds()
	if every == 0 {
		return
	}
	for stretch := from / every; stretch*every < to; stretch++ {
		chance := chance(scramble(seed, uint64(stretch), 1)) //nolint:gosec // G115: not negative.
		at := stretch*every + int64(chance.below(int(every)))
		if at >= from && at < to {
			s := v.choose(&chance)
			say(at, s.priority, chance.fill(s.text))
		}
	}
}

func (v voice) choose(c *chance) saying {
	total := 0
	for _, s := range v.sayings {
		total += s.weight
	}
	at := c.below(total)
	for _, s := range v.sayings {
		if at -= s.weight; at < 0 {
			return s
		}
	}
	return saying{}
}

// scramble makes of three numbers one that looks random (splitmix64).
func scramble(a, b, c uint64) uint64 {
	x := chance(a ^ b*0x9e3779b97f4a7c15 ^ c*0xc2b2ae3d27d4eb4f)
	return x.next()
}

// A chance is a source of numbers that costs nothing to make.
type chance uint64

func (c *chance) next() uint64 {
	*c += 0x9e3779b97f4a7c15
	x := uint64(*c)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (c *chance) below(n int) int { return int(c.next() % uint64(n)) } //nolint:gosec // G115: n is positive.

// fill makes up what stands in braces.
func (c *chance) fill(text string) string {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(text, "{")
		b.WriteString(plain)
		if !found {
			return b.String()
		}
		var name string
		name, text, _ = strings.Cut(rest, "}")
		b.WriteString(c.word(name))
	}
}

func (c *chance) word(name string) string {
	pick := func(words ...string) string { return words[c.below(len(words))] }
	switch name {
	case "ip":
		return fmt.Sprintf("10.%d.%d.%d", c.below(8), c.below(256), 1+c.below(254))
	case "path":
		return pick("/", "/health", "/api/v1/orders", "/api/v1/orders/"+c.word("n"), "/api/v1/users/"+c.word("n"), "/static/app.js", "/favicon.ico")
	case "agent":
		return pick("curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64)", "Go-http-client/1.1", "kube-probe/1.31")
	case "ms":
		return fmt.Sprintf("%d.%d", 1+c.below(180), c.below(10))
	case "n":
		return strconv.Itoa(1000 + c.below(90_000))
	case "few":
		return strconv.Itoa(1 + c.below(40))
	case "table":
		return pick("orders", "users", "sessions", "invoices")
	case "job":
		return pick("resize-image", "send-mail", "build-report", "sync-stock")
	case "volume":
		return pick("/srv/data", "/srv/results", "/srv/media")
	}
	return name
}

// voiceOf is that of the unit of a name. Most have none.
func voiceOf(name string) voice {
	name, _, _ = strings.Cut(strings.TrimSuffix(name, ".service"), "@")
	switch name {
	case "nginx":
		return voice{"nginx", 2 * time.Second, []saying{
			{60, prioInfo, `{ip} - - "GET {path} HTTP/1.1" 200 {n} "-" "{agent}"`},
			{10, prioInfo, `{ip} - - "POST /api/v1/orders HTTP/1.1" 201 {few} "-" "{agent}"`},
			{6, prioInfo, `{ip} - - "GET {path} HTTP/1.1" 404 153 "-" "{agent}"`},
			{1, prioErr, `*{n} upstream timed out (110: Connection timed out) while reading response header from upstream, client: {ip}, request: "GET {path} HTTP/1.1"`},
			{2, prioWarning, `*{n} an upstream response is buffered to a temporary file while reading upstream, client: {ip}`},
		}, "[emerg] bind() to 0.0.0.0:443 failed (98: Address already in use)"}
	case "api":
		return voice{"api", 3 * time.Second, []saying{
			{50, prioInfo, `request done method=GET path={path} status=200 ms={ms}`},
			{8, prioInfo, `request done method=POST path=/api/v1/orders status=201 ms={ms}`},
			{2, prioWarning, `slow query table={table} ms=1{n}`},
			{1, prioErr, `request failed path={path} status=500: pq: canceling statement due to statement timeout`},
		}, "fatal: listen tcp :8080: bind: address already in use"}
	case "mount_controller":
		return voice{"mount_controller", 45 * time.Second, []saying{
			{20, prioInfo, `checked {volume}: {few} % used`},
			{2, prioWarning, `{volume}: the server took {ms} ms to answer`},
			{1, prioErr, `{volume}: stale file handle, mounting it again`},
		}, "cannot lock /run/mount_controller.lock: resource temporarily unavailable"}
	case "promtail":
		return voice{"promtail", 30 * time.Second, []saying{
			{10, prioInfo, `level=info msg="tail routine: started" path=/var/log/nginx/access.log`},
			{1, prioWarning, `level=warn msg="error sending batch, will retry" status=429 error="ingestion rate limit exceeded"`},
		}, `level=error msg="error creating promtail" error="yaml: line {few}: mapping values are not allowed in this context"`}
	case "certbot":
		return voice{"certbot", time.Second, []saying{
			{1, prioInfo, `Processing /etc/letsencrypt/renewal/example.com.conf`},
			{1, prioInfo, `Certificate not yet due for renewal`},
		}, "Failed to renew certificate example.com with error: HTTPSConnectionPool(host='acme-v02.api.letsencrypt.org', port=443): Max retries exceeded"}
	}
	return voiceOfBackend(name)
}

func voiceOfBackend(name string) voice {
	switch name {
	case "postgresql":
		return voice{"postgres", 10 * time.Second, []saying{
			{10, prioInfo, `LOG:  checkpoint complete: wrote {n} buffers; write={ms} s, sync=0.0{few} s`},
			{8, prioInfo, `LOG:  automatic vacuum of table "shop.public.{table}": index scans: 1, pages: {few} removed`},
			{4, prioInfo, `LOG:  duration: 1{ms} ms  statement: SELECT * FROM {table} WHERE id = {n}`},
			{2, prioWarning, `WARNING:  there is already a transaction in progress`},
			{1, prioErr, `ERROR:  deadlock detected on table {table}`},
		}, "FATAL:  could not create shared memory segment: No space left on device"}
	case "backup":
		return voice{"backup", time.Second, []saying{{1, prioInfo, `wrote segment {n}, {few} MiB`}}, "cannot reach backup.example.com:22: connection timed out"}
	case "redis-server":
		return voice{"redis", time.Minute, []saying{
			{4, prioInfo, `{few} changes in 60 seconds. Saving...`},
			{4, prioInfo, `Background saving terminated with success`},
			{1, prioWarning, `WARNING: client {ip}:{n} closed for overcoming of output buffer limits`},
		}, "Can't save in background: fork: Cannot allocate memory"}
	case "memcached":
		return voice{"memcached", 5 * time.Minute, []saying{{1, prioInfo, `{few} connections, {n} items`}}, "failed to listen on TCP port 11211: Address already in use"}
	case "logrotate":
		return voice{"logrotate", time.Second, []saying{{1, prioInfo, `rotating pattern: /var/log/{table}.log`}}, "error: skipping /var/log/redis because its parent directory has insecure permissions"}
	case "worker":
		return voice{"worker", 4 * time.Second, []saying{
			{30, prioInfo, `job {n} {job} done in {ms} ms`},
			{2, prioWarning, `job {n} {job} failed, to be tried again: connection reset by peer`},
			{1, prioErr, `job {n} {job} given up after 5 attempts`},
		}, "panic: runtime error: invalid memory address or nil pointer dereference"}
	case "cleanup":
		return voice{"cleanup", time.Second, []saying{{1, prioInfo, `removed {few} files below /srv/results`}}, "rm: cannot remove '/srv/results/tmp': Directory not empty"}
	}
	return voice{}
}

package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// wanted collects the "# WANT message" of a bad file: the mistakes of that line, or of the place that the message names.
func wanted(name, doc string) []string {
	var want []string
	line := 0
	for text := range strings.Lines(doc) {
		line++
		for i, message := range strings.Split(strings.TrimSuffix(text, "\n"), "# WANT ") {
			if i == 0 {
				continue
			}
			message = strings.TrimSpace(message)
			number, rest, _ := strings.Cut(message, ": ")
			switch _, err := strconv.Atoi(number); {
			case err == nil:
				want = append(want, fmt.Sprintf("%s:%s: %s", name, number, rest))
			case strings.HasPrefix(message, "more/"):
				want = append(want, message)
			default:
				want = append(want, fmt.Sprintf("%s:%d: %s", name, line, message))
			}
		}
	}
	return want
}

func TestBadFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(names) < 20 {
		t.Fatalf("testdata/bad holds %d files, %v", len(names), err)
	}
	files := map[string]string{
		"password": "s3cret\n", "empty": "\n", "held.pub": "", "ssh_config.bad": "User x\nMatch hots web\n",
		"ssh_config.proxy": "ProxyCommand nc %h %p\n", "ssh_config.addresses": "Host 20\nHostName web-%h\n",
	}
	for _, name := range []string{"more/broken.toml", "more/included.toml"} {
		files[name] = string(readTestFile(t, "testdata/bad/"+name))
	}
	for _, path := range names {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			doc := string(readTestFile(t, path))
			inv, err := Parse(name, []byte(doc), testConfig(files))
			if inv != nil || err == nil {
				t.Fatal("accepted")
			}
			want := wanted(name, doc)
			sortLines := cmpopts.SortSlices(func(a, b string) bool { return a < b })
			got := strings.Split(err.Error(), "\n")
			if diff := cmp.Diff(want, got, sortLines); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
			checkOrder(t, err)
		})
	}
}

// checkOrder holds the mistakes of one file to be sorted by line.
func checkOrder(t *testing.T, err error) {
	t.Helper()
	all, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("the error is a %T", err)
	}
	for i, m := range all.Mistakes[1:] {
		if last := all.Mistakes[i]; last.File == m.File && last.Line > m.Line {
			t.Errorf("%v stands before %v", last, m)
		}
	}
}

func parse(t *testing.T, doc string, files map[string]string) *Inventory {
	t.Helper()
	inv, err := Parse("dir/main.toml", []byte(doc), testConfig(files))
	if err != nil {
		t.Fatalf("refused:\n%v", err)
	}
	return inv
}

func TestEmptyFileHasDefaults(t *testing.T) {
	inv := parse(t, "", nil)
	want := Collector{
		Name: "fleet-a", Interval: 10 * time.Second, ConnectTimeout: 5 * time.Second, Parallel: 512, Dials: 64, DialRate: 200,
		DialsPerJump: 16,
		State:        "/var/lib/service_manager/state.db", FlapBurst: 6, FlapRefill: 10 * time.Second,
	}
	if diff := cmp.Diff(want, inv.Collector); diff != "" {
		t.Errorf("collector (-want +got):\n%s", diff)
	}
	wantBroker := Broker{
		Exchange: "service_manager", Declare: DeclareActive, UnroutableFor: time.Hour,
		Outbox: Outbox{MaxMessages: 1_000_000, MaxBytes: 1 << 30},
	}
	if diff := cmp.Diff(brokerFields(wantBroker), brokerFields(inv.Broker)); diff != "" {
		t.Errorf("broker (-want +got):\n%s", diff)
	}
	if len(inv.Hosts)+len(inv.Notices) != 0 {
		t.Errorf("hosts %v, notices %v", inv.Hosts, inv.Notices)
	}
}

func TestCollectorKeys(t *testing.T) {
	inv := parse(t, `[collector]
name = "a.b"
interval = "1m"
timeout = "3s"
connect_timeout = "2s"
parallel = 8
dials = 2
dial_rate = 3
dials_per_jump = 4
state = "state.db"
listen = "[::1]:9310"
unit_metrics = true
flap_burst = 3
flap_refill = "1s"
[[hosts]]
name = "h"
`, nil)
	want := Collector{
		Name: "a.b", Interval: time.Minute, Timeout: 3 * time.Second, ConnectTimeout: 2 * time.Second, Parallel: 8, Dials: 2,
		DialRate: 3, DialsPerJump: 4,
		State: "dir/state.db", Listen: "[::1]:9310", UnitMetrics: true, FlapBurst: 3, FlapRefill: time.Second,
	}
	if diff := cmp.Diff(want, inv.Collector); diff != "" {
		t.Errorf("collector (-want +got):\n%s", diff)
	}
	if h := inv.Hosts[0]; h.Interval != time.Minute || h.Timeout != 3*time.Second || h.ConnectTimeout != 2*time.Second {
		t.Errorf("host has interval %v, timeout %v, connect timeout %v", h.Interval, h.Timeout, h.ConnectTimeout)
	}
}

func TestStateDirectory(t *testing.T) {
	cfg := testConfig(nil)
	cfg.LookupEnv = func(name string) (string, bool) { return "/var/lib/a:/var/lib/b", name == "STATE_DIRECTORY" }
	inv, err := Parse("x.toml", nil, cfg)
	if err != nil || inv.Collector.State != "/var/lib/a/state.db" {
		t.Errorf("state is %q, %v", inv.Collector.State, err)
	}
}

func TestHostnameThatIsNoName(t *testing.T) {
	cfg := testConfig(nil)
	cfg.Hostname = "my host"
	_, err := Parse("x.toml", []byte("\n[collector]\n"), cfg)
	want := `x.toml:2: the hostname "my host" is no name for the collector; write name = "NAME" into [collector]`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestInclude(t *testing.T) {
	inv := parse(t, `include = ["hosts.d/*.toml", "groups.toml", "hosts.d/b.toml", "*.toml"]
[[hosts]]
name = "main"
group = "web"
`, map[string]string{
		"dir/main.toml":           "never read again",
		"dir/groups.toml":         "[groups.web]\nunits = [\"nginx\"]\n",
		"dir/hosts.d/b.toml":      "[[hosts]]\nname = \"b\"\ngroup = \"web\"\nssh.identity_file = \"id_ed25519\"\n",
		"dir/hosts.d/a.toml":      "[[hosts]]\nname = \"a\"\n",
		"dir/hosts.d/.#a.toml":    "left by an editor",
		"dir/hosts.d/a.toml.orig": "not matched",
	})
	wantFiles := []string{"dir/main.toml", "dir/hosts.d/a.toml", "dir/hosts.d/b.toml", "dir/groups.toml"}
	if diff := cmp.Diff(wantFiles, inv.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "main"}, names(inv.Hosts)); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if got := inv.Hosts[1].SSH.IdentityFile; got != "dir/id_ed25519" {
		t.Errorf("a path in an included file becomes %q, not one beside the main file", got)
	}
}

func names(hosts []Host) []string {
	all := make([]string, len(hosts))
	for i, h := range hosts {
		all[i] = h.Name
	}
	return all
}

func TestNotices(t *testing.T) {
	inv := parse(t, `[collector]
listen = ":9310"
flap_burst = 3
flap_refill = "1s"
state = "state.db"
[broker]
declare = "none"
outbox_max_messages = 1000
unroutable_for = "1m"
status_ttl = "0s"
[[broker.queues]]
name = "q"
[ssh]
agent = false
become = "none"
jump = "none"
[groups.a]
units = ["app-*", "x"]
[[hosts]]
name = "a"
units = ["other-*"]
ssh = { jump = "me@b:22", agent = true }
[[hosts]]
name = "b"
ssh = { jump = "a", keepalive = "15s", become = "sudo", config_file = "config" }
`, nil)
	want := []string{
		`dir/main.toml:11: broker.queues: no queue is declared or looked for with declare = "none"`,
	}
	if diff := cmp.Diff(want, inv.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

func TestTooManyHosts(t *testing.T) {
	doc := "[[hosts]]\nname = \"a-[1-60000]\"\n[[hosts]]\nname = \"b-[1-60000]\"\n[[hosts]]\nname = \"c\"\n"
	_, err := Parse("x.toml", []byte(doc), testConfig(nil))
	want := `x.toml:4: name "b-[1-60000]" stands for more hosts than fit; an inventory holds up to 100000`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestTooManyUnits(t *testing.T) {
	var list strings.Builder
	for i := range 300 {
		fmt.Fprintf(&list, "%q, ", fmt.Sprintf("%s-%d", strings.Repeat("x", 200), i))
	}
	doc := "[groups.g]\nunits = [" + list.String() + "]\n[[hosts]]\nname = \"a\"\ngroup = \"g\"\nunits = [" +
		strings.ReplaceAll(list.String(), "x-", "y-") + "]\n"
	_, err := Parse("x.toml", []byte(doc), testConfig(nil))
	want := `x.toml:6: the names of the units come to 125 KiB with those inherited; 64 KiB fit into one ssh command: watch fewer`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// writeFiles writes files into a folder, and the folders that they are in.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIncludeOfItself(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	writeFiles(t, dir, map[string]string{
		"inventory.toml": "include = [\"*.toml\", " + strconv.Quote(filepath.Join(dir, "inventory.toml")) + ", \"d/a.toml\", \"d/b.toml\"]\n" +
			"[ssh]\nuser = \"me\"\n[collector]\nname = \"c\"\n[[hosts]]\nname = \"main\"\n",
		"d/a.toml": "[[hosts]]\nname = \"a\"\n",
	})
	for link, target := range map[string]string{"current.toml": "inventory.toml", "d/b.toml": "a.toml", "e": "d"} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"inventory.toml", "e/../inventory.toml", filepath.Join(dir, "current.toml")} {
		inv, err := Load(name)
		if err != nil || len(inv.Hosts) != 2 || len(inv.Files) != 2 {
			t.Errorf("%s: %v, %+v", name, err, inv)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "inventory.toml")
	if _, err := Load(path); err == nil || err.Error() != path+": cannot be read: no such file or directory; "+
		"write one, for which [[hosts]] and a name are enough, or name another with --inventory" {
		t.Errorf("a missing file: %v", err)
	}
	writeFiles(t, dir, map[string]string{
		"inventory.toml": "include = [\"hosts.d/*.toml\"]\n[broker]\nurl = \"amqp://u@h\"\npassword_file = \"password\"\n" +
			"[ssh]\nuser = \"me\"\n[collector]\nname = \"c\"\n",
		"password": "s3cret\n", "hosts.d/a.toml": "[[hosts]]\nname = \"a\"\n",
	})
	inv, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Hosts) != 1 || inv.Broker.URLs[0] != "amqp://u:s3cret@h" {
		t.Errorf("hosts %v, URLs %q", names(inv.Hosts), inv.Broker.URLs)
	}
	if err := os.Chmod(filepath.Join(dir, "password"), 0o644); err != nil {
		t.Fatal(err)
	}
	if inv, err = Load(path); err != nil || len(inv.Notices) != 1 {
		t.Errorf("a password for all to see: %v, notices %q", err, inv.Notices)
	}
	if err := readable(dir); err == nil {
		t.Error("a folder is said to be readable as a file")
	}
	if err := readable(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

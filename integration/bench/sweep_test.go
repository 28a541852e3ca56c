package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"service_manager/hosts/systemctl"
)

// answer is a host's whole answer to q.
func answer(q question) string {
	var text strings.Builder
	section := func(name, content string) {
		text.WriteString(systemctl.BeginMarker(q.Nonce, name) + content + systemctl.EndMarker(q.Nonce, name, 0))
	}
	section(systemctl.SectionManager, "Version=252.39-1~deb12u1\nSystemState=running\n")
	section(systemctl.SectionBoot, "6f4d2b1c-93d5-4c3e-8b0a-2f1e0d9c8b7a\n")
	records := make([]string, len(q.Units))
	for i, unit := range q.Units {
		records[i] = "Id=" + unit + "\nNames=" + unit + "\nLoadState=loaded\nActiveState=active\nSubState=running\n"
	}
	section(systemctl.SectionUnits, strings.Join(records, "\n"))
	return text.String()
}

// What a peer brings is taken apart, and is not enough if one host's answer is missing or cut off.
func TestPeersAnswers(t *testing.T) {
	q := newQuestion([]string{"ssh.service", "basic.target"})
	whole := answer(q)
	cut, _, _ := strings.Cut(whole, "Id=basic.target")
	write := map[string]func(t *testing.T, a *asker, host, text string){
		clush: func(_ *testing.T, a *asker, host, text string) {
			for line := range strings.Lines(text) {
				a.stdout.WriteString(host + ": " + strings.TrimSuffix(line, "\n") + "\n")
			}
		},
		"parallel-ssh": func(t *testing.T, a *asker, host, text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(a.outdir(), host), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"ansible": func(_ *testing.T, a *asker, host, text string) {
			a.stdout.WriteString(host + " | CHANGED | rc=0 >>\n" + text + "\n")
		},
	}
	for _, p := range peers() {
		for name, tc := range map[string]struct {
			second string
			whole  bool
		}{"both whole": {whole, true}, "one cut off": {cut, false}, "one empty": {"", false}} {
			t.Run(p.program+", "+name, func(t *testing.T) {
				a := &asker{peer: p, addresses: []string{"172.17.0.2", "172.17.0.3"}, dir: t.TempDir(), question: q, stdout: bytes.Buffer{}}
				if err := os.Mkdir(a.outdir(), 0o700); err != nil {
					t.Fatal(err)
				}
				write[p.program](t, a, a.addresses[0], whole)
				write[p.program](t, a, a.addresses[1], tc.second)
				if err := a.check(); (err == nil) != tc.whole {
					t.Errorf("got %v, want an error: %t", err, !tc.whole)
				}
			})
		}
	}
}

// systemctl alone is asked for the same properties of the same units.
func TestBareQuestion(t *testing.T) {
	q := newQuestion([]string{"ssh.service", "basic.target"})
	bare, err := q.bare()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(bare, "exec systemctl --no-pager show --property=Id,") || !strings.HasSuffix(bare, " -- ssh.service basic.target") {
		t.Errorf("got %q", bare)
	}
	if err := q.checkBare([]byte("Id=ssh.service\n\nId=basic.target\n")); err != nil {
		t.Error(err)
	}
	if q.checkBare([]byte("Id=ssh.service\n")) == nil {
		t.Error("one of two units is enough")
	}
}

package hosts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
)

// What does not bear upon the collector makes no finding.
func TestExamineSSHDConfig(t *testing.T) {
	for name, config := range map[string]string{
		"none":              "UnusedConnectionTimeout none",
		"long":              "UnusedConnectionTimeout 1h30m",
		"first counts":      "UnusedConnectionTimeout 1h\nUnusedConnectionTimeout 1s",
		"in a match":        "Match User someone\nUnusedConnectionTimeout 1s",
		"commented":         "# UnusedConnectionTimeout 1s",
		"no time":           "UnusedConnectionTimeout soon\n\n\"",
		"includes itself":   "Include sshd_config\nUnusedConnectionTimeout 1h",
		"no jump host":      "ChannelTimeout *=1s",
		"without any value": "UnusedConnectionTimeout",
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, sshtest.Config{Exec: commands(seen(well("config /etc/ssh/sshd_config", config)))}, nil, 0)
			if got := trouble(r); got != nil {
				t.Errorf("trouble %q, want none", got)
			}
		})
	}
}

// A new OpenSSH gets advice on its penalties unless our address is exempt.
func TestExaminePenalties(t *testing.T) {
	for name, test := range map[string]struct {
		version, config string
		advised         bool
	}{
		"old":     {"SSH-2.0-OpenSSH_9.2p1 Debian-2", "", false},
		"new":     {"SSH-2.0-OpenSSH_9.8", "", true},
		"newer":   {"SSH-2.0-OpenSSH_10.0p2", "", true},
		"exempt":  {"SSH-2.0-OpenSSH_10.0p2", "PerSourcePenaltyExemptList 198.51.100.1,192.0.2.0/24", false},
		"other":   {"SSH-2.0-OpenSSH_10.0p2", "PerSourcePenaltyExemptList 192.0.2.8 198.51.100.0/24", true},
		"off":     {"SSH-2.0-OpenSSH_10.0p2", "PerSourcePenalties no", false},
		"foreign": {"SSH-2.0-dropbear_2024.86", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			facts := well("config /etc/ssh/sshd_config", test.config)
			r := examine(t, sshtest.Config{Version: test.version, Exec: commands(seen(facts))}, nil, 0)
			advised := false
			for _, f := range r.Findings {
				if f.Code == "not_exempt" {
					advised = true
					if !strings.HasSuffix(f.Remedy, "PerSourcePenaltyExemptList 192.0.2.7") {
						t.Errorf("remedy %q", f.Remedy)
					}
				}
			}
			if advised != test.advised {
				t.Errorf("advised: %v, want %v", advised, test.advised)
			}
		})
	}
}

// An sshd that allows few sessions is told from one that has OpenSSH's default.
func TestExamineSessions(t *testing.T) {
	for limit, few := range map[int]bool{2: true, 4: false, 10: false, 0: false} {
		r := examine(t, sshtest.Config{MaxSessions: limit, Exec: commands(seen(well()))}, nil, 0)
		if got := slices.Contains(trouble(r), "sessions: few_sessions"); got != few || r.Outcome != hosts.OK {
			t.Errorf("MaxSessions %d: few sessions: %v, want %v; outcome %s", limit, got, few, r.Outcome)
		}
	}
}

// A jump host is asked whether it would open tunnels, another host is not.
func TestExamineForwarding(t *testing.T) {
	for behind, want := range map[int][]string{0: nil, 2: {"forwarding: no_forwarding"}} {
		r := examine(t, sshtest.Config{Exec: commands(seen(well()))}, nil, behind)
		if diff := cmp.Diff(want, trouble(r)); diff != "" {
			t.Errorf("with %d hosts behind it (-want +got):\n%s", behind, diff)
		}
	}
}

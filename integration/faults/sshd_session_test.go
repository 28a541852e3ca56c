//go:build integration && linux

package faults_test

import (
	"testing"

	"service_manager/hosts"
	"service_manager/integration/sshd"
	"service_manager/inventory"
)

// Shell scripts of [sshd.Config.Prepare].
const (
	// onlyTools gives the function tools, which makes a folder for PATH of nothing but the named programs.
	onlyTools = "mkdir " + sshd.Path + `/tools
tools() {
	for tool; do
		path=$(command -v "$tool") || { echo "there is no $tool here: integration/setup installs it" >&2; exit 1; }
		ln -s "$path" ` + sshd.Path + `/tools/
	done
}
`
	pathTools = "SetEnv PATH=" + sshd.Path + "/tools"
	// pamAccount makes PAM ask for the account only.
	pamAccount = "printf 'auth required pam_deny.so\\naccount required pam_nologin.so\\naccount required pam_unix.so\\nsession required pam_permit.so\\n' >" +
		sshd.Path + "/pam\n mount --bind " + sshd.Path + "/pam /etc/pam.d/sshd\n"
)

// TestRealSSHD polls real sshd processes, each configured in another way, all at once and beside healthy hosts, and again on what the
// first poll has left.
func TestRealSSHD(t *testing.T) {
	s := newSite(t)
	all, servers, wants := s.neighbours(t), make(map[string]*sshd.Server), make(map[string]expectation)
	for _, test := range []struct {
		name    string
		config  sshd.Config
		prepare func(*inventory.Host)
		want    expectation
	}{
		{name: "healthy", want: want("", hosts.OK)},

		// The account.
		{name: "nologin", config: sshd.Config{Shell: "/usr/sbin/nologin"}, want: want("not available", hosts.Denied)},
		{name: "false", config: sshd.Config{Shell: "/bin/false"}, want: want("/bin/false", hosts.Denied)},
		{name: "no such shell", config: sshd.Config{Shell: "/bin/no-such-shell"}, want: want("authorized_keys", hosts.AuthFailed)},
		{name: "account expired", config: sshd.Config{Shadow: "*:10000:0:99999:7::11000:"}, want: want("authorized_keys", hosts.AuthFailed)},
		{name: "account locked", config: sshd.Config{Shadow: "!:20000:0:99999:7:::"}, want: want("authorized_keys", hosts.AuthFailed)},
		{
			name: "password expired, with PAM", want: want("Password change required", hosts.Denied),
			config: sshd.Config{Shadow: "*:0:0:99999:7:::", Directives: []string{"UsePAM yes"}, Prepare: pamAccount},
		},
		{
			name: "account expired, with PAM", want: want("expired", hosts.Denied),
			config: sshd.Config{Shadow: "*:10000:0:99999:7::11000:", Directives: []string{"UsePAM yes"}, Prepare: pamAccount},
		},
		{
			name: "booting", want: want("pam_nologin", hosts.Denied),
			config: sshd.Config{Directives: []string{"UsePAM yes"}, Prepare: pamAccount + "echo 'System is booting up. Unprivileged users are not " +
				"permitted to log in yet. Please come back later. For technical details, see pam_nologin(8).' >/run/nologin"},
		},
		{name: "another user", prepare: func(h *inventory.Host) { h.SSH.User = "nobody-here" }, want: want("authorized_keys", hosts.AuthFailed)},
		{name: "not an allowed user", config: sshd.Config{Directives: []string{"AllowUsers root"}}, want: want("authorized_keys", hosts.AuthFailed)},

		// What the account may do.
		{name: "sftp only", config: sshd.Config{Directives: []string{"ForceCommand internal-sftp"}}, want: want("sftp connections only", hosts.Denied)},
		{name: "forced nologin", config: sshd.Config{Directives: []string{"ForceCommand /usr/sbin/nologin"}}, want: want("not available", hosts.Denied)},
		{name: "another forced command", config: sshd.Config{Directives: []string{"ForceCommand uptime"}}, want: want("load average", hosts.ProtocolError)},
		{name: "no sessions", config: sshd.Config{Directives: []string{"MaxSessions 0"}}, want: want("MaxSessions", hosts.Denied)},
		{
			name: "systemctl denied", want: want("Access denied", hosts.Denied),
			config: sshd.Config{Files: map[string]string{"bin/systemctl": "#!/bin/sh\necho 'Failed to get properties: Access denied' >&2; exit 1"}},
		},
		{
			name: "systemctl not executable", want: want("Permission denied", hosts.Denied),
			config: sshd.Config{Prepare: "chmod 644 " + sshd.Path + "/bin/systemctl; mount --bind " + sshd.Path + "/bin/systemctl /usr/bin/systemctl"},
		},

		// No systemd.
		{
			name: "not booted with systemd", want: want("has not been booted with systemd", hosts.NoSystemd),
			config: sshd.Config{Files: map[string]string{"bin/other": ""}},
		},
		{
			name: "no systemctl", want: want("systemctl: not found", hosts.NoSystemd),
			config: sshd.Config{Directives: []string{pathTools}, Prepare: onlyTools + "tools sh timeout"},
		},
		{
			name: "no systemctl, with bash", want: want("systemctl: ", hosts.NoSystemd),
			config: sshd.Config{Shell: "/bin/bash", Directives: []string{pathTools}, Prepare: onlyTools + "tools bash timeout; ln -s bash " + sshd.Path + "/tools/sh"},
		},
		{
			name: "Alpine", want: want("systemctl: not found", hosts.NoSystemd),
			config: sshd.Config{
				Shell: sshd.Path + "/tools/ash", Directives: []string{pathTools},
				Prepare: onlyTools + "tools busybox; for applet in ash sh timeout; do ln -s busybox " + sshd.Path + "/tools/$applet; done",
			},
		},
		{
			name: "no timeout(1)", want: want("timeout: not found", hosts.ProtocolError, hosts.CommandFailed),
			config: sshd.Config{Directives: []string{pathTools}, Prepare: onlyTools + "tools sh"},
		},

		// Noise, which must not matter.
		{
			name: "banner, motd and rc files that talk", want: want("", hosts.OK),
			config: sshd.Config{
				Shell: "/bin/bash", Directives: []string{"Banner " + sshd.Path + "/banner", "PrintMotd yes"},
				Files: map[string]string{
					"bin/systemctl": systemctl, "banner": "Authorised use only!\n\x1b[31m--BEGIN-0 manager\n",
					"home/.bashrc": "echo 'Welcome to bash'; echo '--BEGIN-x manager'; echo trouble >&2\n", "home/.ssh/rc": "echo rc\n",
				},
			},
		},
		{
			name: "a forced command that talks", want: want("", hosts.OK),
			config: sshd.Config{Directives: []string{
				`ForceCommand echo "This session is recorded."; id >&2; sh -c "$SSH_ORIGINAL_COMMAND"; r=$?; echo "Good bye."; exit $r`,
			}},
		},
		{
			name: "no home, no locale", want: want("", hosts.OK),
			config: sshd.Config{Prepare: "rm -r " + sshd.Path + "/home", Directives: []string{"SetEnv PATH=" + sshd.Path + "/bin:/usr/bin:/bin LC_ALL=xx_XX.UTF-8"}},
		},
	} {
		server, h := s.sshd(t, fileName(test.name), test.config)
		if test.prepare != nil {
			test.prepare(&h)
		}
		servers[h.Name], wants[h.Name] = server, test.want
		all = append(all, h)
	}
	o := observe(t, all...)
	for range 2 {
		for name, status := range o.next(t) {
			if e, ok := wants[name]; ok {
				t.Run(name, func(t *testing.T) {
					e.check(t, status)
					if t.Failed() {
						t.Logf("sshd's log:\n%s", servers[name].Log())
					}
				})
			}
		}
	}
}

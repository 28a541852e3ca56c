package hosts

import (
	"slices"
	"strconv"
	"strings"

	"service_manager/inventory"
)

// advice says what an outcome means, why it matters, and what to do about it on or for h.
func advice(outcome Outcome, h inventory.Host) (problem, why, remedy string) {
	switch outcome {
	case Unreachable:
		problem = "there is no TCP connection to the host"
		why = "nothing is known of its units; they may run as ever. run goes on trying, with growing pauses"
		remedy = "find out where it ends: " + byHand(h) + "; then start the host or its sshd, open the port, or mend the address in the inventory"
	case Timeout:
		problem = "the host takes the connection, but answers too late or not at all"
		why = "its sshd, disk, memory or PID 1 hangs; what runs there may still do its work, but no one can tell, and no one can log in"
		remedy = "compare: time " + byHand(h) + "; if that hangs too, look at the console for load, a full disk or the OOM killer; if it " +
			"is only slow, raise connect_timeout or timeout in [collector]"
	case Throttled:
		problem = "sshd hangs up before it says a word"
		why = "it has too many logins at once, or punishes this address for earlier failures; polls fail until that ends"
		remedy = "stop what else logs in from here in vain; in the host's sshd_config: PerSourcePenaltyExemptList ADDRESS-OF-THIS-MACHINE " +
			"(OpenSSH 9.8 and newer), or a greater MaxStartups"
	case HostKeyUnknown:
		problem = "the host's key is not known"
		why = "without it anyone on the way could answer in the host's place, so the collector sends nothing"
		remedy = "compare the fingerprint with the host's own (on its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then: " +
			"service_manager trust {selector}"
	case HostKeyChanged:
		problem = "the host shows another key than the known one"
		why = "either it was installed anew, or someone stands between and would read what is meant for it"
		remedy = "find out which, on the host's console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; if the new key is its own: " +
			"service_manager trust --replace {selector}"
	default:
		return loginAdvice(outcome, h)
	}
	return problem, why, remedy
}

// revokedAdvice is advice on a key that must not be trusted again, not even with trust --replace.
func revokedAdvice() (problem, why, remedy string) {
	return "the host shows a revoked key",
		"someone has declared this key, or the authority that signed it, void: whoever holds it may answer in the host's place",
		"make the host a new key, on its console: rm /etc/ssh/ssh_host_*_key* && ssh-keygen -A, and restart sshd; then: service_manager trust --replace {selector}"
}

// loginAdvice is advice on outcomes that come after the host key.
func loginAdvice(outcome Outcome, h inventory.Host) (problem, why, remedy string) {
	user := quote(h.SSH.User)
	switch outcome {
	case AuthFailed:
		problem = "the account does not accept the collector's key"
		why = "it cannot be read, and from OpenSSH 9.8 on each try counts against the collector's address; run tries again after minutes only"
		remedy = "on the host, append the key to ~" + user + "/.ssh/authorized_keys (service_manager authorized-keys prints the line), with mode " +
			"600 in a folder with mode 700; else look why sshd refuses it: journalctl -u ssh -u sshd"
	case Denied:
		problem = "the account may log in, but not read systemd"
		why = "the units cannot be read until it may"
		remedy = "on the host: getent passwd " + user + " (its shell must be one, such as /bin/sh), sudo chage -l " + user + " (expired?), " +
			"a ForceCommand in sshd_config or a command= in authorized_keys, and SELinux: ausearch -m avc"
	case NoSystemd:
		problem = "the host does not run systemd"
		why = "the collector reads systemd's units, and there are none"
		remedy = "take it out of the inventory or set enabled = false; a container must be reached through its host"
	case CommandFailed:
		problem = "systemctl reports an error"
		why = "the units cannot be read until it is mended"
		remedy = "do the same by hand: " + byHand(h, "systemctl", "show", "--property=Version")
	case ProtocolError:
		problem = "what the host answers is not what a poll asks for"
		why = "a wrong answer is worse than none, so nothing of it is used"
		remedy = "see what comes: " + byHand(h, "true") + " must print nothing; look at the account's rc files, a command= in authorized_keys, " +
			"and whether this port is sshd's"
	default: // The other outcomes come earlier, or want no advice.
	}
	return problem, why, remedy
}

// ownAdvice is advice on what keeps this machine from even trying.
func ownAdvice(outcome Outcome) (code, problem, why, remedy string) {
	if outcome == HostKeyUnknown {
		return "known_hosts", "the collector cannot read its known_hosts", "no host can be trusted, so none is asked",
			"make it a file that the collector's account can read, or name another one in ssh.known_hosts"
	}
	return "user_key", "the collector cannot use its own key", "no host can be logged in to with it, so none is asked",
		"mend what is told above, or make a key that only the collector's account can read: ssh-keygen -t ed25519 -N '' -f FILE; and name it in ssh.identity_file"
}

// byHand is the command line with which a person does what the collector does: ssh with its key, and command or true.
func byHand(h inventory.Host, command ...string) string {
	words := []string{"ssh", "-o", "BatchMode=yes"}
	if h.SSH.IdentityFile != "" {
		words = append(words, "-i", quote(h.SSH.IdentityFile))
	}
	if len(h.SSH.KnownHosts) > 0 {
		words = append(words, "-o", quote("UserKnownHostsFile="+sshWord(h.SSH.KnownHosts[0])))
	}
	if h.SSH.HostKeyAlias != "" {
		words = append(words, "-o", "HostKeyAlias="+quote(h.SSH.HostKeyAlias))
	}
	var hops []string // the nearest to us first, as ssh wants them
	for via := h.Via; via != nil; via = via.Via {
		hops = slices.Insert(hops, 0, target(*via))
	}
	if hops != nil {
		words = append(words, "-J", quote(strings.Join(hops, ",")))
	}
	if h.SSH.Port != 22 {
		words = append(words, "-p", strconv.Itoa(h.SSH.Port))
	}
	words = append(words, quote(h.SSH.User+"@"+h.Address))
	if len(command) == 0 {
		command = []string{"true"}
	}
	return strings.Join(append(words, command...), " ")
}

// sshWord makes s one word of an option of ssh, which takes apart what the shell has left whole (OpenSSH's argv_split).
func sshWord(s string) string {
	if !strings.ContainsAny(s, " \t\"'\\#") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

package hostile

import (
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts/systemctl"
)

// output is an act that begins with the command's output.
func output(run func(p *peer, c ssh.Channel, command string)) Act {
	return Act{exec: func(p *peer, c ssh.Channel, r *ssh.Request) {
		run(p, c, begin(r))
	}}
}

// begin agrees to run a command, and returns it.
func begin(r *ssh.Request) string {
	var message struct{ Command string }
	_ = ssh.Unmarshal(r.Payload, &message) // Then it is no command of ours, and is answered as such.
	_ = r.Reply(true, nil)                 // The client may be gone.
	return message.Command
}

// healthy answers a command as a host does whose units are all active.
func healthy(c ssh.Channel, r *ssh.Request) {
	say(c, answer(begin(r)))
	end(c)
}

func say(c ssh.Channel, text string) {
	_, _ = io.WriteString(c, text) // The client may be gone.
}

// end ends a command with exit status 0.
func end(c ssh.Channel) {
	exit(c)
	_ = c.Close() // The client may be gone.
}

func exit(c ssh.Channel) {
	_, _ = c.SendRequest("exit-status", false, make([]byte, 4)) // The client may be gone.
}

// answer is what a command prints on a healthy host, and nothing where it is not the collector's.
func answer(command string) string { return answerAs(command, "", nil) }

// answerAs is an answer with another nonce, where one is given, and with records of more units.
func answerAs(command, nonce string, more []string) string {
	request, err := systemctl.ParseCommand(command)
	if err != nil {
		return ""
	}
	if nonce == "" {
		nonce = request.Nonce
	}
	var text strings.Builder
	section := func(name, body string) {
		text.WriteString(systemctl.BeginMarker(nonce, name) + body + systemctl.EndMarker(nonce, name, 0))
	}
	section(systemctl.SectionManager, "Version=252\nSystemState=running\nNFailedUnits=0\nNJobs=0\n")
	section(systemctl.SectionBoot, "8d3f3f3c-7a1f-4a53-9d1e-2f4f5b0c9a11\n")
	for _, group := range request.Groups {
		var records []string
		for _, name := range slices.Concat(group.Units, more) {
			records = append(records, "Id="+name+"\nNames="+name+"\nLoadState=loaded\nActiveState=active\nSubState=running\n")
		}
		section(systemctl.SectionUnits, strings.Join(records, "\n"))
	}
	return text.String()
}

// half is an answer that stops in the last unit's record.
func half(command string) string {
	text := answer(command)
	return text[:max(0, strings.LastIndex(text, "ActiveState="))]
}

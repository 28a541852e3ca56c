package hosts_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"unicode"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
)

// Whatever a host says ends up in logs and on terminals: it must be one line, of printable characters, and not endless.
func TestErrorsAreSafe(t *testing.T) {
	const said = "\x1b]0;a title\a and\x1b[2J\r\nanother line"
	for name, exec := range map[string]func(context.Context, string, io.Writer, io.Writer) int{
		"systemctl failed": func(_ context.Context, command string, stdout, stderr io.Writer) int {
			request, _ := systemctl.ParseCommand(command)
			_, _ = io.WriteString(stderr, said)
			_, _ = io.WriteString(stdout, systemctl.BeginMarker(request.Nonce, systemctl.SectionManager)+
				systemctl.EndMarker(request.Nonce, systemctl.SectionManager, 1))
			return 1
		},
		"no answer":  script(said, "", 3),
		"nothing so": script("", said+strings.Repeat(" and so on", 5000), 3),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			server := s.start(t, sshtest.Config{Exec: exec})
			s.know(t, server, server.HostKey())
			_, err := read(t.Context(), newPool(t, hosts.Config{}), s.host(server))
			if err == nil || !strings.Contains(err.Error(), "another line") {
				t.Fatalf("error %v does not tell what the host said", err)
			}
			if text := err.Error(); len(text) > 2000 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("error %q of %d bytes", text, len(text))
			}
			if n := strings.Count(err.Error(), "a title"); n > 1 {
				t.Errorf("error %q says it %d times", err, n)
			}
		})
	}
}

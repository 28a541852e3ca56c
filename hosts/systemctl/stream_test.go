package systemctl

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// words are those of a query.
func words(tb testing.TB, q Query) string {
	tb.Helper()
	q.Nonce = nonceOf(0) // It is no part of them.
	text, err := q.Words()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func nonceOf(i int) string { return fmt.Sprintf("%032x", i) }

// A stream answers each line as a command of its own would, through any login shell, and with or without the wrapper.
func TestStreamAnswersAsCommandsDo(t *testing.T) {
	t.Parallel()
	odd := Query{Units: []string{`system-a\x2db.slice`, "-.mount", `odd\\name\.slice`, `back\slash\n.slice`, "a:b@c_d-e.mount", "a.service"}, Limit: time.Minute}
	old, none := odd, Query{Limit: time.Minute}
	old.Version = 219
	asked := []Query{odd, odd, old, odd, none, none}
	for _, shell := range wrapperShells(t) {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			h := newWrapperHost(t, shell...)
			var lines, want, calls, before string
			for i, q := range asked {
				q.Nonce = nonceOf(i)
				command, err := q.Command()
				if err != nil {
					t.Fatal(err)
				}
				answered := h.run(t, command, true)
				want += answered.stdout + DoneMarker(q.Nonce)
				calls += answered.calls
				lines += q.Nonce
				if text := words(t, q); text != before {
					lines += " " + text
					before = text
				}
				lines += "\n"
			}
			h.stdin = lines
			for _, direct := range []bool{true, false} {
				if diff := cmp.Diff(wrapped{stdout: want, calls: calls}, h.run(t, StreamCommand, direct), cmp.AllowUnexported(wrapped{})); diff != "" {
					t.Errorf("direct: %t (-want +got):\n%s", direct, diff)
				}
			}
		})
	}
	for _, login := range []string{"bash", "zsh", "fish", "csh", "tcsh", "ksh"} {
		if _, err := exec.LookPath(login); err != nil {
			continue
		}
		h := newWrapperHost(t, "sh")
		h.login, h.stdin = login, nonceOf(1)+" "+words(t, odd)+"\n"
		if got := h.run(t, StreamCommand, true); got.status != 0 || !strings.HasSuffix(got.stdout, DoneMarker(nonceOf(1))) {
			t.Errorf("%s: %+v", login, got)
		}
	}
}

// The far side understands what is written, and nothing else.
func TestParseLine(t *testing.T) {
	query := Query{Nonce: nonceOf(1), Units: []string{`a\x2db.slice`, "c.service"}, Limit: time.Minute}
	command, err := query.Command()
	if err != nil {
		t.Fatal(err)
	}
	want, err := ParseCommand(command)
	if err != nil {
		t.Fatal(err)
	}
	want.Limit = 0
	line := query.Nonce + " " + words(t, query) + "\n"
	got, err := ParseLine(line, Request{})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	want.Nonce = nonceOf(2)
	got, err = ParseLine(want.Nonce+"\n", got)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("again: %v (-want +got):\n%s", err, diff)
	}
	if _, err := ParseLine(want.Nonce+"\n", Request{}); err == nil {
		t.Error("a nonce alone was taken, with nothing before it")
	}
	for name, line := range hostileLines(t) {
		if strings.Contains(name, "property") || name == "too long" { // Whoever answers decides which ones to tell, and how much.
			continue
		}
		if request, err := ParseLine(line+"\n", Request{}); err == nil {
			t.Errorf("%s: %+v", name, request)
		}
	}
}

// hostileLines are no questions.
func hostileLines(tb testing.TB) map[string]string {
	tb.Helper()
	good := nonceOf(1) + " " + words(tb, Query{Units: []string{"a.service"}, Limit: time.Minute})
	return map[string]string{
		"empty":             "",
		"a command":         "systemctl restart a.service",
		"a nonce alone":     nonceOf(1),
		"a short nonce":     good[1:],
		"another nonce":     "g" + good[1:],
		"substitution":      strings.Replace(good, "a.service", "$(touch${IFS}pwned).service", 1),
		"a quote":           strings.Replace(good, "a.service", "'a.service", 1),
		"a semicolon":       good + ";touch",
		"another option":    nonceOf(1) + " --host=evil",
		"a path":            strings.Replace(good, "a.service", "../a.service", 1),
		"a dash":            strings.Replace(good, "/a.service", "/--now", 1),
		"another property":  strings.Replace(good, " ", " Environment,", 1),
		"a property behind": strings.Replace(good, "/a.service", ",Environment/a.service", 1),
		"too long":          good + strings.Repeat(" Id/a.service", 20_000),
	}
}

// What is no question ends the stream, is told and logged, and runs nothing; what was asked before it was answered.
func TestWrapperRefusesLines(t *testing.T) {
	t.Parallel()
	refused := regexp.MustCompile(`^service_manager-report: refused \([a-z ]+\): this key may only report status; [^\n]*\n$`)
	query := Query{Units: []string{"a.service"}, Limit: time.Minute}
	for _, shell := range wrapperShells(t) {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			h := newWrapperHost(t, shell...)
			before := h.files(t)
			for name, line := range hostileLines(t) {
				if name == "a dash" { // Behind -- it is no option, and no unit.
					continue
				}
				h.stdin = line + "\n" + nonceOf(2) + " " + words(t, query) + "\n"
				if got := h.run(t, StreamCommand, false); got.stdout != "" || got.calls != "" || !refused.MatchString(got.stderr) || got.log == "" {
					t.Errorf("%s: %+v", name, got)
				}
			}
			h.stdin = nonceOf(1) + " " + words(t, query) + "\n" + nonceOf(2) + " x\n" + nonceOf(3) + "\n"
			got := h.run(t, StreamCommand, false)
			if !strings.HasSuffix(got.stdout, DoneMarker(nonceOf(1))) || strings.Contains(got.stdout, nonceOf(2)) || !refused.MatchString(got.stderr) {
				t.Errorf("behind a question: %+v", got)
			}
			if diff := cmp.Diff(before, h.files(t)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
		})
	}
}

// A systemctl that fails ends the stream amid the answer.
func TestStreamEndsWithAFailure(t *testing.T) {
	t.Parallel()
	h := newWrapperHost(t, "sh")
	h.stdin = nonceOf(1) + " " + words(t, Query{Units: []string{"a.service"}, Limit: time.Minute}) + "\n" + nonceOf(2) + "\n"
	h.env = append(h.env, "PATH=/nonexistent:/bin") // Where there is no systemctl that tells.
	script := strings.ReplaceAll(StreamCommand, "systemctl", "false")
	got := h.run(t, script, true)
	if got.status != 1 || strings.Contains(got.stdout, "DONE") || !strings.Contains(got.stdout, EndMarker(nonceOf(1), SectionManager, 1)) || got.stderr != "" {
		t.Errorf("%+v", got)
	}
}

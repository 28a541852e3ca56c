package systemctl

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// hostileCommands are what a thief of the key might try.
func hostileCommands(tb testing.TB) map[string]string {
	tb.Helper()
	command := func(asked question) string {
		text, err := asked.Command()
		if err != nil {
			tb.Fatal(err)
		}
		return text
	}
	show := command(Query{Nonce: testNonce, Units: []string{"a.service", `b\x2d.slice`}, Limit: time.Second})
	list := command(Listing{Nonce: testNonce, Globs: []string{"a*", `b\x2d*`}, Limit: time.Second})
	in := func(command, from, to string) string {
		if !strings.Contains(command, from) {
			tb.Fatalf("no %q in %s", from, command)
		}
		return strings.Replace(command, from, to, 1)
	}
	return map[string]string{
		"interactive":              "",
		"shell":                    "sh",
		"bash":                     "bash -i",
		"id":                       "id",
		"scp to":                   "scp -t .",
		"scp from":                 "scp -f /etc/passwd",
		"sftp subsystem":           "internal-sftp",
		"sftp server":              "/usr/lib/openssh/sftp-server",
		"rsync":                    "rsync --server --sender -e.LsfxCIvu . /etc",
		"the wrapper itself":       WrapperPath,
		"restart":                  "systemctl restart a.service",
		"plain show":               "systemctl show a.service",
		"a line feed before":       "\n" + show,
		"a space before":           " " + show,
		"command before":           "touch pwned; " + show,
		"command behind":           show + "; touch pwned",
		"command behind, no space": show + ";touch${IFS}pwned",
		"in the background":        show + "&touch pwned",
		"and":                      show + " && touch pwned",
		"or":                       show + "|touch pwned",
		"line behind":              show + "\ntouch pwned",
		"empty line behind":        show + "\n",
		"carriage return":          show + "\r",
		"redirection":              show + " >pwned",
		"substitution":             in(show, "a.service", "$(touch pwned).service"),
		"backquotes":               in(show, "a.service", "`touch pwned`.service"),
		"variable":                 in(show, "a.service", "$PATH.service"),
		"arithmetic":               in(show, "a.service", "$((1)).service"),
		"tilde":                    in(show, "a.service", "~root.service"),
		"braces":                   in(show, "a.service", "{a,b}.service"),
		"quotes":                   in(show, "a.service", "'a.service'"),
		"double quotes":            in(show, "a.service", `"a.service"`),
		"comment":                  show + " #",
		"escaped semicolon":        in(show, "a.service", `a\;touch\ pwned.service`),
		"glob as a unit":           in(show, "a.service", `\*.service`),
		"glob as a unit, plain":    in(show, "a.service", "*.service"),
		"file as a unit":           in(show, "a.service", "/etc/shadow"),
		"path as a glob":           in(list, `a\*`, `/etc/\*`),
		"option as a group":        show + " --host=evil",
		"option as a property":     in(show, "Names,", "Names,--host=evil,"),
		"another property":         in(show, "Names,", "Names,Environment,"),
		"ExecStart":                in(show, "Names,", "ExecStart,"),
		"another manager property": in(show, "Version,", "Environment,"),
		"property in a manager":    in(show, "Version,", "Version,*,"),
		"empty property":           in(show, "Names,", "Names,,"),
		"no property of units":     in(show, "Id,Names", ",Id,Names"),
		"no property at all":       regexp.MustCompile(`Id,[A-Za-z,]*/`).ReplaceAllString(show, "/"),
		"no unit":                  regexp.MustCompile(`/a.service.*`).ReplaceAllString(show, "/"),
		"no manager property":      regexp.MustCompile(`Version,[A-Za-z,]* `).ReplaceAllString(show, ", "),
		"prefix of a property":     in(show, "Id,", "I,"),
		"two properties as one":    in(show, "Id,Names,", "Id Names,"),
		"no arguments":             strings.Split(show, testNonce)[0],
		"nonce alone":              strings.Split(show, testNonce)[0] + testNonce,
		"short nonce":              in(show, testNonce, testNonce[1:]),
		"long nonce":               in(show, testNonce, testNonce+"0"),
		"very long nonce":          in(show, testNonce, strings.Repeat("0", 320)),
		"nonce of other letters":   in(show, testNonce, strings.Repeat("G", 32)),
		"nonce for printf":         in(show, testNonce, "%s"+testNonce[2:]),
		"thirteen groups":          show + strings.Repeat(" Id/a.service", 13),
		"no limit":                 in(show, " 1 sh -c", "  sh -c"),
		"endless":                  in(show, " 1 sh -c", " 0 sh -c"),
		"endless too":              in(show, " 1 sh -c", " 0.000 sh -c"),
		"very long":                in(show, " 1 sh -c", " 1000 sh -c"),
		"days":                     in(show, " 1 sh -c", " 1d sh -c"),
		"infinite":                 in(show, " 1 sh -c", " inf sh -c"),
		"octal":                    in(show, " 1 sh -c", " 0777 sh -c"),
		"two dots":                 in(show, " 1 sh -c", " 1.1.1 sh -c"),
		"a dot alone":              in(show, " 1 sh -c", " . sh -c"),
		"no fraction":              in(show, " 1 sh -c", " 1. sh -c"),
		"another signal":           in(show, "timeout -k 1", "timeout -s STOP -k 1"),
		"option of timeout":        in(show, " 1 sh -c", " 1 -s KILL sh -c"),
		"another shell":            in(show, " sh -c '", " bash -c '"),
		"another script":           in(show, "show \"$@\"", "restart \"$@\""),
		"longer script":            in(show, "; done'", "; done; touch pwned'"),
		"shorter script":           in(show, "set -f; ", ""),
		"empty script":             in(show, showScript, ""),
		"both scripts":             in(show, scriptEnd, "; "+listScript+scriptEnd),
		"script of the other":      in(list, listScript, showScript),
		"other of the script":      in(show, showScript, listScript),
		"no exec":                  strings.TrimPrefix(show, "exec "),
		"two globs":                list + ` c\*`,
		"twenty words":             list + strings.Repeat(` c\*`, 18),
		"no glob":                  strings.Split(list, ` a\*`)[0],
		"command in a glob":        in(list, `a\*`, `\$\(touch\ pwned\)`),
		"command behind a glob":    list + ";touch pwned",
		"quote in a glob":          list + `\'`,
		"tab":                      in(show, testNonce+" ", testNonce+"\t"),
		"form feed":                show + "\f",
		"escape sequence":          "\x1b[2J\x1b]0;owned\x07id",
		"not UTF-8":                "id \xff\xfe",
		"other alphabet":           in(show, "a.service", "ä.service"),
		"too long":                 show + strings.Repeat(",aaaaaaaaa.service", 6000),
		"long":                     strings.Repeat("a", 120000),
		"much to escape":           "exec timeout -k 1 1" + strings.Repeat(`\`, 50000),
		"numbers":                  "exec timeout -k 1 " + strings.Repeat("1", 50000),
		"option":                   "-c id",
		"test operator":            "!",
		"bracket":                  "(",
		"format":                   "%s%n%d",
	}
}

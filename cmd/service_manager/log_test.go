package main

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// The journal knows the time, and takes the priority off the line. One record is one line, whatever is in it.
func TestLogForTheJournal(t *testing.T) {
	for format, want := range map[string]string{
		"text": `<7>msg=unseen host=web-01
<6>msg="two\nlines" host=web-01 poll.err="a\nb" poll.level=high
<4>msg=odd host=web-01
<3>msg=bad host=web-01
`,
		"json": `<7>{"level":"DEBUG","msg":"unseen","host":"web-01"}
<6>{"level":"INFO","msg":"two\nlines","host":"web-01","poll":{"err":"a\nb","level":"high"}}
<4>{"level":"WARN","msg":"odd","host":"web-01"}
<3>{"level":"ERROR","msg":"bad","host":"web-01"}
`,
	} {
		var out bytes.Buffer
		a := &app{stderr: &out, journal: true, logFormat: format, verbose: true}
		log := a.logger(slog.LevelInfo).With(slog.String("host", "web-01"))
		log.Debug("unseen")
		log.WithGroup("poll").Info("two\nlines", slog.Any("err", errors.New("a\nb")), slog.String("level", "high"))
		log.Warn("odd")
		log.Error("bad")
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", format, diff)
		}
	}
}

// Elsewhere a line has its time and its level, and no priority.
func TestLogOfATerminal(t *testing.T) {
	for format, want := range map[string]string{"text": `^time=\S+ level=WARN msg=odd\n$`, "json": `^{"time":"[^"]+","level":"WARN","msg":"odd"}\n$`} {
		var out bytes.Buffer
		log := (&app{stderr: &out, logFormat: format}).logger(slog.LevelInfo)
		log.Debug("unseen")
		log.Warn("odd")
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("%s: %q", format, out.String())
		}
	}
}

// What ends the program is an error in the journal too, each line of it.
func TestComplaintsToTheJournal(t *testing.T) {
	var out bytes.Buffer
	a := &app{stderr: &out, journal: true}
	a.report(failed(exitOwn, errors.Join(errors.New("one"), errors.New("two"))))
	if want := "<3>service_manager: one\n<3>two\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// A reader that has stopped reading holds up neither the one who logs nor the end; what was dropped is told when it reads on.
func TestLogWaitsForNoReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := net.Pipe() // Unlike a pipe of the system's it holds nothing, and synctest knows when it blocks.
		a := &app{stderr: w, logFormat: "text"}
		log := a.runLog()
		const logged = 2*queuedLines + 1
		for range logged {
			log.Info("a line")
		}
		synctest.Wait()
		read := make(chan string)
		go func() {
			var text bytes.Buffer
			_, _ = text.ReadFrom(r)
			read <- text.String()
		}()
		synctest.Wait()
		log.Info("the last")
		a.log.end()
		_ = w.Close()
		text := <-read
		kept := strings.Count(text, `msg="a line"`)
		told := regexp.MustCompile(`level=WARN msg="lines of the log were dropped, as no one read them" lines=(\d+)\n`).FindStringSubmatch(text)
		if told == nil || !strings.HasSuffix(text, "msg=\"the last\"\n") {
			t.Fatalf("the end of what was read: %s", text[max(0, len(text)-400):])
		}
		if lost, _ := strconv.Atoi(told[1]); lost == 0 || lost+kept != logged {
			t.Errorf("of %d lines %d were kept and %d told to be lost", logged, kept, lost)
		}
	})
}

func TestLogEndsThoughNoOneReads(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		r, w := net.Pipe()
		a := &app{stderr: w, logFormat: "text"}
		log := a.runLog()
		log.Info("stuck")
		log.Info("behind it")
		a.log.end()
		log.Info("late") // From a goroutine that hangs elsewhere: it must not panic.
		_ = r.Close()
	})
}

// A whole run ends when it is told to, though nothing has read its log from the first line on.
func TestRunEndsThoughNoOneReadsItsLog(t *testing.T) {
	inventory, reached := frozen(t)
	r, w := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan int)
	var stdout bytes.Buffer
	go func() { ended <- execute(ctx, []string{"run", "--dry-run", "-v", "-i", inventory}, nil, &stdout, w) }()
	<-reached
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	_ = r.Close() // Frees the write.
}

// The list of keys in log.go is whole, and so a reader of logs can rely on it.
func TestLogKeysAreListed(t *testing.T) {
	source, err := os.ReadFile("log.go")
	if err != nil {
		t.Fatal(err)
	}
	listed, _, _ := strings.Cut(string(source), "// Nothing secret")
	root := filepath.Join("..", "..")
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == filepath.Join(root, "integration") || path != root && strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if key := logKey(n); key != "" && !regexp.MustCompile(`(?m)^//\t(\w+, )*`+key+`(, \w+)* `).MatchString(listed) {
				t.Errorf("%s logs the key %s, which log.go does not list: use one of those there, or list it", path, key)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// logKey is the key of a call such as slog.String("host", …).
func logKey(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return ""
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	literal, isText := call.Args[0].(*ast.BasicLit)
	if of, ok := selector.X.(*ast.Ident); !ok || of.Name != "slog" || !isText {
		return ""
	}
	key, _ := strconv.Unquote(literal.Value)
	return key
}

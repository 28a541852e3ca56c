package farm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A Runner is a shell that stays on a host and runs command lines there when it is told to, as sshd would, but without SSH: as the same
// user, with the same shell and PATH, in the host's namespaces and cgroup. It is told so through a FIFO, and answers through another one,
// so that there is nothing between but the kernel.
type Runner struct {
	host    *Host
	in, out *os.File
	reader  *bufio.Reader
}

// over is the line after each answer.
const over = "--OVER--"

// resident is the shell's work. Its arguments are the command lines; it reads the number of one. (It reads byte by byte, so it must not be
// told the command line itself.)
const resident = `exec </runner/in >/runner/out 2>&1
while read -r i; do eval "c=\${$i}"; sh -c "$c"; printf '\n` + over + `\n'; done`

// loginPath is the PATH that sshd gives to users of Debian.
const loginPath = "/usr/local/bin:/usr/bin:/bin:/usr/games"

func (h *Host) runnerDir() string { return filepath.Join(h.dir, "runner", h.Name) }

// Runner starts a runner for these command lines. A host has one at most, which ends when it is closed, or with the host.
func (h *Host) Runner(ctx context.Context, commandLines ...string) (*Runner, error) {
	r := &Runner{host: h}
	for _, fifo := range []struct {
		name string
		file **os.File
	}{{"in", &r.in}, {"out", &r.out}} {
		path := filepath.Join(h.runnerDir(), fifo.name)
		_, err := run(ctx, "mkfifo", "--mode=666", path)
		if err == nil {
			*fifo.file, err = os.OpenFile(path, os.O_RDWR, 0) // Which waits for no one at the other end.
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	r.reader = bufio.NewReaderSize(r.out, 64<<10)
	args := []string{"exec", "--detach", "--user", User, "--workdir", "/home/" + User, "--env", "PATH=" + loginPath, h.container, "sh", "-c", resident, "sh"}
	if _, err := run(ctx, "docker", append(args, commandLines...)...); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Run runs one of the command lines, of which the first is 0, and returns what it printed.
func (r *Runner) Run(i int, limit time.Duration) ([]byte, error) {
	if err := r.out.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	if _, err := r.in.WriteString(strconv.Itoa(i+1) + "\n"); err != nil {
		return nil, err
	}
	var answer []byte
	for {
		line, err := r.reader.ReadSlice('\n')
		answer = append(answer, line...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("%s, without SSH: %w; it said %.200q", r.host.Name, err, answer)
		}
		if whole, isOver := bytes.CutSuffix(answer, []byte("\n"+over+"\n")); isOver {
			return whole, nil
		}
	}
}

// Close ends the runner.
func (r *Runner) Close() error {
	var err error
	for _, file := range []*os.File{r.in, r.out} {
		if file != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}
	return err
}

package farm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sourcegraph/conc/pool"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts/sshtest"
)

// User is the account to log in to.
const User = "monitor"

const (
	// booting is how many hosts boot at a time: each takes a core for a second or two.
	booting = 4
	// bootLimit is how long a host may take for that on a busy machine.
	bootLimit = 2 * time.Minute
)

// logind is what every host's logind.conf(5) has besides.
const logind = "[Login]\nUserStopDelaySec=0\n"

// Config configures a [Farm].
type Config struct {
	Stack   string   // The folder integration/stack.
	Project string   // The Compose project that the containers are labelled with, by which what is left of them can be found.
	Debian  []string // The version of each host, such as "12".
}

// A Farm is a set of running hosts.
type Farm struct {
	Hosts   []*Host
	dir     string
	inotify string // What the machine's limit was, where it has been raised.
}

// Start starts the hosts, and returns when all have booted. The caller must stop the farm.
func Start(ctx context.Context, c Config) (*Farm, error) {
	dir, err := os.MkdirTemp("", "farm-") // Not below the caller's folder: the path of a socket is short (unix(7)).
	if err != nil {
		return nil, err
	}
	f := &Farm{dir: dir}
	if err := f.start(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("starting hosts: %w", err), f.Stop(ctx))
	}
	return f, nil
}

func (f *Farm) start(ctx context.Context, c Config) error {
	images := map[string]string{}
	for i, debian := range c.Debian {
		f.Hosts = append(f.Hosts, &Host{Name: fmt.Sprintf("host-%02d", i+1), Debian: debian, dir: f.dir})
		if images[debian] != "" {
			continue
		}
		id, err := run(ctx, filepath.Join(c.Stack, "host-image"), debian)
		if err != nil {
			return err
		}
		images[debian] = strings.TrimSpace(id)
	}
	keys, err := f.writeKeys()
	if err != nil {
		return err
	}
	if err := f.raiseInotify(); err != nil {
		return err
	}
	boots := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(booting)
	for _, h := range f.Hosts {
		boots.Go(func(ctx context.Context) error { return h.boot(ctx, c.Project, images[h.Debian]) })
	}
	if err := boots.Wait(); err != nil {
		return err
	}
	return f.writeClient(keys)
}

// Stop removes all that Start has made but the images, also after the end of ctx.
func (f *Farm) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	remove := []string{"rm", "--force", "--volumes"}
	for _, h := range f.Hosts {
		if h.container != "" {
			remove = append(remove, h.container)
		}
	}
	var err error
	if len(remove) > 3 {
		_, err = run(ctx, "docker", remove...)
	}
	if f.inotify != "" {
		err = errors.Join(err, os.WriteFile(inotifyLimit, []byte(f.inotify), 0)) // It is there.
	}
	return errors.Join(err, os.RemoveAll(f.dir))
}

const (
	// inotifyLimit is how many instances of inotify(7) the processes of a user may have, those in containers included.
	inotifyLimit = "/proc/sys/fs/inotify/max_user_instances"
	// inotifyOfHost is more than root has of them on a host: without them systemd does not start.
	inotifyOfHost = 16
)

// raiseInotify raises the limit where it is too low for so many hosts.
func (f *Farm) raiseInotify() error {
	text, err := os.ReadFile(inotifyLimit)
	if err != nil {
		return err
	}
	now := strings.TrimSpace(string(text))
	n, err := strconv.Atoi(now)
	if need := 128 + inotifyOfHost*len(f.Hosts); err == nil && n < need {
		f.inotify = now
		err = os.WriteFile(inotifyLimit, []byte(strconv.Itoa(need)), 0)
	}
	return err
}

// IdentityFile is the path of the private key that may log in to all hosts.
func (f *Farm) IdentityFile() string { return filepath.Join(f.dir, "client", "id_ed25519") }

// KnownHosts is the path of a known_hosts file with the keys of all hosts, by address.
func (f *Farm) KnownHosts() string { return filepath.Join(f.dir, "client", "known_hosts") }

// Dir is a folder of its own for a client's files, with a short path.
func (f *Farm) Dir(name string) (string, error) {
	dir := filepath.Join(f.dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}

// writeKeys makes what hosts have in /keys, and the user's key. It returns the public host keys, by name.
func (f *Farm) writeKeys() (map[string]ssh.PublicKey, error) {
	for _, folder := range []string{"client", "keys", "logind"} {
		if err := os.Mkdir(filepath.Join(f.dir, folder), 0o700); err != nil {
			return nil, err
		}
	}
	user, signer, err := sshtest.NewKey()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		f.IdentityFile(): user,
		filepath.Join(f.dir, "keys", "authorized_keys"):  ssh.MarshalAuthorizedKey(signer.PublicKey()),
		filepath.Join(f.dir, "logind", "immediate.conf"): []byte(logind),
	}
	public := map[string]ssh.PublicKey{}
	for _, h := range f.Hosts {
		private, signer, err := sshtest.NewKey()
		if err != nil {
			return nil, err
		}
		files[filepath.Join(f.dir, "keys", h.Name)], public[h.Name] = private, signer.PublicKey()
	}
	for path, content := range files {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
	}
	return public, os.Chmod(filepath.Join(f.dir, "logind"), 0o755) //nolint:gosec // G302: logind of the hosts reads it.
}

// writeClient makes known_hosts, now that the addresses are known.
func (f *Farm) writeClient(keys map[string]ssh.PublicKey) error {
	var known strings.Builder
	for _, h := range f.Hosts {
		fmt.Fprintf(&known, "%s %s", h.Address, ssh.MarshalAuthorizedKey(keys[h.Name]))
	}
	return os.WriteFile(f.KnownHosts(), []byte(known.String()), 0o600)
}

// CPU is what the hosts have used together since they were started.
func (f *Farm) CPU() (time.Duration, error) {
	var sum time.Duration
	for _, h := range f.Hosts {
		used, err := h.CPU("")
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// Accepted is how many TCP connections the hosts have accepted together since they were started.
func (f *Farm) Accepted() (int, error) {
	sum := 0
	for _, h := range f.Hosts {
		n, err := h.accepted()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// Settle waits until nobody is logged in to any host, and the hosts are quiet.
func (f *Farm) Settle(ctx context.Context) error {
	err := waitFor(ctx, "nobody to be logged in to any host", func() (bool, error) {
		return !slices.ContainsFunc(f.Hosts, (*Host).loggedIn), nil
	})
	if err != nil {
		return err
	}
	return f.Quiet(ctx)
}

// Quiet waits until the hosts have nothing to do any more: until all of them together use less than a 20th of a core.
func (f *Farm) Quiet(ctx context.Context) error {
	before := time.Duration(-1)
	return waitFor(ctx, "the hosts to be quiet", func() (bool, error) {
		used, err := f.CPU()
		quiet := before >= 0 && used-before < look/20
		before = used
		return quiet, err
	})
}

// look is how often waitFor looks.
const look = 300 * time.Millisecond

func waitFor(ctx context.Context, what string, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if ok, err := is(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-time.After(look):
		}
	}
}

package sshd

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// User is the account that the collector logs in to.
const User = "monitor"

// Path is where an sshd, and the shells it starts, see [Config.Files].
const Path = "/run/host"

// start runs as process 1 of the namespaces. The folder of the files goes by way of /mnt, since /run, which then covers all that the
// machine has there, may cover the folder too.
const start = `set -eu
mount -t proc proc /proc
mount --bind "$1" /mnt
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd ` + Path + `
mount --move /mnt ` + Path + `
mount --bind ` + Path + `/passwd /etc/passwd
mount --bind ` + Path + `/shadow /etc/shadow
. ` + Path + `/prepare
exec "$2" -D -e -f ` + Path + `/sshd_config`

// write makes the files of a server that will listen on that port.
func (c Config) write(port int) error {
	files := map[string]string{
		"passwd": "root:x:0:0::/root:/bin/sh\nsshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n" +
			fmt.Sprintf("%s:x:64999:64999::%s/home:%s\n", User, Path, c.Shell),
		"shadow":          fmt.Sprintf("root:*:20000:0:99999:7:::\n%s:%s\n", User, c.Shadow),
		"authorized_keys": string(ssh.MarshalAuthorizedKey(c.UserKey)),
		"prepare":         c.Prepare,
		"home/.profile":   "",
		"sshd_config":     c.directives(port),
	}
	maps.Copy(files, c.Files)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(c.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // G301: the account must get in.
			return err
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o755); err != nil { //nolint:gosec // G306: the account must run them.
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "host_key"), c.HostKey, 0o600); err != nil {
		return err
	}
	return os.Chmod(c.Dir, 0o755) //nolint:gosec // G302: as above.
}

// directives is the sshd_config. Of a directive that stands in it twice, sshd takes the first.
func (c Config) directives(port int) string {
	return strings.Join(append(slices.Clone(c.Directives),
		fmt.Sprintf("Port %d", port),
		"ListenAddress 127.0.0.1",
		"HostKey "+Path+"/host_key",
		"AuthorizedKeysFile "+Path+"/authorized_keys",
		"SetEnv PATH="+Path+"/bin:/usr/bin:/bin",
		"PidFile none",
		"StrictModes no",
		"UsePAM no",
		"PrintMotd no",
		"LogLevel VERBOSE",
	), "\n") + "\n"
}

package inventory

import (
	"io/fs"
	"path/filepath"
	"slices"
)

// testConfig is a Config whose files are the given ones; with nil, every file is readable and empty.
func testConfig(files map[string]string) Config {
	env := map[string]string{
		"CREDENTIALS_DIRECTORY": "/run/credentials", "PASSWORD": "p@ss/w:rd%", "BROKER_HOST": "rabbit.example.com",
		"BROKER_URL": "amqps://u:p@h/v", "EMPTY": "",
	}
	read := func(name string) ([]byte, error) {
		content, ok := files[name]
		if !ok && files != nil && !slices.Contains(anyFiles(), filepath.Base(name)) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(content), nil
	}
	return Config{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile:  read,
		Real:      filepath.Clean,
		Readable:  func(name string) error { _, err := read(name); return err },
		Mode:      func(name string) (fs.FileMode, error) { _, err := read(name); return 0o600, err },
		Glob: func(pattern string) ([]string, error) {
			var names []string
			for name := range files {
				ok, err := filepath.Match(pattern, name)
				if err != nil {
					return nil, err
				}
				if ok {
					names = append(names, name)
				}
			}
			return names, nil
		},
		User: "me", Home: "/home/me", Hostname: "fleet-a.example.com",
	}
}

// anyFiles exist in any folder.
func anyFiles() []string {
	return []string{"id_ed25519", "id_ed25519-cert.pub", "known_hosts", "ssh_known_hosts", "config", "ca.pem", "client.pem", "client.key"}
}

package fleet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"golang.org/x/crypto/ssh/knownhosts"
)

// The inventory file of a fleet.
type (
	inventoryFile struct {
		Collector inventoryCollector        `toml:"collector"`
		Broker    *inventoryBroker          `toml:"broker,omitempty"`
		SSH       inventorySSH              `toml:"ssh"`
		Groups    map[string]inventoryGroup `toml:"groups"`
		Hosts     []inventoryHost           `toml:"hosts"`
	}
	inventoryCollector struct {
		Name     string `toml:"name"`
		Interval string `toml:"interval"`
	}
	inventoryBroker struct {
		URL string `toml:"url"`
	}
	inventorySSH struct {
		User         string   `toml:"user"`
		IdentityFile string   `toml:"identity_file"`
		KnownHosts   []string `toml:"known_hosts"`
		Mode         string   `toml:"mode,omitempty"`
	}
	inventoryGroup struct {
		Units []string   `toml:"units"`
		SSH   *sshRights `toml:"ssh,omitempty"`
	}
	sshRights struct {
		Become string `toml:"become"`
	}
	inventoryHost struct {
		Name    string   `toml:"name"`
		Address string   `toml:"address"`
		Group   string   `toml:"group"`
		SSH     hostPort `toml:"ssh"`
	}
	hostPort struct {
		Port int `toml:"port"`
	}
)

// writeFiles writes the user key, known_hosts and the inventory, and returns the path of the last.
func writeFiles(config Config, privateKey []byte, stations []*station) (string, error) {
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return "", fmt.Errorf("finding the folder for the fleet's files: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the folder for the fleet's files: %w", err)
	}
	var (
		identity, known, path = filepath.Join(dir, "id_ed25519"), filepath.Join(dir, "known_hosts"), filepath.Join(dir, "inventory.toml")
		keys, inventory       bytes.Buffer
	)
	for _, s := range stations {
		fmt.Fprintln(&keys, knownhosts.Line([]string{s.server.Addr().String()}, s.server.HostKey()))
	}
	inventory.WriteString("# A simulated fleet. Its hosts answer while the process that wrote this runs.\n\n")
	encoder := toml.NewEncoder(&inventory)
	encoder.Indent = ""
	if err := encoder.Encode(newInventoryFile(config, identity, known, stations)); err != nil {
		return "", fmt.Errorf("writing the fleet's inventory: %w", err)
	}
	for _, file := range []struct {
		path string
		data []byte
	}{{identity, privateKey}, {known, keys.Bytes()}, {path, inventory.Bytes()}} {
		if err := os.WriteFile(file.path, file.data, 0o600); err != nil {
			return "", fmt.Errorf("writing the fleet's files: %w", err)
		}
	}
	return path, nil
}

// newInventoryFile has intervals that leave one machine room to play the hosts, too, and other programs to read them beside the first.
func newInventoryFile(config Config, identity, known string, stations []*station) inventoryFile {
	file := inventoryFile{
		Collector: inventoryCollector{Name: "demo", Interval: "2s"},
		SSH:       inventorySSH{User: "monitor", IdentityFile: identity, KnownHosts: []string{known}, Mode: config.Mode},
		Groups:    make(map[string]inventoryGroup),
	}
	switch {
	case len(stations) > 1000:
		file.Collector.Interval = "10s"
	case len(stations) > 100:
		file.Collector.Interval = "5s"
	}
	if config.Broker != "" {
		file.Broker = &inventoryBroker{URL: strings.ReplaceAll(config.Broker, "$", "%24")} // Which stands for a variable there.
	}
	for _, s := range stations {
		h := s.host
		g := inventoryGroup{Units: h.group.inInventory()}
		if h.group.rights == bySudo {
			g.SSH = &sshRights{Become: "sudo"}
		}
		file.Groups[h.group.name] = g
		addr := s.server.Addr()
		file.Hosts = append(file.Hosts, inventoryHost{
			Name: h.name, Address: addr.IP.String(), Group: h.group.name, SSH: hostPort{Port: addr.Port},
		})
	}
	return file
}

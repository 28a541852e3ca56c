package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/pprof/profile"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A service is `service_manager run`, the real program.
type service struct {
	*process
	url string // Of its HTTP server.
}

// serve starts the program with an inventory made of those of simulated hosts, which says where to publish and how often to poll. Cores is
// how many it may use, 0 is all. Its files are beside the first inventory. Alive ends with it, whatever the reason.
func (r Run) serve(
	ctx context.Context, programs string, inventories []string, exchange string, interval time.Duration, cores int,
) (s *service, alive context.Context, err error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(filepath.Dir(inventories[0]), "run.toml")
	if err := join(path, inventories, map[string]any{
		"collector": map[string]any{"name": collector, "interval": interval.String(), "listen": address, "state": "state.db"},
		"broker":    map[string]any{"url": r.Broker, "exchange": exchange, "declare": "passive"},
	}); err != nil {
		return nil, nil, fmt.Errorf("writing the inventory: %w", err)
	}
	p, alive, err := launch(ctx, filepath.Join(programs, "service_manager"), func(cmd *exec.Cmd) error {
		if cores > 0 {
			cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", cores))
		}
		return nil
	}, "run", "--pprof", "-i", path)
	if err != nil {
		return nil, nil, err
	}
	return &service{p, "http://" + address}, alive, nil
}

// join makes one inventory of several whose hosts differ, and the way to log in to them, but not the groups; and with other tables.
func join(to string, from []string, tables map[string]any) error {
	var hosts []any
	for _, path := range from {
		var one struct {
			SSH    map[string]any `toml:"ssh"`
			Groups map[string]any `toml:"groups"`
			Hosts  []struct {
				Name    string         `toml:"name"`
				Address string         `toml:"address"`
				Group   string         `toml:"group"`
				SSH     map[string]any `toml:"ssh"`
			} `toml:"hosts"`
		}
		if _, err := toml.DecodeFile(path, &one); err != nil {
			return err
		}
		for _, h := range one.Hosts {
			ssh := maps.Clone(one.SSH)
			maps.Copy(ssh, h.SSH)
			hosts = append(hosts, map[string]any{"name": h.Name, "address": h.Address, "group": h.Group, "ssh": ssh})
		}
		tables["groups"] = one.Groups
	}
	tables["hosts"] = hosts
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(tables); err != nil {
		return err
	}
	return os.WriteFile(to, text.Bytes(), 0o600)
}

// freeAddress is one that no one listens at, nor will connect from: it is on loopback, but not where all the others are.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.77.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// get asks the program's HTTP server.
func (s *service) get(ctx context.Context, path string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking the program for %s: %w", path, err)
	}
	defer func() { _ = response.Body.Close() }() // It was only read.
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the program for %s: %s", path, response.Status)
	}
	if err := read(response.Body); err != nil {
		return fmt.Errorf("reading %s of the program: %w", path, err)
	}
	return nil
}

// metrics are figures by the name of the metric, those of several series added up.
type metrics map[string]float64

// scrape reads /metrics.
func (s *service) scrape(ctx context.Context) (metrics, error) {
	m := metrics{}
	return m, s.get(ctx, "/metrics", func(body io.Reader) error {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(body)
		for name, family := range families {
			for _, series := range family.GetMetric() {
				m[name] += value(series)
			}
		}
		return err
	})
}

func value(m *dto.Metric) float64 {
	switch {
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	}
	return 0
}

// A heap is what the program's memory is used for.
type heap struct {
	live    float64 // Bytes, what is garbage already included.
	mallocs float64 // So far.
	bytes   float64 // That they have allocated.
}

// heap reads the program's memory statistics, which costs it little. Where collect it collects its garbage first.
func (s *service) heap(ctx context.Context, collect bool) (heap, error) {
	path := "/debug/pprof/heap?debug=1"
	if collect {
		path += "&gc=1"
	}
	var h heap
	of := map[string]*float64{"HeapAlloc": &h.live, "Mallocs": &h.mallocs, "TotalAlloc": &h.bytes}
	return h, s.get(ctx, path, func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		found := 0
		for lines.Scan() {
			name, text, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "# "), " = ")
			if figure := of[name]; ok && figure != nil {
				if _, err := fmt.Sscan(text, figure); err != nil {
					return err
				}
				found++
			}
		}
		if found != len(of) {
			return fmt.Errorf("%d of %d figures were found", found, len(of))
		}
		return lines.Err()
	})
}

// profile is what the program spends its CPU time on, in the time to come.
func (s *service) profile(ctx context.Context, over time.Duration) (*profile.Profile, error) {
	var p *profile.Profile
	path := fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(over.Seconds())))
	return p, s.get(ctx, path, func(body io.Reader) (err error) {
		p, err = profile.Parse(body)
		return err
	})
}

// saveHeap writes what the program has in memory to a file.
func (s *service) saveHeap(ctx context.Context, path string) error {
	return s.get(ctx, "/debug/pprof/heap", func(body io.Reader) error {
		p, err := profile.Parse(body)
		if err != nil {
			return err
		}
		return save(p, path)
	})
}

// save writes a profile to a file.
func save(p *profile.Profile, path string) error {
	var text bytes.Buffer
	if err := p.Write(&text); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

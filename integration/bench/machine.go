package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// unknown stands for what could not be found out.
const unknown = "unknown"

// A Machine is where and of what something was measured.
type Machine struct {
	Date       time.Time `json:"date"`
	Command    string    `json:"command"`
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	Memory     string    `json:"memory"`
	OpenFiles  int       `json:"open_files"` // That a process may have: simulated hosts want two each.
	Kernel     string    `json:"kernel"`
	FileSystem string    `json:"file_system"` // Of the state files.
	Versions   Versions  `json:"versions"`
}

// Versions are those of what takes part.
type Versions struct {
	Program  string `json:"service_manager"`
	Go       string `json:"go"`
	AMQP     string `json:"amqp091_go"`
	Bbolt    string `json:"bbolt"`
	RabbitMQ string `json:"rabbitmq"`
}

// Describe describes this machine. Command is how to measure the same again, and version that of the program.
func (r Run) Describe(ctx context.Context, command, version string) (Machine, error) {
	m := Machine{
		Date: time.Now().UTC().Truncate(time.Second), Command: command,
		CPU: cpuModel(), Cores: runtime.NumCPU(), Memory: mainMemory(), OpenFiles: openFiles(), Kernel: lastLine(ctx, "uname", "-sr"),
		FileSystem: lastLine(ctx, "df", "--output=fstype", r.Dir),
		Versions: Versions{
			Program: version, Go: runtime.Version(), AMQP: moduleVersion("github.com/rabbitmq/amqp091-go"),
			Bbolt: moduleVersion("go.etcd.io/bbolt"), RabbitMQ: "none",
		},
	}
	if r.Broker == "" {
		return m, nil
	}
	conn, err := amqp.Dial(r.Broker)
	if err != nil {
		return Machine{}, fmt.Errorf("connecting to the broker: %w", err)
	}
	m.Versions.RabbitMQ = fmt.Sprint(conn.Properties["version"])
	return m, conn.Close()
}

// String is the machine for people.
func (m Machine) String() string {
	v := m.Versions
	return fmt.Sprintf("%s: %s\n%d cores, %s, %s of memory, %d open files, %s, state files on %s\nservice_manager %s, %s, amqp091-go %s, bbolt %s, RabbitMQ %s\n",
		m.Date.Format(time.RFC3339), m.Command, m.Cores, m.CPU, m.Memory, m.OpenFiles, m.Kernel, m.FileSystem, v.Program, v.Go, v.AMQP, v.Bbolt, v.RabbitMQ)
}

// loadAverage is the machine's, over one minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return unknown
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}

func cpuModel() string { return procValue("/proc/cpuinfo", "model name") }

func mainMemory() string { return procValue("/proc/meminfo", "MemTotal") }

// procValue is the first value of a name in a file of /proc.
func procValue(path, of string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == of {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

// lastLine is the last line that a command prints.
func lastLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return unknown
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// moduleVersion is that of a module that was built in.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return unknown
}

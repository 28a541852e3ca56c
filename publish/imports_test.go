package publish

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestNoSSH shows that a program that imports the message types links neither an ssh nor any other package of this module.
func TestNoSSH(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "service_manager/publish").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, "github.com/rabbitmq/amqp091-go") {
		t.Fatalf("go list shows no dependencies: %q", out)
	}
	for _, p := range packages {
		if strings.Contains(p, "ssh") || strings.HasPrefix(p, "service_manager/") && p != "service_manager/publish" {
			t.Errorf("it links %s", p)
		}
	}
}

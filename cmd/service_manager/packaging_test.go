package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The versions of packages, in the order in which they come to be, which dpkg has to agree with.
func TestDebianVersions(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	before := ""
	for _, version := range []struct{ git, debian string }{
		{"0a1b2c3", "0.0.0+20251126100000.g0a1b2c3"},
		{"0a1b2c3-dirty", "0.0.0+20251126100000.g0a1b2c3+dirty"},
		{"v1.2.0-rc1", "1.2.0~rc1"},
		{"v1.2.0-rc1-5-g0a1b2c3", "1.2.0~rc1+5.g0a1b2c3"},
		{"v1.2.0", "1.2.0"},
		{"v1.2.0-5-g0a1b2c3", "1.2.0+5.g0a1b2c3"},
		{"v1.2.0-12-g0123456", "1.2.0+12.g0123456"},
		{"v1.2.1", "1.2.1"},
	} {
		out, err := exec.CommandContext(t.Context(), "packaging/deb-version", version.git, "1764151200").CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != version.debian {
			t.Errorf("%s is %q (%v), want %s", version.git, got, err, version.debian)
		}
		if _, err := exec.LookPath("dpkg"); err == nil && before != "" {
			if exec.CommandContext(t.Context(), "dpkg", "--compare-versions", before, "lt", version.debian).Run() != nil {
				t.Errorf("dpkg takes %s for newer than %s", before, version.debian)
			}
		}
		before = version.debian
	}
}

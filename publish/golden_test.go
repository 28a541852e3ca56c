package publish

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkGolden compares a message's body, which must be on one line, with a file that has it indented.
func checkGolden(t *testing.T, file string, m Message) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, m.Body, "", "  "); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()+"\n"); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	if bytes.ContainsRune(m.Body, '\n') {
		t.Error("the body has more than one line")
	}
}

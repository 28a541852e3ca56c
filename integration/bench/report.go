package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// A Report is what one run of the benchmarks has come to.
type Report struct {
	Machine Machine `json:"machine"`
	Tables  []Table `json:"tables"`
}

// Save writes the report as JSON, for programs. It makes the folder where there is none.
func (r Report) Save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

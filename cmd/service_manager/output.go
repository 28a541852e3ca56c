package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// checkFormat refuses an output format before anything is done for it.
func checkFormat(format string) error {
	switch format {
	case "table", "json", "jsonl":
		return nil
	}
	return failed(exitUsage, fmt.Errorf("-o %q: write table, json or jsonl", format))
}

// printJSON prints items as one JSON array or, for the format jsonl, as one line each.
func printJSON[T any](w io.Writer, format string, items []T) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if format == "json" {
		encoder.SetIndent("", "  ")
		if items == nil {
			items = []T{}
		}
		return encoder.Encode(items)
	}
	for _, item := range items {
		if err := encoder.Encode(item); err != nil {
			return err
		}
	}
	return nil
}

// printable makes text that came from a host safe for a terminal: no control characters, no line breaks.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, s)
}

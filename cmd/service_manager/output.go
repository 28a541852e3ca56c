package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// checkFormat refuses an output format before anything is done for it. Others are those that the command has beside the usual ones.
func checkFormat(format string, others ...string) error {
	formats := slices.Concat([]string{"table"}, others, []string{"json"})
	if slices.Contains(formats, format) || format == "jsonl" {
		return nil
	}
	return failed(exitUsage, fmt.Errorf("-o %q: write %s or jsonl", format, strings.Join(formats, ", ")))
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

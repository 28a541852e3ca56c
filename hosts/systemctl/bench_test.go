package systemctl

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// twentyUnits is a query for 20 services and its answer, as 257 prints it.
func twentyUnits(tb testing.TB) (Query, []byte) {
	tb.Helper()
	record := strings.Split(capture(tb, "257", "units.txt"), "\n\n")[2] // api.service
	query := Query{Nonce: testNonce, Limit: time.Second}
	var records []string
	for i := range 20 {
		name := fmt.Sprintf("service-%02d.service", i)
		query.Units = append(query.Units, name)
		records = append(records, strings.ReplaceAll(record, "api.service", name)+"\n")
	}
	return query, []byte(answer(capture(tb, "257", "manager.txt"), strings.Join(records, "\n")))
}

func BenchmarkParse(b *testing.B) {
	query, stdout := twentyUnits(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(stdout)))
	for b.Loop() {
		if answer, err := query.Parse(stdout, nil); err != nil || len(answer.Units) != 20 {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseNext parses what nearly every poll gets: as much as before, but for what the services use.
func BenchmarkParseNext(b *testing.B) {
	query, stdout := twentyUnits(b)
	first, err := query.Parse(stdout, nil)
	if err != nil {
		b.Fatal(err)
	}
	query = query.Next(first)
	b.ReportAllocs()
	b.SetBytes(int64(len(stdout)))
	for b.Loop() {
		if answer, err := query.Parse(stdout, nil); err != nil || len(answer.Units) != 20 {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommand(b *testing.B) {
	query, _ := twentyUnits(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := query.Command(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommandNext(b *testing.B) {
	query, _ := twentyUnits(b)
	query = query.Next(Answer{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := query.Command(); err != nil {
			b.Fatal(err)
		}
	}
}

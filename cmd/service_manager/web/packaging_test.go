package web_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

const (
	dashboardFile = "../packaging/grafana/service_manager.json"
	rulesFile     = "../packaging/prometheus/service_manager.rules.yml"
	rulesTestFile = "../packaging/prometheus/service_manager.rules_test.yml"
)

// A dashboard is what Grafana reads, as far as it matters here.
type dashboard struct {
	Panels []struct {
		ID      int    `json:"id"`
		Title   string `json:"title"`
		GridPos struct {
			X int `json:"x"`
			Y int `json:"y"`
			W int `json:"w"`
			H int `json:"h"`
		} `json:"gridPos"`
		Targets []struct {
			Expr         string `json:"expr"`
			LegendFormat string `json:"legendFormat"`
		} `json:"targets"`
	} `json:"panels"`
	Templating struct {
		List []struct {
			Name  string          `json:"name"`
			Query json.RawMessage `json:"query"` // Text, or an object with the text in it.
		} `json:"list"`
	} `json:"templating"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A vocabulary is the metrics of a real scrape, the labels that each has, and the values of each label.
type vocabulary struct {
	labels map[string]map[string]bool
	values map[string]map[string]bool
}

func vocabularyOf(t *testing.T) vocabulary {
	t.Helper()
	v := vocabulary{map[string]map[string]bool{}, map[string]map[string]bool{}}
	_, body := get(t, lively(t), "/metrics")
	for name, family := range families(t, strings.NewReader(body)) {
		labels := map[string]bool{"job": true, "instance": true} // From the scrape.
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = true
				if v.values[l.GetName()] == nil {
					v.values[l.GetName()] = map[string]bool{}
				}
				v.values[l.GetName()][l.GetValue()] = true
			}
		}
		v.labels[name] = labels
		if family.GetType() == dto.MetricType_HISTOGRAM {
			v.labels[name+"_bucket"] = maps.Clone(labels)
			v.labels[name+"_bucket"]["le"] = true
		}
	}
	v.labels["up"] = map[string]bool{"job": true, "instance": true} // Prometheus' own, as is this:
	v.labels["ALERTS"] = map[string]bool{"alertname": true}
	return v
}

// knows reports whether any metric has the label.
func (v vocabulary) knows(label string) bool {
	for _, labels := range v.labels {
		if labels[label] {
			return true
		}
	}
	return false
}

var (
	selector = regexp.MustCompile(`\b((?:service_manager|process|go)_[a-z_]+|up\b)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|on|without|ignoring)\s*\(([^)]*)\)`)
	shown    = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)
)

// check finds names in PromQL, and in texts with names of labels in braces, that no scrape has. It returns the metrics.
func (v vocabulary) check(t *testing.T, where, text string) (metrics []string) {
	t.Helper()
	for _, s := range selector.FindAllStringSubmatch(text, -1) {
		labels, there := v.labels[s[1]]
		if !there {
			t.Errorf("%s: there is no metric %s", where, s[1])
			continue
		}
		metrics = append(metrics, s[1])
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !labels[m[1]] {
				t.Errorf("%s: %s has no label %s", where, s[1], m[1])
			}
			if !slices.Contains([]string{"outcome", "state", "phase", "cause", "result"}, m[1]) { // The others have any values.
				continue
			}
			for value := range strings.SplitSeq(m[2], "|") {
				if !v.values[m[1]][value] {
					t.Errorf("%s: no series has %s=%q", where, m[1], value)
				}
			}
		}
	}
	for _, g := range append(grouping.FindAllStringSubmatch(text, -1), shown.FindAllStringSubmatch(text, -1)...) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); !v.knows(label) {
				t.Errorf("%s: no metric has the label %s", where, label)
			}
		}
	}
	return metrics
}

// What the dashboard asks for is there.
func TestDashboard(t *testing.T) {
	v, d := vocabularyOf(t), readDashboard(t)
	ids, places := map[int]bool{}, map[[2]int]string{}
	queries := 0
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies on %s, or beyond the edge", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			queries++
			if len(v.check(t, p.Title, target.Expr)) == 0 {
				t.Errorf("%s: no metric in %s", p.Title, target.Expr)
			}
			v.check(t, p.Title, target.LegendFormat)
		}
	}
	if queries < 20 {
		t.Errorf("%d queries: they are not where this looks for them", queries)
	}
	labelValues := regexp.MustCompile(`^label_values\(.*, (\w+)\)$`)
	for _, variable := range d.Templating.List {
		var query struct {
			Query string `json:"query"`
		}
		if json.Unmarshal(variable.Query, &query) != nil { // Of the data source's kind.
			continue
		}
		of := labelValues.FindStringSubmatch(query.Query)
		if metrics := v.check(t, variable.Name, query.Query); of == nil || len(metrics) != 1 || !v.labels[metrics[0]][of[1]] {
			t.Errorf("$%s: %s", variable.Name, query.Query)
		}
	}
}

// What the alert rules, and their tests, ask for is there; each rule is tested, and says what to do.
func TestAlertRules(t *testing.T) {
	v, rules, tests := vocabularyOf(t), read(t, rulesFile), read(t, rulesTestFile)
	v.check(t, rulesTestFile, tests)
	alerts := strings.Split(rules, "- alert: ")[1:]
	if len(alerts) < 15 {
		t.Errorf("%d alerts: they are not where this looks for them", len(alerts))
	}
	for _, alert := range alerts {
		name, text, _ := strings.Cut(alert, "\n")
		if len(v.check(t, name, text)) == 0 {
			t.Errorf("%s: it is about no metric", name)
		}
		for _, key := range []string{"severity: ", "summary: ", "description: >-\n"} {
			if !strings.Contains(text, key) {
				t.Errorf("%s: it has no %s", name, key)
			}
		}
		if !strings.Contains(tests, `alertname="`+name+`"`) {
			t.Errorf("%s: no test lets it fire", name)
		}
	}
}

// So are the metrics that the pages name.
func TestPages(t *testing.T) {
	v, named := vocabularyOf(t), 0
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 8 {
		t.Fatalf("%d pages (%v)", len(pages), err)
	}
	for _, page := range append(pages, "../../../README.md") {
		named += len(v.check(t, page, read(t, page)))
	}
	if named < 2 {
		t.Errorf("the pages name %d metrics: they are not where this looks for them", named)
	}
}

// Prometheus' own tool takes the rules, finds that they fire when they should, and takes the dashboard's queries.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed; integration/setup fetches it")
	}
	// The queries as recording rules, with Grafana's variables replaced.
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", "a", "$instance", "a", "$group", "a")
	queries := []string{"groups: [{name: dashboard, rules: ["}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			expr, err := json.Marshal(variables.Replace(target.Expr))
			if err != nil {
				t.Fatal(err)
			}
			queries = append(queries, fmt.Sprintf("{record: 'query%d', expr: %s},", len(queries), expr))
		}
	}
	file := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(file, []byte(strings.Join(append(queries, "]}]"), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", rulesTestFile}, {"check", "rules", file}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// The vocabulary has what the checks above rely on.
func TestVocabulary(t *testing.T) {
	v := vocabularyOf(t)
	for label, words := range map[string][]string{
		"outcome": {"ok", "pending", "other", "host_key_changed"},
		"state":   {"failed", "not-found", "other"},
		"phase":   {"queue", "dial", "remote"},
		"cause":   {"host", "waiting"},
	} {
		for _, word := range words {
			if !v.values[label][word] {
				t.Errorf("%s has no %s but %v", label, word, slices.Sorted(maps.Keys(v.values[label])))
			}
		}
	}
}

package inventory

import (
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// lineMap flattens an index to path -> line.
func lineMap(n *node, path string, into map[string]int) map[string]int {
	for name, child := range n.keys {
		into[path+name] = child.line
		lineMap(child, path+name+"/", into)
	}
	for i, child := range n.elems {
		name := strconv.Itoa(i)
		into[path+name] = child.line
		lineMap(child, path+name+"/", into)
	}
	return into
}

func TestIndexLines(t *testing.T) {
	tests := map[string]struct {
		doc  string
		want map[string]int
	}{
		"plain":                  {"a = 1\n\n# c\nb = 2 # d\n", map[string]int{"a": 1, "b": 4}},
		"windows newlines":       {"a = 1\r\nb = 2\r\n", map[string]int{"a": 1, "b": 2}},
		"table":                  {"\n[t]\na = 1\n", map[string]int{"t": 2, "t/a": 3}},
		"implicit then explicit": {"[t.u]\na = 1\n[t]\nb = 2\n", map[string]int{"t": 3, "t/u": 1, "t/u/a": 2, "t/b": 4}},
		"dotted": {
			"a.b = 1\n\"x.y\" . 'z' = 2\n",
			map[string]int{"a": 1, "a/b": 1, "x.y": 2, "x.y/z": 2},
		},
		"escaped key": {`"a\u00e9\"" = 1`, map[string]int{`aé"`: 1}},
		"array": {
			"a = [\n  1, # ]\n\n  [\"]\", '''\n,''', 3\n],\n]\nb = 1\n",
			map[string]int{"a": 1, "a/0": 2, "a/1": 4, "a/1/0": 4, "a/1/1": 4, "a/1/2": 5, "b": 8},
		},
		"array of tables": {
			"[[h]]\nn = 1\n[h.s]\np = 1\n[[h]]\nn = 2\n[h.s]\np = 2\n",
			map[string]int{
				"h": 1, "h/0": 1, "h/0/n": 2, "h/0/s": 3, "h/0/s/p": 4, "h/1": 5, "h/1/n": 6, "h/1/s": 7, "h/1/s/p": 8,
			},
		},
		"inline": {
			"t = { a = 1,\n b.c = [2], }\nu = 1\n",
			map[string]int{"t": 1, "t/a": 1, "t/b": 2, "t/b/c": 2, "t/b/c/0": 2, "u": 3},
		},
		"multi-line strings": {
			"a = \"\"\"\nx = 1\n\\\"\"\" \"\"\"\"\"\nb = '''\n\\'''\nc = \"\\\\\"\nd = 1979-05-27 07:32:00\n",
			map[string]int{"a": 1, "b": 4, "c": 6, "d": 7},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var doc map[string]any
			if _, err := toml.Decode(test.doc, &doc); err != nil {
				t.Fatalf("the test's document is not TOML: %v", err)
			}
			if diff := cmp.Diff(test.want, lineMap(indexLines(test.doc), "", map[string]int{})); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzIndexLines holds the index against the library: every key and element of an accepted document has a line of its own.
func FuzzIndexLines(f *testing.F) {
	for _, doc := range []string{
		"a = 1\n[t]\nb = [1, [2], {c = 3}]\n[[h]]\nn.m = '''\n'''\n[h.\"x\\ty\"]\n", "\"\"=1", "a={b={},c=[]}", "\ufeffa = 1",
		"a = \"\"\"\\\n\"\"\"\"\nb = 1", "[ a . 'b' ]\r\nc=1979-05-27 07:32:00", "a = [\n#x\n1,\n]", "x = [{a=1},\n{a=2}]",
	} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		doc = trimBOM(doc)
		index := indexLines(doc)
		var got map[string]any
		if _, err := toml.Decode(doc, &got); err != nil {
			return
		}
		covered(t, index, got, "", strings.Count(doc, "\n")+1)
	})
}

func covered(t *testing.T, n *node, value any, path string, lines int) {
	t.Helper()
	if n.line < 1 || n.line > lines {
		t.Errorf("%q is said to be on line %d of %d", path, n.line, lines)
	}
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			if n.keys[key] == nil {
				t.Errorf("%q has no line", path+"/"+key)
				continue
			}
			covered(t, n.keys[key], v, path+"/"+key, lines)
		}
	case []map[string]any:
		for i, v := range value {
			covered(t, elemOf(t, n, i, path), v, path+"/#", lines)
		}
	case []any:
		for i, v := range value {
			covered(t, elemOf(t, n, i, path), v, path+"/#", lines)
		}
	}
}

func elemOf(t *testing.T, n *node, i int, path string) *node {
	t.Helper()
	if i >= len(n.elems) {
		t.Fatalf("%q has %d elements in the index, and one more in the document", path, len(n.elems))
	}
	return n.elems[i]
}

package inventory

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// decoder fills the raw mirror from what the TOML library returns. The library could do that by itself, but stops at the
// first wrong type, takes keys in any case, and cannot say where a value stands.
type decoder struct {
	*report

	file   *file
	fields map[reflect.Type]map[string]int // key -> index of the field, by raw struct
}

// decode reads one file. It reports false where the file is not TOML, so that nothing is known of its content.
func (r *report) decode(f *file, data []byte) (*rawFile, bool) {
	doc := trimBOM(string(data))
	var tree map[string]any
	if _, err := toml.Decode(doc, &tree); err != nil {
		r.syntaxMistake(f, doc, err)
		return nil, false
	}
	d := &decoder{report: r, file: f, fields: make(map[reflect.Type]map[string]int)}
	raw := &rawFile{}
	d.table(tree, indexLines(doc), raw, "")
	return raw, true
}

// trimBOM removes what the TOML library skips too.
func trimBOM(doc string) string {
	for _, bom := range []string{"\xff\xfe", "\xfe\xff", "\xef\xbb\xbf"} {
		if rest, ok := strings.CutPrefix(doc, bom); ok {
			return rest
		}
	}
	return doc
}

func (r *report) syntaxMistake(f *file, doc string, err error) {
	syntax, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		r.mistake(place{f, 1}, "cannot be read as TOML: %v", err)
		return
	}
	// The library's own line is one off where it looked ahead.
	start := min(max(syntax.Position.Start, 0), len(doc))
	hint := ""
	if strings.HasPrefix(syntax.Message, "expected value but found") {
		hint = `; text needs quotes, as in name = "web-01"`
	}
	r.mistake(place{f, 1 + strings.Count(doc[:start], "\n")}, "not TOML: %s%s", syntax.Message, hint)
}

// table fills a raw struct. The path is how the table is written in the file, without brackets.
func (d *decoder) table(tree map[string]any, n *node, into interface{ locate(at place) }, path string) {
	into.locate(place{d.file, n.line})
	fields := reflect.ValueOf(into).Elem()
	known := d.keys(fields.Type())
	for key, v := range tree {
		child := n.key(key)
		if i, ok := known[key]; ok {
			d.field(v, child, fields.Field(i).Addr().Interface(), join(path, key), key)
		} else {
			d.unknown(key, child, known, fields.Type(), path)
		}
	}
}

func (d *decoder) keys(t reflect.Type) map[string]int {
	known, ok := d.fields[t]
	if !ok {
		known = make(map[string]int)
		for i := range t.NumField() {
			if key := t.Field(i).Tag.Get("toml"); key != "" {
				known[key] = i
			}
		}
		d.fields[t] = known
	}
	return known
}

func (d *decoder) unknown(key string, n *node, known map[string]int, t reflect.Type, path string) {
	where := "at the top level"
	if path != "" {
		where = "in [" + path + "]"
	}
	advice := "; known are " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	if i, ok := known["ssh"]; ok {
		if _, ok := d.keys(t.Field(i).Type)[key]; ok {
			d.mistake(place{d.file, n.line}, "unknown key %q %s; it belongs in the ssh table: ssh.%s = …", key, where, key)
			return
		}
	}
	d.mistake(place{d.file, n.line}, "unknown key %q %s%s", key, where, DidYouMean(key, maps.Keys(known), advice))
}

// field fills one field of a raw struct, by its type.
func (d *decoder) field(v any, n *node, into any, path, key string) {
	switch into := into.(type) {
	case *text:
		*into = d.text(v, n, key)
	case *number:
		*into = scalar[int64](d, v, n, key, "10")
	case *flag:
		*into = scalar[bool](d, v, n, key, "true")
	case *span:
		*into = converted(d, v, n, key, "10s", parseDuration)
	case *size:
		*into = converted(d, v, n, key, "512MiB", parseSize)
	case *list:
		*into = d.list(v, n, key)
	case *dict:
		*into = d.dict(v, n, key)
	case *map[string]*rawGroup:
		*into = d.groups(v, n, path)
	case *[]*rawHost:
		*into = tables[rawHost](d, v, n, path)
	case *[]*rawQueue:
		*into = tables[rawQueue](d, v, n, path)
	case interface{ locate(at place) }:
		if tree, ok := v.(map[string]any); ok {
			d.table(tree, n, into, path)
			return
		}
		d.wrongType(v, n, key, "a table, [%s]", path)
	}
}

func (d *decoder) wrongType(v any, n *node, key, want string, args ...any) {
	d.mistake(place{d.file, n.line}, "%s is %s; write %s", key, kind(v), fmt.Sprintf(want, args...))
}

// kind names the type of a value as TOML does.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	default:
		return "an array"
	}
}

func scalar[T any](d *decoder, v any, n *node, key, example string) value[T] {
	got, ok := v.(T)
	if !ok {
		d.wrongType(v, n, key, "%s = %s", key, example)
	}
	return value[T]{got, place{d.file, n.line}, ok}
}

// converted is for values that TOML has no type for, which are written as strings.
func converted[T any](d *decoder, v any, n *node, key, example string, parse func(string) (T, error)) value[T] {
	at := place{d.file, n.line}
	s, ok := v.(string)
	if !ok {
		d.wrongType(v, n, key, "%s = %q", key, example)
		return value[T]{at: at}
	}
	got, err := parse(s)
	if err != nil {
		d.mistake(at, "%s: %v", key, err)
		return value[T]{at: at}
	}
	return value[T]{got, at, true}
}

// text takes any string without control characters, which no value here may have.
func (d *decoder) text(v any, n *node, key string) text {
	t := scalar[string](d, v, n, key, `"TEXT"`)
	if i := strings.IndexFunc(t.v, func(r rune) bool { return r < ' ' || r == '\x7f' }); i >= 0 {
		d.mistake(t.at, "%s has the control character %q; write it on one line without", key, t.v[i])
		t.ok = false
	}
	return t
}

func (d *decoder) list(v any, n *node, key string) list {
	elems, ok := v.([]any)
	if !ok {
		d.wrongType(v, n, key, `a list: %s = ["…", "…"]`, key)
	}
	l := list{at: place{d.file, n.line}, ok: ok}
	for i, elem := range elems {
		if _, isText := elem.(string); !isText {
			d.wrongType(elem, n.elem(i), key, `only strings into the list: %s = ["…", "…"]`, key)
			continue
		}
		if t := d.text(elem, n.elem(i), key); t.ok {
			l.v = append(l.v, t)
		}
	}
	return l
}

func (d *decoder) dict(v any, n *node, key string) dict {
	tree, ok := v.(map[string]any)
	if !ok {
		d.wrongType(v, n, key, `a table: %s = { env = "prod" }`, key)
	}
	all := dict{v: make(map[string]text, len(tree)), at: place{d.file, n.line}, ok: ok}
	for name, elem := range tree {
		if t := d.text(elem, n.key(name), join("", name)); t.ok {
			all.v[name] = t
		}
	}
	return all
}

func (d *decoder) groups(v any, n *node, path string) map[string]*rawGroup {
	tree, ok := v.(map[string]any)
	if !ok {
		d.wrongType(v, n, path, "a table for each group: [%s.NAME]", path)
	}
	groups := make(map[string]*rawGroup, len(tree))
	for name, elem := range tree {
		child := n.key(name)
		fields, ok := elem.(map[string]any)
		if !ok {
			d.wrongType(elem, child, join("", name), "a table, [%s]", join(path, name))
			continue
		}
		groups[name] = &rawGroup{}
		d.table(fields, child, groups[name], join(path, name))
	}
	return groups
}

// tables reads an array of tables, in either of its two spellings.
func tables[T any, P interface {
	*T
	locate(at place)
}](d *decoder, v any, n *node, path string) []P {
	elems, ok := v.([]map[string]any)
	if !ok {
		array, isArray := v.([]any)
		if !isArray {
			d.wrongType(v, n, path, "[[%s]] above each entry", path)
		}
		for i, elem := range array {
			fields, isTable := elem.(map[string]any)
			if !isTable {
				d.wrongType(elem, n.elem(i), "an entry of "+path, "[[%s]] above each entry", path)
				return nil
			}
			elems = append(elems, fields)
		}
	}
	all := make([]P, len(elems))
	for i, fields := range elems {
		all[i] = new(T)
		d.table(fields, n.elem(i), all[i], "["+path+"]")
	}
	return all
}

// join writes a key of a table as TOML would, quoted where it must be. Below an array of tables it names the last one.
func join(path, key string) string {
	path = strings.Trim(path, "[]")
	if !isName(key) || strings.Contains(key, ".") {
		key = fmt.Sprintf("%q", key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

package inventory

import (
	"strings"

	"github.com/BurntSushi/toml"
)

// node says on which line a key, table or array element of a TOML document begins. The TOML library keeps positions only
// for its own errors, so the document is scanned a second time, for its structure alone.
type node struct {
	line  int
	keys  map[string]*node
	elems []*node
}

// key returns the node of a key; a node that is missing has its parent's line.
func (n *node) key(name string) *node {
	if child, ok := n.keys[name]; ok {
		return child
	}
	return &node{line: n.line}
}

// elem is the same for an element of an array.
func (n *node) elem(i int) *node {
	if i < len(n.elems) {
		return n.elems[i]
	}
	return &node{line: n.line}
}

func (n *node) grow(name string, line int) *node {
	child, ok := n.keys[name]
	if !ok {
		if n.keys == nil {
			n.keys = make(map[string]*node)
		}
		child = &node{line: line}
		n.keys[name] = child
	}
	return child
}

// indexLines returns the root node of a document that the TOML library has accepted. Of any other it returns something,
// without a panic.
func indexLines(doc string) *node {
	s := &lineScanner{doc: doc, line: 1}
	root := &node{line: 1}
	table := root
	for s.skipSpace() {
		if s.doc[s.pos] == '[' {
			table = s.header(root)
		} else {
			s.pair(table)
		}
	}
	return root
}

type lineScanner struct {
	doc  string
	pos  int
	line int
}

// at reports whether the rest begins with prefix.
func (s *lineScanner) at(prefix string) bool { return strings.HasPrefix(s.doc[s.pos:], prefix) }

// advance moves n bytes on, counting lines.
func (s *lineScanner) advance(n int) string {
	end := min(s.pos+n, len(s.doc))
	passed := s.doc[s.pos:end]
	s.line += strings.Count(passed, "\n")
	s.pos = end
	return passed
}

// until moves to the next of the given bytes, or to the end.
func (s *lineScanner) until(stops string) string {
	if i := strings.IndexAny(s.doc[s.pos:], stops); i >= 0 {
		return s.advance(i)
	}
	return s.advance(len(s.doc))
}

// skipSpace passes white space, newlines and comments, and reports whether anything follows.
func (s *lineScanner) skipSpace() bool {
	for s.pos < len(s.doc) {
		switch s.doc[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.advance(1)
		case '#':
			s.until("\n")
		default:
			return true
		}
	}
	return false
}

// header reads [a.b] or [[a.b]] and returns the node of the table that it opens.
func (s *lineScanner) header(root *node) *node {
	line := s.line
	array, width := s.at("[["), 1
	if array {
		width = 2
	}
	s.advance(width)
	path := s.dottedKey()
	s.until("]\n")
	s.advance(width)
	table := root
	for i, name := range path {
		table = table.grow(name, line)
		if array && i == len(path)-1 {
			table.elems = append(table.elems, &node{line: line})
		}
		if last := len(table.elems) - 1; last >= 0 {
			table = table.elems[last]
		}
	}
	table.line = line
	return table
}

// pair reads key = value into a table.
func (s *lineScanner) pair(table *node) {
	line := s.line
	for _, name := range s.dottedKey() {
		table = table.grow(name, line)
	}
	s.skipSpace()
	s.advance(1) // the equals sign; of a broken document anything, so that the scan always moves on
	s.value(table)
}

// dottedKey reads bare and quoted keys joined by dots.
func (s *lineScanner) dottedKey() []string {
	var path []string
	for s.skipSpace() {
		switch s.doc[s.pos] {
		case '"', '\'':
			path = append(path, unquoteKey(s.quoted()))
		default:
			path = append(path, strings.TrimRight(s.until(".=]\"'#\r\n \t"), " \t"))
		}
		if !s.skipSpace() || !s.at(".") {
			return path
		}
		s.advance(1)
	}
	return path
}

// unquoteKey leaves escapes, which are rare in keys, to the library, so that both agree.
func unquoteKey(quoted string) string {
	if len(quoted) < 2 {
		return quoted
	}
	if quoted[0] == '\'' || !strings.Contains(quoted, `\`) {
		return quoted[1 : len(quoted)-1]
	}
	var doc struct {
		Key string `toml:"key"`
	}
	if _, err := toml.Decode("key = "+quoted, &doc); err != nil {
		return quoted
	}
	return doc.Key
}

// value passes a value, noting the lines within arrays and inline tables.
func (s *lineScanner) value(n *node) {
	if !s.skipSpace() {
		return
	}
	switch s.doc[s.pos] {
	case '"', '\'':
		s.quoted()
	case '[':
		s.advance(1)
		s.within("]", func() {
			elem := &node{line: s.line}
			n.elems = append(n.elems, elem)
			s.value(elem)
		})
	case '{':
		s.advance(1)
		s.within("}", func() { s.pair(n) })
	default:
		s.until(",]}#\r\n")
	}
}

// within reads comma-separated items up to the closing bracket.
func (s *lineScanner) within(closing string, item func()) {
	for s.skipSpace() {
		if s.at(closing) {
			s.advance(1)
			return
		}
		if s.at(",") {
			s.advance(1)
			continue
		}
		before := s.pos
		item()
		if s.pos == before {
			s.advance(1)
		}
	}
}

// quoted passes a string of any of the four kinds and returns it with its quotes.
func (s *lineScanner) quoted() string {
	start := s.pos
	mark := s.doc[s.pos : s.pos+1]
	escapes := mark == `"`
	if triple := strings.Repeat(mark, 3); s.at(triple) {
		mark = triple
	}
	s.advance(len(mark))
	for s.pos < len(s.doc) && !s.at(mark) {
		if escapes && s.at(`\`) {
			s.advance(1)
		}
		s.advance(1)
	}
	s.advance(len(mark))
	for extra := 0; len(mark) == 3 && extra < 2 && s.at(mark[:1]); extra++ {
		s.advance(1) // quotes that belong to the text stand before the closing three: """a"""""
	}
	return s.doc[start:s.pos]
}

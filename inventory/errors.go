package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong with an inventory.
type Mistake struct {
	// File is the name of the file as it was opened.
	File string
	// Line counts from 1; 0 means that the mistake belongs to no line, such as a file that cannot be read.
	Line int
	// Message says what is wrong and what to write instead.
	Message string
	// Cause is why the inventory itself cannot be read, nil where it was.
	Cause error
}

func (m Mistake) String() string {
	return place{file: &file{name: m.File}, line: m.Line}.String() + ": " + m.Message
}

// Error is what [Load] and [Parse] return for a bad inventory: all that is wrong with it.
type Error struct {
	// Mistakes are sorted by file, in the order in which the files were read, and line. There is at least one.
	Mistakes []Mistake
}

// Error has one line per mistake.
func (e *Error) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

// file is one file of the inventory.
type file struct {
	name  string
	order int // 0 for the main file, then in the order of reading
}

// place is where a value stands. The zero place is that of a value which was not given.
type place struct {
	file *file
	line int
}

func (at place) String() string {
	if at.line == 0 {
		return at.file.name
	}
	return fmt.Sprintf("%s:%d", at.file.name, at.line)
}

func (at place) compare(other place) int {
	return cmp.Or(cmp.Compare(at.file.order, other.file.order), cmp.Compare(at.line, other.line))
}

// report collects mistakes and notices in whatever order they are found.
type report struct {
	mistakes []located
	noted    map[string]place // a notice: its first place
}

type located struct {
	at      place
	message string
}

func (r *report) mistake(at place, format string, args ...any) {
	r.mistakes = append(r.mistakes, located{at, fmt.Sprintf(format, args...)})
}

// notice is for what is no mistake but may surprise. The same text counts once, at its first place.
func (r *report) notice(at place, text string) {
	if first, ok := r.noted[text]; ok && first.compare(at) <= 0 {
		return
	}
	if r.noted == nil {
		r.noted = make(map[string]place)
	}
	r.noted[text] = at
}

// err is nil if there were no mistakes, and an *Error otherwise.
func (r *report) err() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortFunc(r.mistakes, func(a, b located) int {
		return cmp.Or(a.at.compare(b.at), cmp.Compare(a.message, b.message))
	})
	e := &Error{}
	for _, m := range slices.Compact(r.mistakes) {
		e.Mistakes = append(e.Mistakes, Mistake{File: m.at.file.name, Line: m.at.line, Message: m.message})
	}
	return e
}

func (r *report) notices() []string {
	texts := slices.SortedFunc(maps.Keys(r.noted), func(a, b string) int {
		return cmp.Or(r.noted[a].compare(r.noted[b]), cmp.Compare(a, b))
	})
	for i, text := range texts {
		texts[i] = fmt.Sprintf("%s: %s", r.noted[text], text)
	}
	return texts
}

// reason is a file error without the path, which the message has already.
func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

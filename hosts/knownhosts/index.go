package knownhosts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// maxFile is the size in bytes of the largest file that is read: some hundred thousand keys.
const maxFile = 128 << 20

// An Index holds the files that were opened through it. Its zero value is ready. It is safe for concurrent use.
type Index struct {
	mu    sync.Mutex
	files map[string]*file
}

// Keys are what a list of files held when they were opened. It is safe for concurrent use.
type Keys struct {
	files []*contents
}

// Open returns the keys in the files at the given paths. A file that does not exist is like an empty one. A file is read when it is
// opened for the first time, and when its size, time of modification or inode is another one than at the last time.
func (x *Index) Open(paths ...string) (Keys, error) {
	keys := Keys{files: make([]*contents, 0, len(paths))}
	for _, path := range paths {
		c, err := x.file(path).open()
		if err != nil {
			return Keys{}, fmt.Errorf("reading known_hosts: %w", err)
		}
		keys.files = append(keys.files, c)
	}
	return keys, nil
}

func (x *Index) file(path string) *file {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.files[path]
	if f == nil {
		if x.files == nil {
			x.files = make(map[string]*file)
		}
		f = &file{path: path}
		x.files[path] = f
	}
	return f
}

// Problems returns the lines that could not be read, at most 1000 per file.
func (k Keys) Problems() []Problem {
	var problems []Problem
	for _, c := range k.files {
		problems = append(problems, c.problems...)
	}
	return problems
}

// lookup returns the lines of a name with the given marker, in the order of the files.
func (k Keys) lookup(name Name, m marker) []*Line {
	var lines []*Line
	for _, c := range k.files {
		if !c.holds[m] {
			continue
		}
		for _, line := range c.lookup(name.String()) {
			if line.marker == m {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// revocation returns the line that revokes a key, or nil.
func (k Keys) revocation(key string) *Line {
	for _, c := range k.files {
		if line := c.revoked[key]; line != nil {
			return line
		}
	}
	return nil
}

// A file is the newest version of a file that was read.
type file struct {
	path string

	mu       sync.Mutex
	info     fs.FileInfo
	fresh    bool // It had just been written when it was read, and may be so again without a sign of it.
	contents *contents
}

// mtimeTick is within what time two writes may leave the same modification time: the kernel's clock for it ticks 100 times a second
// or more.
const mtimeTick = 20 * time.Millisecond

// open returns the contents, read anew where the file changed.
func (f *file) open() (*contents, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &contents{}, nil
	case err != nil:
		return nil, err
	case f.info != nil && !f.fresh && same(f.info, info):
		return f.contents, nil
	}
	began := time.Now()
	text, info, err := read(f.path, info)
	if err != nil {
		return nil, err
	}
	age := began.Sub(info.ModTime())
	f.fresh = age >= 0 && age < mtimeTick
	f.contents, f.info = parse(f.path, text, f.contents), info
	return f.contents, nil
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// read returns the text of a file and what stat says of it now. A device, such as /dev/null, holds nothing.
func read(path string, info fs.FileInfo) (string, fs.FileInfo, error) {
	switch {
	case info.Mode()&fs.ModeCharDevice != 0:
		return "", info, nil
	case !info.Mode().IsRegular():
		return "", nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a file")} // To open a pipe could block.
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = f.Close() }() // It was only read.
	if info, err = f.Stat(); err != nil {
		return "", nil, err
	}
	text, err := readAll(f)
	return text, info, err
}

// readAll returns the text of a file, unless that is too large.
func readAll(f *os.File) (string, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = &fs.PathError{Op: "read", Path: f.Name(), Err: fmt.Errorf("larger than %d MiB, which no list of host keys is", maxFile>>20)}
	}
	return string(data), err
}

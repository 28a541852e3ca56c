package knownhosts

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// An Entry is a key to be known for a host.
type Entry struct {
	Name Name
	Key  ssh.PublicKey
	// Hash says that the name is written hashed, as by ssh-keygen -H.
	Hash bool
}

// text returns the line of an entry.
func (e Entry) text() string {
	name := e.Name.String()
	if e.Hash {
		name = hashName(name)
	}
	return name + " " + e.Key.Type() + " " + base64.StdEncoding.EncodeToString(e.Key.Marshal()) + "\n"
}

// lines returns the lines of entries. A name that would be more than one in a file is an error: a wildcard there means other hosts too.
func lines(entries []Entry) (string, error) {
	var text strings.Builder
	for _, e := range entries {
		if name := e.Name.String(); name == "" || strings.ContainsAny(name, "*?!,|#@ \t\r\n") {
			return "", fmt.Errorf("%q is no host's name that could stand in known_hosts", name)
		}
		text.WriteString(e.text())
	}
	return text.String(), nil
}

// Add appends entries to the file at path, in one write, so that whoever else appends meanwhile does no harm. A file that does not
// exist is made, for its owner only, and so is its folder.
func Add(path string, entries ...Entry) (err error) {
	text, err := lines(entries)
	if err != nil {
		return fmt.Errorf("adding host keys: %w", err)
	}
	f, err := openLocked(path)
	if err != nil {
		return fmt.Errorf("adding host keys: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	ends, err := endsLine(f)
	if err != nil {
		return fmt.Errorf("adding host keys: %w", err)
	}
	if !ends {
		text = "\n" + text
	}
	if _, err := f.WriteString(text); err != nil {
		return fmt.Errorf("adding host keys: %w", err)
	}
	return nil
}

// endsLine reports whether what is appended to f begins a line.
func endsLine(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err == nil, err
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return last[0] == '\n', err
}

// Replace makes the keys of entries the only ones of their hosts in the file at path: it takes the hosts' names out of the lines that
// they stand on, and the lines that name no other host, and appends the entries. Lines with a marker stay; so do those with wildcards, which
// [Line.Pattern] tells. The file is replaced at once, and keeps its mode and, where that is permitted, its owner.
func Replace(path string, entries ...Entry) error {
	names := make([]Name, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return rewrite(path, names, entries)
}

// Remove takes names out of the file at path, as [Replace] does.
func Remove(path string, names ...Name) error { return rewrite(path, names, nil) }

func rewrite(path string, names []Name, entries []Entry) (err error) {
	added, err := lines(entries)
	if err != nil {
		return fmt.Errorf("replacing host keys: %w", err)
	}
	f, err := openLocked(path)
	if err != nil {
		return fmt.Errorf("replacing host keys: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	before, err := f.Stat()
	if err != nil {
		return fmt.Errorf("replacing host keys: %w", err)
	}
	text, err := readAll(f)
	if err != nil {
		return fmt.Errorf("replacing host keys: %w", err)
	}
	if err := replaceFile(path, without(path, text, names)+added, before); err != nil {
		return fmt.Errorf("replacing host keys: %w", err)
	}
	return nil
}

// without returns the text of a file without names, whole lines only.
func without(path, text string, names []Name) string {
	c := parse(path, text, nil)
	gone := make(map[int][]string) // by line
	for _, name := range names {
		for _, line := range c.lookup(name.String()) {
			if line.marker == hostKey && !line.Pattern {
				gone[line.Number] = append(gone[line.Number], name.String())
			}
		}
	}
	var kept strings.Builder
	number := 0
	for line := range strings.Lines(text) {
		number++
		if gone[number] != nil {
			line = withoutNames(line, gone[number])
		}
		kept.WriteString(line)
	}
	if kept.Len() > 0 && !strings.HasSuffix(kept.String(), "\n") {
		kept.WriteByte('\n')
	}
	return kept.String()
}

// withoutNames takes names out of a line. It returns nothing where no other name is left.
func withoutNames(line string, names []string) string {
	hosts, rest := nextWord(strings.TrimLeft(line, " \t"))
	left := slices.DeleteFunc(strings.Split(hosts, ","), func(host string) bool {
		return strings.HasPrefix(host, "|") || slices.Contains(names, normal(host))
	})
	if len(left) == 0 {
		return ""
	}
	return strings.Join(left, ",") + " " + rest
}

// replaceFile writes text to a new file and puts that in the place of the one at path, unless that is not as before any more.
func replaceFile(path, text string, before fs.FileInfo) (err error) {
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // The first error tells more.
		}
	}()
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Chmod(before.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	keepOwner(f.Name(), before)
	now, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !same(before, now) {
		return fmt.Errorf("%s was changed by another program just now; try again", path)
	}
	return os.Rename(f.Name(), path)
}

package outbox

import (
	"bytes"
	"errors"
	"io"
)

// Read returns all that a state file holds, or nil and false if it finds the file damaged. Another error is a panic: there is none to come.
func Read(file []byte) (all []string, whole bool) {
	_, err := readContents(bytes.NewReader(file), int64(len(file)), func(bucket string, key, sealed []byte) error {
		all = append(all, bucket+string(key)+string(sealed))
		return nil
	})
	switch {
	case err == nil:
		return all, true
	case errors.Is(err, errDamaged):
		return nil, false
	}
	panic(err)
}

// ReadFrom returns the error of reading a state file of so many bytes, and whether that is for damage.
func ReadFrom(file io.ReaderAt, size int) (damaged bool, err error) {
	_, err = readContents(file, int64(size), func(string, []byte, []byte) error { return nil })
	return errors.Is(err, errDamaged), err
}

// Walk goes through all buckets of a bbolt file, whatever is in them, and returns how many keys they have.
func Walk(file []byte) (keys int, err error) {
	p, err := openPages(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return 0, err
	}
	buckets, err := p.buckets()
	for _, bucket := range buckets {
		err = errors.Join(err, p.each(bucket, func(_, _ []byte) error {
			keys++
			return nil
		}))
	}
	return keys, err
}

package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// openState opens the state file at path, whose lock is held, or makes it.
func openState(path string, lock *os.File, log *slog.Logger) (*file, *contents, error) {
	_ = os.Remove(path + ".new") // What an Open left unfinished. If it cannot be removed, nothing can be written there either.
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return begin(path, lock)
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("it is no regular file (%v)", info.Mode())
	}
	f, c, err := reopen(path, log)
	if !errors.Is(err, errDamaged) {
		return f, c, err
	}
	aside, moved := setAside(path)
	if moved != nil {
		return nil, nil, fmt.Errorf("the state file %s: %w; it could not be set aside either: %w", path, err, moved)
	}
	// Now, for the next Open finds no trace of it, should this one fail.
	log.Error("the state file is damaged; it is set aside, and all is published anew in a new epoch. Events that waited in it are not sent",
		slog.String("path", path), slog.String("set_aside", aside), slog.Any("err", err))
	return begin(path, lock)
}

// setAside renames a damaged file, and returns its new name.
func setAside(path string) (string, error) {
	stamp := path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	aside := stamp
	for n := 2; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			return aside, os.Rename(path, aside)
		}
		aside = fmt.Sprintf("%s-%d", stamp, n)
	}
}

// begin makes a new state file, with a new epoch.
func begin(path string, lock *os.File) (*file, *contents, error) {
	epoch, err := nextEpoch(lock)
	if err != nil {
		return nil, nil, err
	}
	c := &contents{epoch: epoch, hosts: map[string]*host{}}
	db, err := create(path+".new", c.epoch)
	if err != nil {
		return nil, nil, err
	}
	if err := install(db, path); err != nil {
		return nil, nil, err
	}
	f, err := openFile(path, c.sums)
	return f, c, err
}

// install closes a complete file PATH.new and puts it in the place of the state file, for good.
func install(db *bbolt.DB, path string) error {
	err := errors.Join(db.Sync(), db.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// reopen checks the state file and opens it, or a copy in its place where much of it is free: bbolt never makes a file smaller.
func reopen(path string, log *slog.Logger) (*file, *contents, error) {
	c, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	if c.wasted > worthCopying && c.wasted > c.size/2 {
		if err := replace(path, c); err != nil {
			log.Warn("the state file cannot be copied to make it smaller; going on with it as it is",
				slog.String("path", path), slog.Any("err", err))
		}
	}
	f, err := openFile(path, c.sums)
	if fault := new(faultError); errors.As(err, &fault) && !fault.ofMemory() {
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	return f, c, err
}

// worthCopying is how many free bytes are worth it.
const worthCopying = 1 << 20

// explain says what to do about an error that the state file could not be opened for.
func explain(path string, err error) error {
	dir := filepath.Dir(path)
	var remedy string
	switch {
	case errors.Is(err, errNewer):
		remedy = "install that version again, or name another state file (collector.state): then all is published anew"
	case errors.Is(err, ErrInUse):
		return err
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s %w, or open in a tool for bbolt files: stop that one first", path, ErrInUse)
	case errors.Is(err, fs.ErrNotExist):
		remedy = fmt.Sprintf("make the directory: mkdir -p %s; it must belong to the user that runs service_manager", dir)
	case errors.Is(err, fs.ErrPermission):
		remedy = dir + " and what is in it must belong to the user that runs service_manager"
	case errors.Is(err, syscall.EROFS):
		remedy = "name a state file on a file system that can be written to (collector.state; ReadWritePaths= or StateDirectory= in a unit file)"
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE):
		remedy = "check the disk; what the file holds is left as it is"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "make room on the disk"
	}
	if remedy == "" {
		return fmt.Errorf("opening the state file %s: %w", path, err)
	}
	return fmt.Errorf("opening the state file %s: %w: %s", path, err, remedy)
}

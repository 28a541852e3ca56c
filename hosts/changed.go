package hosts

import (
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"service_manager/inventory"
)

// lookEvery is how long the last look at a file is good enough for all hosts that depend on it.
const lookEvery = time.Second

// mtimeTick is within what time two writes may leave the same modification time: the kernel's clock for it ticks 100 times a second
// or more.
const mtimeTick = 20 * time.Millisecond

// Changed reports whether a file of ours that a connection to h depends on (user key, passphrase, certificate, known_hosts), or one
// to a jump host on the way, is another than at the last [Pool.Connect] to h: what failed then may succeed now. It is false where
// there was none. It is cheap: files are looked at once a second at most, however many hosts share them. What an agent holds is
// not seen.
func (p *Pool) Changed(h inventory.Host) bool {
	p.mu.Lock()
	l := p.links[h.Name]
	p.mu.Unlock()
	if l == nil {
		return false
	}
	before := l.files.Load()
	return before != nil && !slices.Equal(*before, *p.files.look(h))
}

// fileLooks shares looks at files between hosts. It is safe for concurrent use.
type fileLooks struct {
	mu     sync.Mutex
	byPath map[string]recentLook
}

type recentLook struct {
	*fileLook
	last time.Time // when the file was last found to be as in fileLook
}

// A fileLook stands for the content of a file: two looks are the same pointer as long as nothing suggests a change.
type fileLook struct {
	path  string
	info  fs.FileInfo // nil where there is no such file
	fresh bool        // it had just been written, and may be so again without a sign of it
}

// look returns what a connection to h depends on.
func (f *fileLooks) look(h inventory.Host) *[]*fileLook {
	var looks []*fileLook
	for host := &h; host != nil; host = host.Via {
		for _, path := range dependencies(host.SSH) {
			looks = append(looks, f.at(path))
		}
	}
	return &looks
}

func (f *fileLooks) at(path string) *fileLook {
	now := time.Now()
	f.mu.Lock()
	known, ok := f.byPath[path]
	f.mu.Unlock()
	if ok && now.Sub(known.last) < lookEvery {
		return known.fileLook
	}
	l := &fileLook{path: path}
	if info, err := os.Stat(path); err == nil {
		age := now.Sub(info.ModTime())
		l.info, l.fresh = info, age >= 0 && age < mtimeTick
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok = f.byPath[path]; ok && known.same(l) {
		l = known.fileLook
	}
	if f.byPath == nil {
		f.byPath = make(map[string]recentLook)
	}
	f.byPath[path] = recentLook{l, now}
	return l
}

func (l *fileLook) same(later *fileLook) bool {
	if l.info == nil || later.info == nil {
		return l.info == nil && later.info == nil
	}
	return !l.fresh && os.SameFile(l.info, later.info) && l.info.Size() == later.info.Size() && l.info.ModTime().Equal(later.info.ModTime())
}

// dependencies lists the files, existing or not, by which a connection succeeds or fails.
func dependencies(how inventory.SSH) []string {
	keys := []string{how.IdentityFile}
	if how.IdentityFile == "" {
		keys = nil
		if !how.Agent {
			keys, _ = identities() // Without a home there is none.
		}
	}
	files := slices.Clone(keys)
	for _, key := range keys {
		if how.CertificateFile == "" {
			files = append(files, besideKey(key))
		}
		if how.Agent {
			files = append(files, key+".pub")
		}
	}
	for _, file := range []string{how.CertificateFile, how.PassphraseFile} {
		if file != "" {
			files = append(files, file)
		}
	}
	if how.Agent {
		files = append(files, os.Getenv("SSH_AUTH_SOCK"))
	}
	if len(how.KnownHosts) == 0 {
		return append(files, defaultKnownHosts()...)
	}
	return append(files, how.KnownHosts...)
}

package journalctl

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"service_manager/hosts/systemctl"
)

// MaxField bounds what is kept of one field of an entry, in bytes.
const MaxField = 1 << 20

// ErrOutput says that journalctl printed something else than entries.
var ErrOutput = errors.New("not an entry of the journal")

// An Entry is one of the journal. What it does not say is empty; text is as it was logged, control characters included.
type Entry struct {
	Time       time.Time // when the journal took it in, by the host's clock
	Cursor     string    // its place in the host's journal
	BootID     string
	Unit       string // whose it is, or that it is about
	Identifier string // of whoever logged it, else its command's name
	PID        string
	Priority   int // 0 to 7, as in syslog(3); -1 where there is none
	Message    string
	Cut        bool // the message goes on beyond MaxField
}

// maxNoise bounds what a login shell may print before the answer, in bytes.
const maxNoise = 256 << 10

// skipNoise reads up to the line that begins the answer to the query of that nonce.
func skipNoise(r *bufio.Reader, nonce string) error {
	begin := bytes.TrimSpace([]byte(systemctl.BeginMarker(nonce, section)))
	var noise []byte
	for {
		line, _, err := readLine(r)
		if err == nil && bytes.Equal(line, begin) {
			return nil
		}
		if noise = append(append(noise, line...), '\n'); err == io.EOF || err == nil && len(noise) > maxNoise { //nolint:errorlint // bufio returns it bare
			return fmt.Errorf("%w: %.100q", ErrOutput, bytes.TrimSpace(noise))
		}
		if err != nil {
			return err
		}
	}
}

// Read calls each with the entries that r holds, the output of the command of a query with that nonce, until it ends or each returns an
// error. An entry that is not whole at the end is left out. An error of r is returned as it is.
func Read(r io.Reader, nonce string, each func(Entry) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	if err := skipNoise(in, nonce); err != nil {
		return err
	}
	var entry fields
	for {
		name, value, cut, err := readField(in)
		switch {
		case err == io.EOF: //nolint:errorlint // bufio returns it bare
			return nil
		case err != nil:
			return err
		case name != "":
			entry.set(name, value, cut)
			continue
		case entry.none():
			continue
		}
		e, err := entry.entry()
		if err != nil {
			return err
		}
		if err := each(e); err != nil {
			return err
		}
		entry = fields{}
	}
}

// readField reads a field, of which it keeps no more than MaxField bytes. The end of an entry, which is an empty line, has no name, nor
// has a line for people, such as "-- Reboot --".
func readField(r *bufio.Reader) (name string, value []byte, cut bool, err error) {
	line, cut, err := readLine(r)
	if err != nil {
		return "", nil, false, err
	}
	key, value, isText := bytes.Cut(line, []byte("="))
	switch {
	case len(line) == 0, bytes.HasPrefix(line, []byte("-- ")):
		return "", nil, false, nil
	case !isName(key):
		return "", nil, false, fmt.Errorf("%w: %.100q", ErrOutput, line)
	case isText:
		return string(key), value, cut, nil
	}
	var length [8]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return "", nil, false, ended(err)
	}
	size := binary.LittleEndian.Uint64(length[:])
	value = make([]byte, min(size, MaxField))
	if _, err := io.ReadFull(r, value); err != nil {
		return "", nil, false, ended(err)
	}
	for rest := size - uint64(len(value)); rest > 0; {
		n, err := r.Discard(int(min(rest, MaxField)))
		if rest -= uint64(n); err != nil { //nolint:gosec // not negative
			return "", nil, false, ended(err)
		}
	}
	if end, err := r.ReadByte(); err != nil || end != '\n' {
		return "", nil, false, cmp.Or(ended(err), fmt.Errorf("%w: %s goes on behind its end", ErrOutput, key))
	}
	return string(key), value, size > MaxField, nil
}

// ended is io.EOF also where it came amid a field.
func ended(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// readLine reads a line without its end, and of a long one its beginning. A line that does not end is none.
func readLine(r *bufio.Reader) (line []byte, cut bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		part = bytes.TrimSuffix(part, []byte("\n"))
		if room := MaxField - len(line); len(part) > room {
			part, cut = part[:room], true
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, cut, err
		}
	}
}

// isName reports whether key is a field's name, which has capitals, digits and underscores.
func isName(key []byte) bool {
	for _, char := range key {
		if (char < 'A' || char > 'Z') && (char < '0' || char > '9') && char != '_' {
			return false
		}
	}
	return len(key) > 0 && len(key) <= 64
}

// fields are those of an entry that count here.
type fields struct {
	time, cursor, boot, message, priority string
	identifier, command, pid, syslogPID   string
	ofUnit, aboutUnit, dumpedUnit         string

	cut, some bool
}

func (f *fields) none() bool { return !f.some }

// set keeps a field if it counts. Of one that an entry has more than once it keeps the first.
func (f *fields) set(name string, value []byte, cut bool) {
	f.some = true
	field := f.field(name)
	if field != nil && *field == "" {
		*field = string(value)
		f.cut = f.cut || cut && name == "MESSAGE"
	}
}

// field is where a field is kept, nil where it does not count.
func (f *fields) field(name string) *string {
	switch name {
	case "__REALTIME_TIMESTAMP":
		return &f.time
	case "__CURSOR":
		return &f.cursor
	case "_BOOT_ID":
		return &f.boot
	case "MESSAGE":
		return &f.message
	case "PRIORITY":
		return &f.priority
	case "SYSLOG_IDENTIFIER":
		return &f.identifier
	case "_COMM":
		return &f.command
	case "_PID":
		return &f.pid
	case "SYSLOG_PID":
		return &f.syslogPID
	case "_SYSTEMD_UNIT":
		return &f.ofUnit
	case "UNIT":
		return &f.aboutUnit
	case "COREDUMP_UNIT":
		return &f.dumpedUnit
	}
	return nil
}

// unit is the unit that logged it or, where systemd or systemd-coredump did, that it is about. Of all others that is no more than they say:
// fields without an underscore before them come from whoever logs (systemd.journal-fields(7)).
func (f *fields) unit() string {
	switch {
	case f.pid == "1" && f.aboutUnit != "":
		return f.aboutUnit
	case strings.HasPrefix(f.ofUnit, "systemd-coredump@") && f.dumpedUnit != "":
		return f.dumpedUnit
	}
	return f.ofUnit
}

func (f *fields) entry() (Entry, error) {
	micros, err := strconv.ParseInt(f.time, 10, 64)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: its time is %.40q", ErrOutput, f.time)
	}
	return Entry{
		Time: time.UnixMicro(micros), Cursor: f.cursor, BootID: f.boot,
		Unit:       f.unit(),
		Identifier: cmp.Or(f.identifier, f.command), PID: cmp.Or(f.pid, f.syslogPID),
		Priority: priority(f.priority), Message: f.message, Cut: f.cut,
	}, nil
}

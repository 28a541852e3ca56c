package outbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"service_manager/publish"
)

// errNewer says that the state file was written by a newer program, so that it must not be touched.
var errNewer = errors.New("a newer service_manager wrote it")

// An entry is an event that waits, without its body.
type entry struct {
	id   uint64 // Its place in the file. Rises with each commit.
	seq  uint64
	at   int64  // When it was observed, in Unix milliseconds.
	size int32  // Bytes in the file.
	gap  bool   // It tells of a gap.
	key  uint16 // A hash of its routing key.
}

// entryOf returns the entry of an event as it is stored, and its host.
func entryOf(id uint64, value []byte) (e entry, host []byte, err error) {
	r := fields{rest: value}
	e = entry{id: id, at: r.varint(), seq: r.uvarint(), size: int32(min(sumLength+len(value), 1<<30))}
	host = r.bytes()
	e.gap = string(r.bytes()) == publish.Gap
	e.key = uint16(checksum(r.bytes(), nil)) //nolint:gosec // The lower half is as good a hash.
	return e, host, r.err
}

// contents is what is in a state file.
type contents struct {
	epoch  string
	clock  time.Duration // See Outbox.clock.
	sums   sums
	hosts  map[string]*host
	states map[string][]byte
	last   uint64 // The greatest id of an event.
	size   int64  // Of the file, in bytes.
	wasted int64  // How many of those hold nothing.
}

// readFile checks a whole state file and returns what is in it.
func readFile(path string) (*contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return readContents(f, info.Size(), func(string, []byte, []byte) error { return nil })
}

// readContents is readFile for a file of so many bytes. Each value goes to visit as it is stored, where it is good until visit returns.
// An error is of visit or of f, or wraps errDamaged or errNewer.
func readContents(f io.ReaderAt, size int64, visit func(bucket string, key, sealed []byte) error) (*contents, error) {
	p, err := openPages(f, size)
	if err != nil {
		return nil, err
	}
	buckets, err := p.buckets()
	if err != nil {
		return nil, err
	}
	c := &contents{hosts: map[string]*host{}, states: map[string][]byte{}}
	if err := c.readMeta(p, buckets[metaBucket]); err != nil {
		return nil, err
	}
	if err := c.readBuckets(p, buckets, visit); err != nil {
		return nil, err
	}
	c.size, c.wasted = size, size-p.used()
	return c, nil
}

// readMeta reads the format first: of a newer one nothing else is known.
func (c *contents) readMeta(p *pages, bucket []byte) error {
	if bucket == nil {
		return fmt.Errorf("%w: it is the file of another program", errDamaged)
	}
	found := map[string][]byte{}
	err := p.each(bucket, func(key, sealed []byte) error {
		value, err := unseal(key, sealed)
		found[string(key)] = bytes.Clone(value)
		return err
	})
	if err != nil {
		return err
	}
	format, err := strconv.Atoi(string(found[formatKey]))
	switch {
	case err != nil:
		return fmt.Errorf("%w: it tells no format", errDamaged)
	case format > formatVersion:
		return fmt.Errorf("%w, in format %d; this one reads up to %d", errNewer, format, formatVersion)
	case format < formatVersion:
		return fmt.Errorf("%w: format %d", errDamaged, format)
	case len(found[epochKey]) == 0:
		return fmt.Errorf("%w: it has no epoch", errDamaged)
	}
	c.epoch = string(found[epochKey])
	if c.clock, err = decodeClock(found[clockKey]); err != nil {
		return err
	}
	c.sums, err = decodeSums(found[sumsKey])
	return err
}

// readBuckets reads all but meta. Events come before hosts and returns.
func (c *contents) readBuckets(p *pages, buckets map[string][]byte, visit func(bucket string, key, sealed []byte) error) error {
	var got [sumCount]bucketSum
	for _, name := range []string{eventsBucket, quarantineBucket, hostsBucket, returnsBucket, overflowsBucket} {
		bucket := buckets[name]
		if bucket == nil {
			return fmt.Errorf("%w: bucket %s is missing", errDamaged, name)
		}
		sum := sumOf(name)
		err := p.each(bucket, func(key, sealed []byte) error {
			value, err := unseal(key, sealed)
			if err != nil {
				return err
			}
			got[sum].add(sealed)
			if err := c.add(name, key, value); err != nil {
				return err
			}
			return visit(name, key, sealed)
		})
		if err != nil {
			return err
		}
	}
	if got != c.sums.buckets {
		return fmt.Errorf("%w: something is missing from it", errDamaged)
	}
	return nil
}

// add takes one value in.
func (c *contents) add(bucket string, key, value []byte) error {
	switch bucket {
	case eventsBucket, quarantineBucket:
		if len(key) != 8 {
			return fmt.Errorf("%w: no key of an event", errDamaged)
		}
		id := binary.BigEndian.Uint64(key)
		c.last = max(c.last, id)
		if bucket == quarantineBucket {
			return nil
		}
		e, name, err := entryOf(id, value)
		if err != nil {
			return err
		}
		h := c.host(name)
		h.events.push(e)
	case hostsBucket:
		seq, state, err := decodeHost(value)
		if err != nil {
			return err
		}
		h := c.host(key)
		h.seq = seq
		if state != nil {
			c.states[h.name] = append([]byte{}, state...) // An empty state is one, too.
		}
	case returnsBucket:
		n, err := decodeReturn(value)
		if err != nil {
			return err
		}
		if h := c.host(key); h.events.len() > 0 && h.events.items[0].id == n.id {
			h.returned = n
		}
	case overflowsBucket:
		v, err := decodeOverflow(value)
		if err != nil {
			return err
		}
		c.host(key).overflow = &v
	}
	return nil
}

func (c *contents) host(name []byte) *host {
	h := c.hosts[string(name)]
	if h == nil {
		h = &host{name: string(name)}
		c.hosts[h.name] = h
	}
	return h
}

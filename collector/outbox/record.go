package outbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"service_manager/publish"
)

// errDamaged says that what the state file holds is not what was written.
var errDamaged = errors.New("it is damaged, or no state file")

// sumLength is the length of the checksum in front of each value.
const sumLength = 4

// checksum is the CRC32C of a key and its value, so that a value under another key does not pass either.
func checksum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, value)
}

// seal returns the value as it is stored under the key.
func seal(key, value []byte) []byte {
	sealed := make([]byte, 0, sumLength+len(value))
	sealed = binary.BigEndian.AppendUint32(sealed, checksum(key, value))
	return append(sealed, value...)
}

// unseal returns the value in what is stored under the key, without a copy.
func unseal(key, sealed []byte) ([]byte, error) {
	if len(sealed) < sumLength {
		return nil, fmt.Errorf("%w: a value of %d bytes", errDamaged, len(sealed))
	}
	value := sealed[sumLength:]
	if binary.BigEndian.Uint32(sealed) != checksum(key, value) {
		return nil, fmt.Errorf("%w: a value's checksum is wrong", errDamaged)
	}
	return value, nil
}

// eventKey is the key of an event: big-endian, so that events sort in the order of their commits.
func eventKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// encodeEvent returns the message as it is stored. What the index needs comes first, then all the rest of it, and the body last. Time keeps
// its milliseconds; of TTL events have none.
func encodeEvent(m publish.Message) []byte {
	b := make([]byte, 0, 64+len(m.Key)+2*len(m.Host)+len(m.ID)+len(m.Group)+len(m.Collector)+len(m.Unit)+len(m.Body))
	b = binary.AppendVarint(b, m.Time.UnixMilli())
	b = binary.AppendUvarint(b, m.Seq)
	for _, s := range []string{m.Host, m.Event, m.Key, m.ID, m.Type, m.Group, m.Collector, m.Outcome, m.Unit} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return append(b, m.Body...)
}

// decodeEvent undoes encodeEvent. The message shares b for its body.
func decodeEvent(b []byte) (publish.Message, error) {
	r := fields{rest: b}
	m := publish.Message{Time: time.UnixMilli(r.varint()).UTC(), Seq: r.uvarint(), Mandatory: true}
	for _, s := range []*string{&m.Host, &m.Event, &m.Key, &m.ID, &m.Type, &m.Group, &m.Collector, &m.Outcome, &m.Unit} {
		*s = string(r.bytes())
	}
	m.Body = r.rest
	return m, r.err
}

// encodeHost returns what is stored of a host: the seq of its last event, and its state. A host that was removed has a nil state.
func encodeHost(seq uint64, state []byte) []byte {
	b := make([]byte, 0, binary.MaxVarintLen64+1+len(state))
	b = binary.AppendUvarint(b, seq)
	if state == nil {
		return append(b, 0)
	}
	return append(append(b, 1), state...)
}

// decodeHost undoes encodeHost, without a copy.
func decodeHost(b []byte) (seq uint64, state []byte, err error) {
	r := fields{rest: b}
	seq = r.uvarint()
	switch {
	case r.err != nil:
		return 0, nil, r.err
	case len(r.rest) == 1 && r.rest[0] == 0:
		return seq, nil, nil
	case len(r.rest) > 0 && r.rest[0] == 1:
		return seq, r.rest[1:], nil
	}
	return 0, nil, fmt.Errorf("%w: a host's record is none", errDamaged)
}

// encodeReturn returns what is stored of a host whose first event the broker returns.
func encodeReturn(n returnNote) []byte {
	b := binary.AppendVarint(binary.AppendUvarint(nil, n.id), n.since.UnixMilli())
	return binary.AppendUvarint(append(b, encodeClock(n.clock)...), n.last)
}

// decodeReturn undoes encodeReturn.
func decodeReturn(b []byte) (returnNote, error) {
	r := fields{rest: b}
	n := returnNote{id: r.uvarint(), since: time.UnixMilli(r.varint()), clock: r.clock(), last: r.uvarint()}
	return n, r.err
}

// encodeClock returns a reading of the outbox's clock as it is stored, in milliseconds.
func encodeClock(clock time.Duration) []byte { return binary.AppendVarint(nil, clock.Milliseconds()) }

// decodeClock undoes encodeClock.
func decodeClock(b []byte) (time.Duration, error) {
	r := fields{rest: b}
	return r.clock(), r.err
}

// encodeOverflow returns what is stored of a host whose changes had no room.
func encodeOverflow(v *overflow) ([]byte, error) {
	host, err := json.Marshal(v.host)
	if err != nil {
		return nil, fmt.Errorf("encoding what is known of a host: %w", err)
	}
	return append(binary.AppendVarint(nil, v.since.UnixMilli()), host...), nil
}

// decodeOverflow undoes encodeOverflow.
func decodeOverflow(b []byte) (overflow, error) {
	r := fields{rest: b}
	v := overflow{since: time.UnixMilli(r.varint())}
	if r.err != nil {
		return overflow{}, r.err
	}
	if err := json.Unmarshal(r.rest, &v.host); err != nil {
		return overflow{}, fmt.Errorf("%w: a host's overflow is none", errDamaged)
	}
	return v, nil
}

// fields reads a record from its front. After the first error it reads nothing more.
type fields struct {
	rest []byte
	err  error
}

func (r *fields) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if !r.skip(n) {
		return 0
	}
	return v
}

func (r *fields) varint() int64 {
	v, n := binary.Varint(r.rest)
	if !r.skip(n) {
		return 0
	}
	return v
}

func (r *fields) clock() time.Duration { return time.Duration(r.varint()) * time.Millisecond }

func (r *fields) bytes() []byte {
	n := r.uvarint()
	if r.err == nil && n > uint64(len(r.rest)) {
		r.err = fmt.Errorf("%w: a record is too short", errDamaged)
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// skip passes over n bytes; n is not positive where there is no number.
func (r *fields) skip(n int) bool {
	if r.err == nil && n <= 0 {
		r.err = fmt.Errorf("%w: a record is too short", errDamaged)
	}
	if r.err != nil {
		return false
	}
	r.rest = r.rest[n:]
	return true
}

package outbox

import (
	"encoding/binary"
	"fmt"
)

// The buckets of the state file.
const (
	metaBucket       = "meta"       // What follows.
	hostsBucket      = "hosts"      // Host to encodeHost.
	eventsBucket     = "events"     // eventKey to encodeEvent, of those that wait.
	quarantineBucket = "quarantine" // The same, of those that are never sent; the oldest make room.
	returnsBucket    = "returns"    // Host to encodeReturn.
	overflowsBucket  = "overflows"  // Host to encodeOverflow.
)

// The keys of the bucket meta.
const (
	formatKey = "format" // A number: formatVersion.
	epochKey  = "epoch"
	clockKey  = "clock" // Outbox.clock.
	sumsKey   = "sums"
)

// formatVersion rises when an older program could not read the file any more, or would do harm to it.
const formatVersion = 2

// summed are the buckets whose contents sums tell.
type summed int

const (
	hostsSum summed = iota
	eventsSum
	quarantineSum
	returnsSum
	overflowsSum
	sumCount
)

// sums tells what is in the buckets, so that something left out, or something old, does not pass for the whole. The checksums of the
// values cannot tell that.
type sums struct {
	commit  uint64 // Counts transactions.
	buckets [sumCount]bucketSum
}

type bucketSum struct {
	count uint64
	sum   uint64 // Of all checksums.
}

// sumOf returns where the sum of a bucket is, of all but meta.
func sumOf(bucket string) summed {
	switch bucket {
	case hostsBucket:
		return hostsSum
	case eventsBucket:
		return eventsSum
	case quarantineBucket:
		return quarantineSum
	case returnsBucket:
		return returnsSum
	default:
		return overflowsSum
	}
}

// add counts what is stored, with its checksum in front.
func (s *bucketSum) add(sealed []byte) {
	s.count++
	s.sum += uint64(binary.BigEndian.Uint32(sealed))
}

func (s *bucketSum) remove(sealed []byte) {
	s.count--
	s.sum -= uint64(binary.BigEndian.Uint32(sealed))
}

func (s *sums) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, s.commit)
	for _, bucket := range s.buckets {
		b = binary.BigEndian.AppendUint64(b, bucket.count)
		b = binary.BigEndian.AppendUint64(b, bucket.sum)
	}
	return b
}

func decodeSums(b []byte) (sums, error) {
	var s sums
	if len(b) != len(s.encode()) {
		return sums{}, fmt.Errorf("%w: no sums", errDamaged)
	}
	s.commit, b = binary.BigEndian.Uint64(b), b[8:]
	for i := range s.buckets {
		s.buckets[i] = bucketSum{count: binary.BigEndian.Uint64(b), sum: binary.BigEndian.Uint64(b[8:])}
		b = b[16:]
	}
	return s, nil
}

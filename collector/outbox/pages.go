package outbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
)

// What a bbolt file is made of, as of its version 2, which it has been since 2013. All numbers are in the machine's own byte order.
//
//	page:           id uint64, flags uint16, count uint16, overflow uint32 (pages that it is longer than one), then count elements
//	branch element: pos uint32, key size uint32, page uint64;                     the key is pos bytes after the element's begin
//	leaf element:   flags uint32, pos uint32, key size uint32, value size uint32; the value comes after the key
//	meta:           magic, version, page size, flags uint32; root page, sequence, freelist, page count, txid, FNV-64a uint64
//	bucket:         (a leaf's value) root page, sequence uint64; with root page 0 the page itself follows
const (
	pageHeader   = 16
	pageElement  = 16
	bucketHeader = 16
	metaLength   = 64

	branchPage = 0x01
	leafPage   = 0x02
	bucketLeaf = 0x01 // Flag of a leaf element.

	boltMagic   = 0xED0CDAED
	boltVersion = 2

	minPageSize = 512
	maxPageSize = 16 << 20
	maxDepth    = 32 // A tree this deep has more pages than any disk.
)

// pages reads a bbolt file that no one writes to, and believes nothing in it.
//
// bbolt itself trusts its pages. Of a damaged file it can make a fault, a panic in a goroutine of its own, an endless recursion, none
// of which can be caught for certain, or a bucket with a part of its keys. Here each page is read at most once and no offset is
// followed out of it. What passes, bbolt can read and write too: it looks at nothing else. That nothing is left out is for the caller
// to see, by the sums.
type pages struct {
	file     io.ReaderAt
	pageSize int
	count    uint64 // Pages in use are below it.
	root     uint64
	seen     []bool // Pages read, and pages that they overflow into.
}

// openPages reads the two meta pages of a file of so many bytes. Both must be whole. bbolt writes them in turn, and would fall back to
// the older one where the newer is damaged: without a word, and without the last transaction. A crash cannot do that: what is checked
// of a meta page is written in one sector.
func openPages(file io.ReaderAt, size int64) (*pages, error) {
	first, err := readMeta(file, 0)
	if err != nil {
		return nil, err
	}
	second, err := readMeta(file, int64(first.pageSize))
	if err != nil {
		return nil, err
	}
	newest, oldest := first, second
	if second.txid > first.txid {
		newest, oldest = second, first
	}
	if newest.pageSize != oldest.pageSize || newest.txid != oldest.txid+1 {
		return nil, fmt.Errorf("%w: its two meta pages do not fit together", errDamaged)
	}
	count := min(newest.pages, uint64(size/int64(newest.pageSize))+1) //nolint:gosec // neither is negative
	return &pages{file: file, pageSize: newest.pageSize, count: count, root: newest.root, seen: make([]bool, count)}, nil
}

// readAt reads a part of the file. Only where the file ends too early it is damaged; another error is of the disk, and may pass.
func readAt(file io.ReaderAt, b []byte, offset int64) error {
	_, err := file.ReadAt(b, offset)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: a page is missing: %w", errDamaged, err)
	}
	return err
}

type meta struct {
	pageSize          int
	root, pages, txid uint64
}

func readMeta(file io.ReaderAt, offset int64) (meta, error) {
	var page [pageHeader + metaLength]byte
	if err := readAt(file, page[:], offset); err != nil {
		return meta{}, err
	}
	m := page[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(m[:metaLength-8]) // It never fails.
	pageSize := binary.NativeEndian.Uint32(m[8:])
	switch {
	case binary.NativeEndian.Uint32(m) != boltMagic, binary.NativeEndian.Uint64(m[metaLength-8:]) != sum.Sum64():
		return meta{}, fmt.Errorf("%w: no meta page", errDamaged)
	case binary.NativeEndian.Uint32(m[4:]) != boltVersion:
		return meta{}, errNewer
	case pageSize < minPageSize || pageSize > maxPageSize || pageSize&(pageSize-1) != 0:
		return meta{}, fmt.Errorf("%w: its page size is %d", errDamaged, pageSize)
	}
	return meta{
		pageSize: int(pageSize),
		root:     binary.NativeEndian.Uint64(m[16:]),
		pages:    binary.NativeEndian.Uint64(m[40:]),
		txid:     binary.NativeEndian.Uint64(m[48:]),
	}, nil
}

// buckets returns the top-level buckets by name, each as the value of its leaf.
func (p *pages) buckets() (map[string][]byte, error) {
	found := map[string][]byte{}
	w := walk{pages: p, leaf: func(flags uint32, key, value []byte) error {
		if flags != bucketLeaf || len(value) < bucketHeader {
			return fmt.Errorf("%w: there is something beside its buckets", errDamaged)
		}
		found[string(key)] = bytes.Clone(value)
		return nil
	}}
	return found, w.page(p.root, 0)
}

// each calls visit with the keys and values of a bucket, in the order of the keys. They are good until visit returns.
func (p *pages) each(bucket []byte, visit func(key, value []byte) error) error {
	leaf := func(flags uint32, key, value []byte) error {
		if flags != 0 {
			return fmt.Errorf("%w: a value of an unknown kind", errDamaged)
		}
		return visit(key, value)
	}
	w := walk{pages: p, leaf: leaf}
	if root := binary.NativeEndian.Uint64(bucket); root != 0 {
		return w.page(root, 0)
	}
	return w.elements(bucket[bucketHeader:], 0)
}

// used is how many bytes the pages have that were read.
func (p *pages) used() int64 {
	n := int64(2) // Those of meta.
	for _, seen := range p.seen {
		if seen {
			n++
		}
	}
	return n * int64(p.pageSize)
}

// A walk goes through a tree in the order of its keys.
type walk struct {
	*pages

	leaf   func(flags uint32, key, value []byte) error
	last   []byte // The last key of a value, nil before the first.
	begins []byte // The key of the branch element under way, nil when its child has begun.
	buffer []byte // Of the leaf page under way.
}

func (w *walk) page(id uint64, depth int) error {
	if depth == maxDepth {
		return fmt.Errorf("%w: its tree is too deep", errDamaged)
	}
	page, err := w.read(id)
	if err != nil {
		return err
	}
	return w.elements(page, depth)
}

// read returns a page with what it overflows into. It is good until the next leaf page is read.
func (w *walk) read(id uint64) ([]byte, error) {
	if id < 2 || id >= w.count || w.seen[id] {
		return nil, fmt.Errorf("%w: a page is missing, or in two places", errDamaged)
	}
	w.buffer = slices.Grow(w.buffer[:0], w.pageSize)[:w.pageSize]
	offset := int64(id) * int64(w.pageSize) //nolint:gosec // id is below the file's size in pages
	if err := readAt(w.file, w.buffer, offset); err != nil {
		return nil, err
	}
	more := uint64(binary.NativeEndian.Uint32(w.buffer[12:]))
	if more >= w.count-id || binary.NativeEndian.Uint64(w.buffer) != id {
		return nil, fmt.Errorf("%w: a page is not where it should be", errDamaged)
	}
	for i := range more + 1 {
		if w.seen[id+i] {
			return nil, fmt.Errorf("%w: a page is in two places", errDamaged)
		}
		w.seen[id+i] = true
	}
	if more > 0 {
		length := w.pageSize * int(more+1) //nolint:gosec // as above
		w.buffer = slices.Grow(w.buffer, length-w.pageSize)[:length]
		if err := readAt(w.file, w.buffer[w.pageSize:], offset+int64(w.pageSize)); err != nil {
			return nil, err
		}
	}
	if binary.NativeEndian.Uint16(w.buffer[8:]) == branchPage {
		return bytes.Clone(w.buffer), nil
	}
	return w.buffer, nil
}

func (w *walk) elements(page []byte, depth int) error {
	if len(page) < pageHeader {
		return fmt.Errorf("%w: a page of %d bytes", errDamaged, len(page))
	}
	kind, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if kind != branchPage && kind != leafPage || pageHeader+count*pageElement > len(page) {
		return fmt.Errorf("%w: a page is of an unknown kind", errDamaged)
	}
	for i := range count {
		element := page[pageHeader+i*pageElement:]
		var err error
		if kind == branchPage {
			err = w.branch(element, depth)
		} else {
			err = w.element(element)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// branch goes through the child of the branch element that b begins with. Its key is the first one in the child: by that bbolt finds the
// element when it writes the child anew, and would else leave two of them.
func (w *walk) branch(b []byte, depth int) error {
	begin := number(b, 0)
	end := begin + number(b, 4)
	if begin < pageElement || end > uint64(len(b)) {
		return fmt.Errorf("%w: a key is not in its page", errDamaged)
	}
	key := b[begin:end]
	if !w.inOrder(key) {
		return fmt.Errorf("%w: its keys are out of order", errDamaged)
	}
	w.begins = key
	return w.page(binary.NativeEndian.Uint64(b[8:]), depth+1)
}

// element visits the leaf element that b begins with.
func (w *walk) element(b []byte) error {
	begin := number(b, 4)
	middle := begin + number(b, 8)
	end := middle + number(b, 12)
	if begin < pageElement || end > uint64(len(b)) {
		return fmt.Errorf("%w: a value is not in its page", errDamaged)
	}
	key := b[begin:middle]
	if !w.inOrder(key) {
		return fmt.Errorf("%w: its keys are out of order", errDamaged)
	}
	w.last = append(w.last[:0], key...)
	return w.leaf(uint32(number(b, 0)), key, b[middle:end]) //nolint:gosec // it was one
}

// inOrder reports whether the key may come now.
func (w *walk) inOrder(key []byte) bool {
	begins := w.begins
	w.begins = nil
	return (w.last == nil || bytes.Compare(w.last, key) < 0) && (begins == nil || bytes.Equal(begins, key))
}

func number(b []byte, at int) uint64 { return uint64(binary.NativeEndian.Uint32(b[at:])) }

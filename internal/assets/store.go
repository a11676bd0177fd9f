package assets

import (
	"container/list"
	"net/http"
	"slices"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

const (
	// entryOverhead is the allowance for what an entry takes besides the bytes
	// of its body, headers and key.
	entryOverhead = 1 << 10
	// maxVariants is how many answers of one key are kept.
	maxVariants = 16
)

// A store holds entries and knows what they weigh. Its owner locks it.
//
// It is a segmented LRU: an entry is on probation until it is asked for again,
// and protected from then on, up to three quarters of the room. New entries and
// fetches under way push out only what is on probation, so a flood of URLs that
// nobody asks for twice passes by what is in use. One that asks twice for each
// has to fetch three quarters of the room before a file that is in use at all
// gets to be the least recently used.
type store struct {
	max  int64
	held int64 // by fetches under way

	entries              map[key][]*entry // most recently used first
	probation, protected segment
}

// A segment is a list of entries, the most recently used first.
type segment struct {
	list  list.List
	bytes int64
}

func newStore(max int64) store {
	return store{max: max, entries: map[key][]*entry{}}
}

func (s *segment) push(e *entry) {
	e.segment, e.element = s, s.list.PushFront(e)
	s.bytes += e.size
}

func (s *segment) remove(e *entry) {
	s.list.Remove(e.element)
	s.bytes -= e.size
	e.segment, e.element = nil, nil
}

func (s *segment) last() *entry {
	if back := s.list.Back(); back != nil {
		return back.Value.(*entry)
	}
	return nil
}

// find returns the entry that answers a request with these headers, or nil.
func (s *store) find(k key, h wire.Header) *entry {
	for _, e := range s.entries[k] {
		if e.matches(h) {
			return e
		}
	}
	return nil
}

// knows reports whether there is an entry for the same URL, for other headers.
func (s *store) knows(k key) bool {
	for k.encodings = range allEncodings + 1 {
		if len(s.entries[k]) > 0 {
			return true
		}
	}
	return false
}

// touch notes that an entry is used.
func (s *store) touch(e *entry) {
	if variants := s.entries[e.key]; variants[0] != e {
		i := slices.Index(variants, e)
		copy(variants[1:i+1], variants[:i])
		variants[0] = e
	}
	if e.segment == &s.protected {
		s.protected.list.MoveToFront(e.element)
		return
	}
	s.protect(e)
}

func (s *store) protect(e *entry) {
	e.segment.remove(e)
	s.protected.push(e)
	for s.protected.bytes > s.max/4*3 {
		last := s.protected.last()
		s.protected.remove(last)
		s.probation.push(last)
	}
}

// maxEntry is the size of the largest entry.
func (s *store) maxEntry() int64 { return s.max / 8 }

// add keeps an entry in place of those that answered the same request. It
// reports whether there was room.
func (s *store) add(e *entry, h wire.Header) bool {
	protect := false
	for {
		old := s.find(e.key, h)
		if old == nil {
			break
		}
		protect = protect || old.segment == &s.protected
		s.remove(old)
	}
	if e.size > s.maxEntry() || !s.fit(e.size) {
		return false
	}
	if variants := s.entries[e.key]; len(variants) >= maxVariants {
		victim := variants[len(variants)-1]
		for _, v := range slices.Backward(variants) {
			if v.segment == &s.probation {
				victim = v
				break
			}
		}
		s.remove(victim)
	}
	s.entries[e.key] = slices.Insert(s.entries[e.key], 0, e)
	s.probation.push(e)
	if protect {
		s.protect(e)
	}
	return true
}

func (s *store) remove(e *entry) {
	if e.segment == nil {
		return // has been removed already
	}
	e.segment.remove(e)
	variants := s.entries[e.key]
	variants = slices.DeleteFunc(variants, func(v *entry) bool { return v == e })
	if len(variants) == 0 {
		delete(s.entries, e.key)
		return
	}
	s.entries[e.key] = variants
}

// invalidate removes all that is kept of the URL of a key.
func (s *store) invalidate(k key) {
	for k.encodings = range allEncodings + 1 {
		for _, e := range slices.Clone(s.entries[k]) {
			s.remove(e)
		}
	}
}

// fit makes room for n bytes at the cost of what is on probation.
func (s *store) fit(n int64) bool {
	for s.bytes()+n > s.max {
		last := s.probation.last()
		if last == nil {
			return false
		}
		s.remove(last)
	}
	return true
}

// reserve takes room for a fetch under way; release gives it back.
func (s *store) reserve(n int64) bool {
	if !s.fit(n) {
		return false
	}
	s.held += n
	return true
}

func (s *store) release(n int64) { s.held -= n }

// bytes is what is taken of the room.
func (s *store) bytes() int64 { return s.held + s.probation.bytes + s.protected.bytes }

func headerSize(h http.Header) int64 {
	n := 0
	for name, values := range h {
		n += len(name) + 64
		for _, value := range values {
			n += len(value) + 16
		}
	}
	return int64(n)
}

// cloneStrings copies values out of the memory of the request they came with.
func cloneStrings(values []string) []string {
	out := slices.Clone(values)
	for i := range out {
		out[i] = strings.Clone(out[i])
	}
	return out
}

package front

import "sync"

// bufferSize is the longest request that is answered here, and how much of an
// answer is sent at once.
const bufferSize = 16 << 10

// A buffer holds what was read of requests, or what is to be written of an
// answer.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, bufferSize)} }}

func newBuffer() *buffer { return buffers.Get().(*buffer) }

// free gives the buffer back. One that has grown is not worth keeping.
func (b *buffer) free() {
	if cap(b.b) > bufferSize {
		return
	}
	b.b = b.b[:0]
	buffers.Put(b)
}

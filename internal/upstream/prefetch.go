package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// patience is how long a small body may take to arrive whole. One that is at
// hand, as forms are, takes none.
const patience = 10 * time.Millisecond

var errBodyTooLong = errors.New("upstream: the body is longer than its length")

// A prefetch reads a small request body ahead. Once it is whole it goes out in
// one write with the headers; a client that takes its time over it has what
// there is of it sent on like any larger body, by reading the prefetch.
type prefetch struct {
	body io.ReadCloser
	buf  []byte

	mu    sync.Mutex
	moved sync.Cond
	n     int   // bytes of buf that are there
	err   error // io.EOF once all are
	off   int   // bytes of buf that Read has returned
	whole chan struct{}
}

func newPrefetch(req *http.Request) *prefetch {
	p := &prefetch{body: req.Body, buf: make([]byte, req.ContentLength), whole: make(chan struct{})}
	p.moved.L = &p.mu
	go p.fill() // ends with the body, or when it is closed
	return p
}

func (p *prefetch) fill() {
	defer close(p.whole)
	for {
		n, err := p.body.Read(p.buf[p.n:]) // only fill changes n
		p.mu.Lock()
		p.n += n
		full := p.n == len(p.buf)
		if err != nil {
			p.err = err
			if err == io.EOF && !full {
				p.err = io.ErrUnexpectedEOF
			}
		}
		p.moved.Broadcast()
		over := p.err != nil
		p.mu.Unlock()
		switch {
		case over:
			return
		case full:
			p.end()
			return
		}
	}
}

// end looks for the end of a body of which all bytes are there: its length is
// only what the client says.
func (p *prefetch) end() {
	var more [1]byte
	n, err := p.body.Read(more[:])
	for n == 0 && err == nil {
		n, err = p.body.Read(more[:])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err = err; n > 0 {
		p.err = errBodyTooLong
	}
	p.moved.Broadcast()
}

// wait returns the whole body, or false when it takes longer than patience or
// than done.
func (p *prefetch) wait(done <-chan struct{}) (body []byte, err error, ok bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.whole:
		if p.err != io.EOF {
			return nil, p.err, true
		}
		return p.buf, nil, true
	case <-timer.C:
	case <-done:
	}
	return nil, nil, false
}

// Read returns what has been read ahead, and waits for more.
func (p *prefetch) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.off == p.n && p.err == nil {
		p.moved.Wait()
	}
	if p.off == p.n {
		return 0, p.err
	}
	n := copy(b, p.buf[p.off:p.n])
	p.off += n
	return n, nil
}

// Close closes the body, which ends what waits for it.
func (p *prefetch) Close() error { return p.body.Close() }

package front

// incoming is what comes over a connection that speaks HTTP/2. Between frames no
// buffer is held for it.
type incoming struct {
	conn *conn
	buf  *buffer // nil: none
	off  int     // in buf, of what has not been read
}

// await waits for the next frame, or until another goroutine is to wait for it,
// conn.resting.due.
func (r *incoming) await() error {
	if r.left() > 0 {
		return nil
	}
	r.close()
	c := r.conn
	if !c.resting.due {
		c.mayRest()
	}
	c.resting.due = false
	for {
		n, err := c.net.Read(c.first[:])
		switch {
		case n > 0:
			r.buf, r.off = newBuffer(), 0
			r.buf.b = append(r.buf.b, c.first[0])
			return nil
		case err == nil:
		case !c.tired(err):
			return err
		case c.resting.due:
			return nil
		}
	}
}

func (r *incoming) left() int {
	if r.buf == nil {
		return 0
	}
	return len(r.buf.b) - r.off
}

// Read implements [io.Reader].
func (r *incoming) Read(p []byte) (int, error) {
	if r.left() == 0 {
		if len(p) >= bufferSize/4 {
			return r.read(p)
		}
		if r.buf == nil {
			r.buf = newBuffer()
		}
		n, err := r.read(r.buf.b[:cap(r.buf.b)])
		r.buf.b, r.off = r.buf.b[:n], 0
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, r.buf.b[r.off:])
	r.off += n
	return n, nil
}

// read reads on within a frame: this goroutine goes on.
func (r *incoming) read(p []byte) (int, error) {
	for {
		n, err := r.conn.net.Read(p)
		if n > 0 || !r.conn.tired(err) {
			return n, err
		}
		r.conn.resting.due = false
	}
}

// close gives the buffer back.
func (r *incoming) close() {
	if r.buf != nil {
		r.buf.free()
		r.buf = nil
	}
}

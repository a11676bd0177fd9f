package front

import (
	"errors"
	"os"
	"time"
)

// restAfter is how long a connection is idle before it rests. To answer requests
// its goroutine has grown a stack of 8 KiB and more, of which waiting for the
// next one takes a tenth. So after a while another goroutine waits in its place.
const restAfter = time.Second

// resting is what a connection knows of that. It belongs to the goroutine that
// reads.
type resting struct {
	armed bool  // a read is ended after restAfter
	since int64 // by the server's clock, when there was nothing to read last
	due   bool  // another goroutine is to go on
}

// mayRest begins an idle time. Timers are set only where there was none: a
// connection that is in use costs one a second.
func (c *conn) mayRest() {
	c.resting.since = c.server.clock.Load()
	if !c.resting.armed {
		c.resting.armed = true
		_ = c.socket.SetReadDeadline(time.Now().Add(c.server.config.restAfter))
	}
}

// mayNotRest ends it: a read may take as long as it takes.
func (c *conn) mayNotRest() {
	if c.resting.armed {
		c.resting.armed = false
		_ = c.socket.SetReadDeadline(time.Time{})
	}
}

// tired reports whether a read was ended by mayRest, and so is to be tried again;
// by another goroutine if resting.due.
func (c *conn) tired(err error) bool {
	if !c.resting.armed || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.mayNotRest()
	if c.server.clock.Load()-c.resting.since >= (c.server.config.restAfter - tick).Milliseconds() {
		c.resting.due = true
		if c.server.config.onRest != nil {
			c.server.config.onRest(c)
		}
	} else {
		c.mayRest() // there was a request meanwhile
	}
	return true
}

package upstream

import (
	"context"
	"net"
	"sync/atomic"
)

// Stats are counts since a [Transport] was made.
type Stats struct {
	Requests uint64 // that were to be sent
	Answers  uint64 // whose headers have come
	Opened   uint64 // connections
	Failed   uint64 // attempts to open one
	Open     int64  // connections there are now
}

// Stats returns what has been counted so far.
func (t *Transport) Stats() Stats {
	return Stats{
		Requests: t.requests.Load(),
		Answers:  t.answers.Load(),
		Opened:   t.dialer.opened.Load(),
		Failed:   t.dialer.failed.Load(),
		Open:     t.dialer.open.Load(),
	}
}

// A dialer opens connections and counts them until they are closed.
type dialer struct {
	net            net.Dialer
	opened, failed atomic.Uint64
	open           atomic.Int64
}

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		d.failed.Add(1)
		return nil, err
	}
	d.opened.Add(1)
	d.open.Add(1)
	return &countedConn{TCPConn: c.(*net.TCPConn), open: &d.open}, nil
}

// countedConn can do all that a TCP connection can.
type countedConn struct {
	*net.TCPConn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *countedConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.TCPConn.Close()
}

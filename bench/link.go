package main

import (
	"context"
	"io"
	"net"
	"time"
)

// link is a relay that makes a distance: a listener on loopback in front of
// another, with a round trip of its own. It needs no privileges and no kernel
// module, and does what TCP does over a distance: connecting takes a round trip
// before data can be sent, and each direction begins with a window of ten
// segments that grows by what is acknowledged, RFC 6928 and RFC 5681 §3.1. It
// loses nothing and has no limit to its throughput.
type link struct {
	listener net.Listener
	target   string
	rtt      time.Duration
}

func newLink(ctx context.Context, target string, rtt time.Duration) (*link, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{listener, target, rtt}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go l.serve()
	return l, nil
}

func (l *link) address() string { return l.listener.Addr().String() }

// serve ends when the listener is closed.
func (l *link) serve() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.join(near.(*net.TCPConn))
	}
}

func (l *link) join(near *net.TCPConn) {
	// What the client sends before the round trip of connecting is over, it
	// could not have sent.
	established := time.Now().Add(l.rtt)
	c, err := net.Dial("tcp", l.target)
	if err != nil {
		_ = near.SetLinger(0)
		_ = near.Close()
		return
	}
	far := c.(*net.TCPConn)
	done := make(chan struct{}, 2)
	for _, d := range []struct{ from, to *net.TCPConn }{{near, far}, {far, near}} {
		go func() {
			l.carry(d.from, d.to, established)
			done <- struct{}{}
		}()
	}
	<-done
	<-done
	_ = near.Close()
	_ = far.Close()
}

type segment struct {
	data   []byte
	arrive time.Time
}

const segmentSize = 1460

// carry moves bytes one way until their end, which it passes on.
func (l *link) carry(from, to *net.TCPConn, established time.Time) {
	under := make(chan segment, 1<<12)
	go func() {
		defer close(under)
		w := newWindow(l.rtt)
		for {
			data := make([]byte, 4*segmentSize)
			n, err := from.Read(data)
			now := time.Now()
			if now.Before(established) {
				now = established
			}
			for data = data[:n]; len(data) > 0; {
				size := min(len(data), segmentSize)
				sent := w.send(now, size)
				under <- segment{data[:size], sent.Add(l.rtt / 2)}
				data = data[size:]
			}
			if err != nil {
				return
			}
		}
	}()
	for s := range under {
		time.Sleep(time.Until(s.arrive))
		if _, err := to.Write(s.data); err != nil {
			// The other end is gone; so is, half a trip later, this one.
			_ = from.Close()
			_, _ = io.Copy(io.Discard, from)
			for range under {
			}
			return
		}
	}
	_ = to.CloseWrite()
}

// window is a sender's congestion window in slow start.
type window struct {
	rtt      time.Duration
	size     int // bytes that may be under way
	underWay int
	acks     []ack
	last     time.Time
}

type ack struct {
	at    time.Time
	bytes int
}

func newWindow(rtt time.Duration) *window {
	return &window{rtt: rtt, size: 10 * segmentSize}
}

// send returns when n bytes that are ready now leave.
func (w *window) send(now time.Time, n int) time.Time {
	if now.Before(w.last) {
		now = w.last
	}
	acknowledge := func() {
		w.underWay -= w.acks[0].bytes
		w.size += w.acks[0].bytes
		w.acks = w.acks[1:]
	}
	for len(w.acks) > 0 && !w.acks[0].at.After(now) {
		acknowledge()
	}
	for len(w.acks) > 0 && w.underWay+n > w.size {
		if w.acks[0].at.After(now) {
			now = w.acks[0].at
		}
		acknowledge()
	}
	w.underWay += n
	w.acks = append(w.acks, ack{now.Add(w.rtt), n})
	w.last = now
	return now
}

package conformance

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// An upstream stands for Clerk's Frontend API. It records the requests that
// arrive, byte for byte, and answers with the bytes of a script. It takes one
// exchange at a time.
type upstream struct {
	net.Listener
	names *strings.Replacer

	mu    sync.Mutex
	now   *exchange
	stray []string // requests that came when none was expected
	conns map[net.Conn]bool
}

func startUpstream(t *testing.T) *upstream {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{Listener: l, names: strings.NewReplacer("{upstream}", l.Addr().String()), conns: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { u.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		u.mu.Lock()
		for c := range u.conns {
			_ = c.Close()
		}
		u.mu.Unlock()
		serving.Wait()
	})
	return u
}

// begin makes the exchange the one that the next request belongs to; the
// function that it returns waits until the upstream is through with it.
func (u *upstream) begin(x *exchange) (end func()) {
	u.mu.Lock()
	u.now = x
	u.mu.Unlock()
	return func() {
		u.mu.Lock()
		u.now = nil
		u.mu.Unlock()
		x.upstreamIdle.Wait()
	}
}

func (u *upstream) take(m *message) *exchange {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.now == nil {
		u.stray = append(u.stray, m.start)
		return nil
	}
	u.now.upstreamIdle.Add(1)
	return u.now
}

func (u *upstream) serve(c net.Conn) {
	u.mu.Lock()
	u.conns[c] = true
	u.mu.Unlock()
	defer func() {
		_ = c.Close()
		u.mu.Lock()
		delete(u.conns, c)
		u.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	for {
		m, err := readHead(r)
		if m == nil || err != nil && m.start == "" {
			return
		}
		x := u.take(m)
		if x == nil || !u.exchange(x, c, r, m) {
			return
		}
	}
}

// exchange records a request and answers it. It reports whether the connection
// can take another.
func (u *upstream) exchange(x *exchange, c net.Conn, r *bufio.Reader, m *message) bool {
	defer x.upstreamIdle.Done()
	got := &received{message: m}
	x.mu.Lock()
	x.received = append(x.received, got)
	first := len(x.received) == 1
	x.mu.Unlock()
	x.upstreamHead.fire()

	_ = c.SetReadDeadline(time.Now().Add(x.limit))
	if first && x.early {
		// Nobody says that the body is whole: it is not looked at.
	} else {
		if expect, _ := m.get("expect"); strings.EqualFold(expect, "100-continue") {
			_, _ = c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
		}
		m.readBody(r, false, x.upstreamBody.fire)
		if !m.whole {
			return false
		}
	}
	_ = c.SetReadDeadline(time.Time{})

	answer := x.answer
	if !first {
		answer = plain
	}
	e := &side{Conn: c, x: x, names: u.names}
	run(e, answer)
	x.upstreamDone.fire()
	got.ended, got.answer = e.ended, e.sent.String()
	return !e.gone && !x.early
}

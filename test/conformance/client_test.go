package conformance

import (
	"bufio"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// answered is what a client received.
type answered struct {
	interim []*message // 1xx
	*message
	// ended is "whole", "cut" when the connection ended within the answer,
	// "nothing" when it ended before; "no end" and "no answer" when it was the
	// client's patience that ended; or "gone" when the client hung up itself.
	ended string
	more  []string // the status lines of further answers
}

// request sends a request to a proxy over a connection of its own, step by
// step, while it reads the answer. Its patience begins when the upstream has
// done all it will do.
func request(x *exchange, addr string, names *strings.Replacer, steps []step, patience time.Duration) answered {
	defer x.clientDone.fire()
	c, err := net.DialTimeout("tcp", addr, stuck)
	if err != nil {
		return answered{ended: "nothing"}
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(stuck))

	e := &side{Conn: c, x: x, names: names}
	var busy sync.WaitGroup
	busy.Go(func() { run(e, steps) })
	if patience < stuck {
		busy.Go(func() {
			select {
			case <-x.upstreamDone.done:
				_ = c.SetDeadline(time.Now().Add(patience))
			case <-x.clientDone.done:
			}
		})
	}
	got := readAnswer(x, e)
	_ = c.Close()
	x.clientDone.fire()
	busy.Wait()
	if e.gone {
		return answered{ended: "gone"}
	}
	return got
}

func readAnswer(x *exchange, e *side) (got answered) {
	r := bufio.NewReader(e)
	for {
		m, err := readHead(r)
		if err != nil {
			got.ended = "nothing"
			if timedOut(e) {
				got.ended = "no answer"
			}
			return got
		}
		if status := m.status(); strings.HasPrefix(status, "1") && status != "101" {
			got.interim = append(got.interim, m)
			x.clientInterim.fire()
			continue
		}
		got.message = m
		break
	}
	x.clientHead.fire()
	method, closes := e.request()
	if status := got.status(); method == "HEAD" || status == "204" || status == "304" || status == "101" {
		got.length, got.whole = "none", true
	} else {
		got.readBody(r, true, x.clientBody.fire)
	}
	got.ended = "whole"
	if !got.whole {
		got.ended = "cut"
		if timedOut(e) {
			got.ended = "no end"
		}
		return got
	}
	// A client that says it will close reads on until the proxy has done so:
	// an answer too many would come then.
	for closes {
		m, err := readHead(r)
		if err != nil {
			return got
		}
		got.more = append(got.more, m.start)
		m.readBody(r, true, func() {})
	}
	return got
}

// timedOut reports whether a connection on which reading failed is still open,
// and only the client's patience has ended.
func timedOut(c net.Conn) bool {
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func (m *message) status() string {
	_, status, _ := strings.Cut(m.start, " ")
	status, _, _ = strings.Cut(status, " ")
	return status
}

// request is what the answer's length and its connection's end depend on.
func (e *side) request() (method string, closes bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	sent := e.sent.String()
	method, _, _ = strings.Cut(sent, " ")
	return method, strings.Contains(strings.ToLower(sent), "\r\nconnection: close\r\n")
}

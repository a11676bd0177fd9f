package conformance

import (
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// A signal is something that happens once in an exchange and is waited for by
// the other end, so that no script depends on the clock.
type signal struct {
	once sync.Once
	done chan struct{}
}

func (s *signal) fire() { s.once.Do(func() { close(s.done) }) }

// An exchange is one request of one case to one of the proxies, and all that
// comes of it.
type exchange struct {
	answer   []step // what the upstream does once it has the request
	early    bool   // it does so without reading the request's body
	torn     bool   // the request becomes invalid in its body
	limit    time.Duration
	patience time.Duration

	upstreamHead, upstreamBody            signal // the upstream received a head, a byte of a body
	clientInterim, clientHead, clientBody signal // the client received a 1xx, a head, a byte of a body
	clientDone                            signal // the client wants no more
	upstreamDone                          signal // the upstream does nothing more by itself
	upstreamIdle                          sync.WaitGroup

	mu       sync.Mutex
	received []*received
}

// A received request is what the upstream saw of it.
type received struct {
	*message
	// ended says how the connection ended while the upstream was still
	// answering: "" when it did not, "aborted" when the proxy gave it up, or
	// "left running".
	ended string
	// answer is what the upstream sent.
	answer string
}

func newExchange(answer []step, early, torn bool, patience time.Duration) *exchange {
	x := &exchange{answer: answer, early: early, torn: torn, limit: stuck, patience: patience}
	for _, s := range []*signal{&x.upstreamHead, &x.upstreamBody, &x.clientInterim, &x.clientHead, &x.clientBody, &x.clientDone, &x.upstreamDone} {
		s.done = make(chan struct{})
	}
	return x
}

// stuck is how long anything may take before the test gives up on it. It is
// never waited for when all is well.
const stuck = 10 * time.Second

// A side is the connection of one of the two raw ends, and its exchange.
type side struct {
	net.Conn
	x     *exchange
	names *strings.Replacer
	gone  bool   // hung up by the script
	ended string // see received

	mu   sync.Mutex
	sent strings.Builder
}

// A step is one thing that an end does. It returns false when the script is at
// its end.
type step func(*side) bool

// send writes bytes; {upstream} stands for the upstream's host and port.
func send(s string) step {
	return func(e *side) bool {
		s := e.names.Replace(s)
		e.mu.Lock()
		e.sent.WriteString(s)
		e.mu.Unlock()
		_, err := io.WriteString(e, s)
		return err == nil
	}
}

// await waits for something to happen at the other end.
func await(what func(*exchange) *signal) step {
	return func(e *side) bool {
		select {
		case <-what(e.x).done:
			return true
		case <-e.x.clientDone.done: // and nothing will come of it any more
			return false
		case <-time.After(e.x.limit):
			return false
		}
	}
}

func upstreamHead(x *exchange) *signal  { return &x.upstreamHead }
func upstreamBody(x *exchange) *signal  { return &x.upstreamBody }
func clientInterim(x *exchange) *signal { return &x.clientInterim }
func clientHead(x *exchange) *signal    { return &x.clientHead }
func clientBody(x *exchange) *signal    { return &x.clientBody }

// hangUp closes the connection.
func hangUp(e *side) bool {
	e.gone = true
	_ = e.Close()
	return false
}

// reset closes the connection with a TCP reset.
func reset(e *side) bool {
	e.gone = true
	_ = e.Conn.(*net.TCPConn).SetLinger(0)
	_ = e.Close()
	return false
}

// waits says that the upstream goes on only if the client has heard of it: the
// client's patience begins.
func waits(e *side) bool {
	e.x.upstreamDone.fire()
	return true
}

// untilGivenUp does nothing until the proxy closes the connection. A proxy that
// leaves it open although its client is gone is given as long as the case says.
func untilGivenUp(e *side) bool {
	closed := make(chan struct{})
	go func() { // ends with the connection, which is closed below at the latest
		_, _ = io.Copy(io.Discard, e.Conn)
		close(closed)
	}()
	e.ended = "left running"
	e.x.upstreamDone.fire()
	select {
	case <-closed:
		e.ended = "aborted"
	case <-e.x.clientDone.done:
		select {
		case <-closed:
			e.ended = "aborted"
		case <-time.After(e.x.patience):
		}
	case <-time.After(e.x.limit):
	}
	return hangUp(e)
}

func run(e *side, steps []step) {
	for _, do := range steps {
		if !do(e) {
			return
		}
	}
}

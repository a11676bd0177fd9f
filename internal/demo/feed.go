package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// remembered is how many requests a page that opens late is shown.
	remembered = 200
	// maxReaders limits the open streams; each holds a connection.
	maxReaders = 64
	// backlog is how far a reader may fall behind before it is let go. Its
	// browser comes back by itself and is given the history.
	backlog = 256
)

// request is one that went through the proxy, as the page shows it.
type request struct {
	// Site is the domain that it was made on, or empty when there is only one.
	Site    string  `json:"site,omitempty"`
	Method  string  `json:"method"`
	Path    string  `json:"path"`
	Status  int     `json:"status"`
	Millis  float64 `json:"ms"`
	Kind    string  `json:"kind"`
	Meaning string  `json:"meaning"`
}

// feed tells pages of requests as they happen.
type feed struct {
	mu      sync.Mutex
	history []request
	readers map[chan request]struct{}
	closed  bool
}

func newFeed() *feed { return &feed{readers: map[chan request]struct{}{}} }

// publish tells every reader of a request. It never waits.
func (f *feed) publish(r request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.history) == remembered {
		f.history = append(f.history[:0], f.history[1:]...)
	}
	f.history = append(f.history, r)
	for reader := range f.readers {
		select {
		case reader <- r:
		default:
			f.drop(reader)
		}
	}
}

// subscribe returns the requests so far and a channel of those to come, closed
// when there will be none. It says no when there are too many readers, or the
// feed is closed.
func (f *feed) subscribe() (history []request, reader chan request, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.readers) == maxReaders {
		return nil, nil, false
	}
	reader = make(chan request, backlog)
	f.readers[reader] = struct{}{}
	return append([]request{}, f.history...), reader, true
}

func (f *feed) unsubscribe(reader chan request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(reader)
}

func (f *feed) drop(reader chan request) {
	if _, ok := f.readers[reader]; ok {
		delete(f.readers, reader)
		close(reader)
	}
}

// close ends every stream, which would otherwise hold up the server's drain.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for reader := range f.readers {
		f.drop(reader)
	}
}

// ServeHTTP is the stream of server-sent events that the page reads.
func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	history, reader, ok := f.subscribe()
	if !ok {
		http.Error(w, "too many pages are open, or the demo is stopping", http.StatusServiceUnavailable)
		return
	}
	defer f.unsubscribe(reader)

	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	out := stream{w: w, control: http.NewResponseController(w)}
	out.event("reset", struct{}{})
	out.event("history", history)

	// A comment now and then finds out about readers that left without a word.
	alive := time.NewTicker(20 * time.Second)
	defer alive.Stop()
	for out.err == nil {
		select {
		case request, more := <-reader:
			if !more {
				return
			}
			out.event("request", request)
		case <-alive.C:
			out.write(":\n\n")
		case <-r.Context().Done():
			return
		}
	}
}

// stream writes server-sent events, and remembers the first error.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (s *stream) event(name string, data any) {
	encoded, err := json.Marshal(data)
	if err != nil {
		s.err = err
		return
	}
	s.write(fmt.Sprintf("event: %s\ndata: %s\n\n", name, encoded))
}

func (s *stream) write(text string) {
	if s.err != nil {
		return
	}
	// A reader that takes nothing would hold the goroutine for ever.
	_ = s.control.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, s.err = s.w.Write([]byte(text)); s.err == nil {
		s.err = s.control.Flush()
	}
}

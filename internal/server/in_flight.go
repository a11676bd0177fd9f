package server

import (
	"net/http"
	"sync"
	"time"
)

// inFlight counts the requests under way, WebSockets among them. A
// sync.WaitGroup would not do: a request may begin while one waits.
type inFlight struct {
	mu     sync.Mutex
	n      int
	idle   chan struct{} // closed when n falls to 0; nil unless somebody waits
	onIdle func()        // called whenever n falls to 0; may be nil
}

func (f *inFlight) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.add(1)
		defer f.add(-1)
		next.ServeHTTP(w, r)
	})
}

func (f *inFlight) add(delta int) {
	f.mu.Lock()
	f.n += delta
	var onIdle func()
	if f.n == 0 {
		onIdle = f.onIdle
		if f.idle != nil {
			close(f.idle)
			f.idle = nil
		}
	}
	f.mu.Unlock()
	if onIdle != nil {
		onIdle()
	}
}

// wheneverIdle has a function called at once if no request is under way, and
// each time that the last one ends.
func (f *inFlight) wheneverIdle(call func()) {
	f.mu.Lock()
	f.onIdle = call
	idle := f.n == 0
	f.mu.Unlock()
	if idle {
		call()
	}
}

func (f *inFlight) now() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// wait returns when no request is under way, or after the timeout.
func (f *inFlight) wait(timeout time.Duration) {
	idle := f.whenIdle()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(timeout):
	}
}

// whenIdle returns nil when no request is under way.
func (f *inFlight) whenIdle() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n == 0 {
		return nil
	}
	if f.idle == nil {
		f.idle = make(chan struct{})
	}
	return f.idle
}

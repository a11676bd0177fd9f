package upstream

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// A queue limits how many requests are under way, each on a connection of its own.
// net/http has a limit too, but loses count of the connections that are made
// apart from its pool (connCount underflow, Go 1.26).
type queue chan struct{}

// roundTrip waits for its turn, which ends with the answer's body.
func (q queue) roundTrip(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	select {
	case q <- struct{}{}:
	case <-req.Context().Done():
		closeBody(req)
		return nil, context.Cause(req.Context())
	}
	var once sync.Once
	leave := func() { once.Do(func() { <-q }) }
	resp, err := next.RoundTrip(req)
	if err != nil || resp.Body == http.NoBody {
		leave()
		return resp, err
	}
	resp.Body = &queuedBody{resp.Body, leave}
	return resp, nil
}

type queuedBody struct {
	io.ReadCloser
	leave func()
}

func (b *queuedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.leave()
	}
	return n, err
}

func (b *queuedBody) Close() error {
	defer b.leave()
	return b.ReadCloser.Close()
}

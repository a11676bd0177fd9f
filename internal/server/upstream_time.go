package server

import (
	"net/http"
	"time"
)

// timed notes on a request's access record how long the application took to
// answer. The proxy does so itself of the Frontend API.
func timed(next http.RoundTripper) http.RoundTripper { return timedTransport{next} }

type timedTransport struct{ next http.RoundTripper }

func (t timedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	access := accessOf(r.Context())
	if access == nil {
		return t.next.RoundTrip(r)
	}
	start := time.Now()
	resp, err := t.next.RoundTrip(r)
	access.Answered(time.Since(start), "")
	return resp, err
}

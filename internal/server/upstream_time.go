package server

import (
	"net/http"
	"time"
)

// timed notes on a request's access record how long the upstream took to
// answer, and the id under which Clerk's support finds the request.
func timed(next http.RoundTripper) http.RoundTripper { return timedTransport{next} }

type timedTransport struct{ next http.RoundTripper }

func (t timedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	access := accessOf(r.Context())
	if access == nil {
		return t.next.RoundTrip(r)
	}
	start := time.Now()
	resp, err := t.next.RoundTrip(r)
	access.Upstream = time.Since(start)
	if err == nil && access.Target == TargetClerk {
		if id := resp.Header.Get("X-Clerk-Trace-Id"); harmlessID(id) {
			access.ClerkTraceID = id
		}
	}
	return resp, err
}

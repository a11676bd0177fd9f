package clerkproxy

import (
	"net/http"
	"strconv"
	"time"
)

// A proxyError is an answer of the proxy's own, in the shape of Clerk's errors.
type proxyError struct {
	status        int
	code, message string
}

// The codes are those of Clerk's JavaScript SDK. The messages are for the
// developer who reads them in a browser's console: no host of ours, no key.
var (
	errPathMismatch = &proxyError{http.StatusBadRequest, "proxy_path_mismatch",
		"The request's path is not under the path of the Clerk proxy."}
	errNotEnabled = &proxyError{http.StatusBadRequest, "proxy_path_mismatch",
		"The Clerk proxy is not enabled for this URL."}
	errDevelopment = &proxyError{http.StatusInternalServerError, "proxy_configuration_error",
		"Clerk proxies production instances only, and this application is configured with the keys of a development instance."}
	errInvalidHost = &proxyError{http.StatusBadRequest, "proxy_request_failed",
		"The request does not name a valid host."}
	errHostNotAccepted = &proxyError{http.StatusMisdirectedRequest, "proxy_request_failed",
		"The Clerk proxy does not serve this host. If it should, add the host to those that the proxy accepts."}
	errTarget = &proxyError{http.StatusBadRequest, "proxy_request_failed",
		"The request's target has a hash sign in it, which only begins a fragment, and fragments are not sent. One that is meant is written as %23."}
	errMethod = &proxyError{http.StatusMethodNotAllowed, "proxy_request_failed",
		"The Clerk proxy does not forward this method."}
	errClientBody = &proxyError{http.StatusBadRequest, "proxy_request_failed",
		"The request's body could not be read."}
	errClientTooLarge = &proxyError{http.StatusRequestEntityTooLarge, "proxy_request_failed",
		"The request's body is too large."}
	errClientStalled = &proxyError{http.StatusRequestTimeout, "proxy_request_failed",
		"The request's body did not arrive in time."}
	errShutdown = &proxyError{http.StatusServiceUnavailable, "proxy_request_failed",
		"The server ended the request before Clerk's Frontend API answered it."}
	errUpstream = &proxyError{http.StatusBadGateway, "proxy_request_failed",
		"Clerk's Frontend API could not be reached, or gave an answer that is not valid. The proxy's log says which."}
	errUpstreamTimeout = &proxyError{http.StatusGatewayTimeout, "proxy_request_failed",
		"Clerk's Frontend API did not answer in time."}
)

// refuse answers a request that is not forwarded. What it has of a body is not
// waited for.
func (e *proxyError) refuse(w http.ResponseWriter, r *http.Request) {
	if hasBody(r) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drain))
	}
	e.write(w)
}

func (e *proxyError) write(w http.ResponseWriter) {
	body := `{"errors":[{"code":"` + e.code + `","message":"` + e.message + `"}]}`
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if e.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	w.WriteHeader(e.status)
	_, _ = w.Write([]byte(body))
}

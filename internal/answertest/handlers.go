// Package answertest has handlers that answer in every way there is, for tests that
// compare one HTTP server with another.
package answertest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Handlers are the handlers, by what they answer with.
func Handlers() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"nothing":           func(http.ResponseWriter, *http.Request) {},
		"a little":          func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
		"in pieces":         func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>"); fmt.Fprint(w, "</html>") },
		"much":              func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("hello", 2000)) },
		"very much":         func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("hello", 400_000)) },
		"a status":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); fmt.Fprint(w, "hello") },
		"two status":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.WriteHeader(200) },
		"an unknown status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) },
		"no content": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := fmt.Fprint(w, "hello"); err != http.ErrBodyNotAllowed {
				panic(err)
			}
		},
		"not modified": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Etag", "x"); w.WriteHeader(304) },
		"a redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusTemporaryRedirect) },
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "he")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "llo")
		},
		"flushed at once": func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "hello")
		},
		"flushed and nothing": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "hel")
			fmt.Fprint(w, "lo")
		},
		"a length and a flush": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "hello")
		},
		"more than its length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "hello")
			if _, err := fmt.Fprint(w, "!"); err != http.ErrContentLength {
				panic(err)
			}
		},
		"less than its length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "50")
			fmt.Fprint(w, "hello")
		},
		"a coding of its own": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "hello")
		},
		"no type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			fmt.Fprint(w, "hello")
		},
		"a type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/x")
			fmt.Fprint(w, "hello")
		},
		"no date": func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil },
		"several values": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Set-Cookie"] = []string{"a=b", "c=d", ""}
			w.Header()["lower"] = []string{"x"}
		},
		"values of several lines": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", "a\r\nSet-Cookie: evil=1")
			w.Header().Set("Y", " a ")
		},
		"a name that is none": func(w http.ResponseWriter, _ *http.Request) { w.Header()["a b\r\nc"] = []string{"x"} },
		"late headers": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			w.Header().Set("X-Late", "1")
			fmt.Fprint(w, "hello")
		},
		"a close": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
		"trailers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum, X-None")
			fmt.Fprint(w, "hello")
			w.Header().Set("X-Sum", "1")
		},
		"trailers of a stream": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum, X-None")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "hello")
			w.Header().Set("X-Sum", "1")
		},
		"late trailers": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "hello")
			w.(http.Flusher).Flush()
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		},
		"early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</x>")
			w.WriteHeader(103)
			w.Header().Set("Link", "</y>")
			w.WriteHeader(103)
			w.Header().Del("Link")
			fmt.Fprint(w, "hello")
		},
		"a panic": func(http.ResponseWriter, *http.Request) { panic("x") },
		"a late panic": func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "hello")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"an early abort": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a late deadline": func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
			fmt.Fprint(w, "hello")
		},
	}
}

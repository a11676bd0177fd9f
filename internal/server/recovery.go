package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
)

// recovery answers 500 when a handler panics, and logs where. It does not log
// the value, which may hold anything of the request, unless the runtime made
// it. http.ErrAbortHandler is no accident and passes through.
func recovery(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			kind := fmt.Sprintf("%T", v)
			if err, ok := v.(runtime.Error); ok {
				kind = err.Error()
			}
			log.ErrorContext(r.Context(), "a handler panicked", slog.String("panic", kind), slog.String("stack", string(debug.Stack())))
			if response, ok := w.(*response); !ok || response.status != 0 {
				panic(http.ErrAbortHandler) // too late for an answer; nobody may take it for whole
			}
			clear(w.Header())
			plainError(w, http.StatusInternalServerError, "Something went wrong in this server. Its log says what.")
		}()
		next.ServeHTTP(w, r)
	})
}

// plainError answers in words, for people.
func plainError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, fmt.Sprintf("%d %s: %s", status, http.StatusText(status), message), status)
}

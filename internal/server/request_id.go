package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
)

const (
	requestIDHeader = "X-Request-Id"
	maxRequestID    = 128
)

// requestID is the id that the proxy in front gave the request, so that its log
// and ours can be read together, or else a new one.
func requestID(h http.Header, peerTrusted bool) string {
	if given := h[requestIDHeader]; peerTrusted && len(given) == 1 && harmlessID(given[0]) {
		return given[0]
	}
	return rand.Text()
}

// harmlessID reports whether an id from outside may stand in a log as it is.
func harmlessID(s string) bool {
	if s == "" || len(s) > maxRequestID {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			return false
		}
		return !strings.ContainsRune("-_.:/+=", c)
	})
}

// requestIDHandler adds the id of the request to whatever is logged on its
// behalf, so that a warning can be found from its access line and back.
type requestIDHandler struct{ slog.Handler }

func (h requestIDHandler) Handle(ctx context.Context, r slog.Record) error {
	if a := accessOf(ctx); a != nil {
		r.AddAttrs(slog.String("request_id", a.RequestID))
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestIDHandler) WithGroup(name string) slog.Handler {
	return requestIDHandler{h.Handler.WithGroup(name)}
}

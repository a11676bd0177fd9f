package auth

import (
	"context"
	"net/http"
	"strconv"

	"github.com/clerk/clerk-sdk-go/v2"
)

// Middleware decides about every request and carries the decision out: it sets
// what [State.Header] holds, redirects the browser where a handshake asks for
// it, and passes on all other requests, signed in or out, with the decision in
// their context. It requires nobody to be signed in; [Authenticator.Require]
// does.
//
// In next, [FromContext] returns the session, as does
// [clerk.SessionClaimsFromContext] of Clerk's Go SDK.
func (a *Authenticator) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d := decisionFrom(r.Context()); d != nil && d.by == a {
			next.ServeHTTP(w, r)
			return
		}
		state, err := a.Authenticate(r)
		if err != nil {
			a.log.Error("a request could not be authenticated", "error", err)
			writeError(w, http.StatusInternalServerError, "handshake_failed",
				"The handshake could not be verified. If the Clerk keys were changed, clear the cookies of this site and try again.")
			return
		}
		if a.onDecision != nil {
			a.onDecision(r, state)
		}
		writeHeader(w.Header(), state.Header)
		if state.Location != "" {
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		next.ServeHTTP(w, r.WithContext(a.contextWith(r.Context(), state)))
	})
}

// FromContext returns the session of a request that [Authenticator.Middleware]
// has passed on. It is not ok when the request is signed out, or the session is
// pending.
func FromContext(ctx context.Context) (*Session, bool) {
	d := decisionFrom(ctx)
	if d == nil || d.state.Session == nil || d.state.Session.pending() {
		return nil, false
	}
	return d.state.Session, true
}

// StateFromContext returns the decision about a request that
// [Authenticator.Middleware] has passed on: why it is signed out, or the session
// even when it is pending. It is not ok for other requests.
func StateFromContext(ctx context.Context) (State, bool) {
	d := decisionFrom(ctx)
	if d == nil {
		return State{}, false
	}
	return d.state, true
}

// A decision is a context with a decision in it: one allocation for both.
type decision struct {
	context.Context
	by    *Authenticator
	state State
}

type decisionKey struct{}

func (d *decision) Value(key any) any {
	if key == (decisionKey{}) {
		return d
	}
	return d.Context.Value(key)
}

func decisionFrom(ctx context.Context) *decision {
	d, _ := ctx.Value(decisionKey{}).(*decision)
	return d
}

func (a *Authenticator) contextWith(ctx context.Context, state State) context.Context {
	ctx = &decision{Context: ctx, by: a, state: state}
	if s := state.Session; s != nil && !s.pending() {
		return clerk.ContextWithSessionClaims(ctx, s.Claims)
	}
	return ctx
}

// writeHeader adds to a response's headers: cookies to cookies that are there
// already, everything else in place of what is there.
func writeHeader(to, from http.Header) {
	for name, values := range from {
		if name == "Set-Cookie" {
			to[name] = append(to[name], values...)
			continue
		}
		to[name] = values
	}
}

// writeError answers in the shape of Clerk's errors.
func writeError(w http.ResponseWriter, status int, code, message string) {
	body := `{"errors":[{"code":"` + code + `","message":"` + message + `","long_message":"` + message + `"}]}`
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

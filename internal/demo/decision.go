package demo

import (
	"net/http"
	"strings"

	"github.com/clerkproxy/clerkproxy/auth"
)

// decision is how the server came to know who a page is for, as the page tells
// it.
type decision struct {
	SignedIn bool
	// Steps lead to the outcome, which is not among them.
	Steps []string
	Words string
}

// reasons say in plain words why a request was not simply signed in. The first
// that the reason begins with counts.
var reasons = []struct{ prefix, words string }{
	{"session-token-and-uat-missing", "No session came with the request. That is decided on the spot: strangers are not redirected."},
	{"session-token-expired", "The session token had run out."},
	{"session-token-iat-before-client-uat", "Somebody signed in or out since the session token was issued."},
	{"session-token-but-no-client-uat", "There was a session token, but not the cookie that goes with it."},
	{"session-token-missing", "Clerk knows of nobody who is signed in here."},
	{"client-uat-but-no-session-token", "Somebody is signed in here, by one cookie, but the session token was missing."},
	{"satellite-needs-syncing", "The primary domain had to be asked who is signed in there."},
	{"primary-domain-cross-origin-sync", "The visitor came from another domain, where the session may have changed."},
}

// wordsFor is empty for a reason that is not known.
func wordsFor(reason string) string {
	for _, r := range reasons {
		if strings.HasPrefix(reason, r.prefix) {
			return r.words
		}
	}
	return ""
}

// decided reads off a request what [auth.Authenticator.Middleware] decided about
// it, and about the one before it, when that ended in a handshake.
func decided(r *http.Request) decision {
	state, _ := auth.StateFromContext(r.Context())
	d := decision{SignedIn: state.Status == auth.SignedIn}
	note, _ := r.Cookie(handshakeNote)
	replaced := len(state.Header.Values("Set-Cookie")) > 0 // by Clerk's cookies
	switch {
	case note != nil:
		d.Steps = []string{note.Value, "handshake"}
		d.Words = wordsFor(note.Value) + " So the server sent the browser through Clerk, by a redirect that nobody sees, "
		if d.SignedIn {
			d.Words += "and it came back with a new token."
		} else {
			d.Words += "and it came back signed out."
		}
	case d.SignedIn && replaced:
		d.Steps = []string{"session-token-expired", "refresh"}
		d.Words = "The session token had run out. The server got a new one from Clerk by itself, without a redirect."
	case d.SignedIn:
		d.Steps = []string{"session token verified"}
		d.Words = "The token in the cookie is in force: its signature is right, and Clerk did not have to be asked."
	default:
		d.Steps = []string{state.Reason}
		d.Words = wordsFor(state.Reason)
	}
	return d
}

// handshakeNote is the cookie by which the page that ends a handshake knows why
// there was one. It is the demo's own.
const handshakeNote = "demo_handshake"

// noteHandshakes leaves a note for the next page when a request is answered
// with a handshake.
func noteHandshakes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&handshakeNoter{w}, r)
	})
}

type handshakeNoter struct{ http.ResponseWriter }

func (w *handshakeNoter) WriteHeader(status int) {
	h := w.Header()
	if status == http.StatusTemporaryRedirect && h.Get("X-Clerk-Auth-Status") == string(auth.Handshake) {
		setNote(w, h.Get("X-Clerk-Auth-Reason"))
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w *handshakeNoter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func setNote(w http.ResponseWriter, reason string) {
	http.SetCookie(w, &http.Cookie{Name: handshakeNote, Value: reason, Path: "/", MaxAge: 10, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// clearNote takes the note away once it has been read.
func clearNote(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie(handshakeNote); err == nil {
		http.SetCookie(w, &http.Cookie{Name: handshakeNote, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
}

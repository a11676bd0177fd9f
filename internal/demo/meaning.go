package demo

import (
	"strings"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// The kinds of request that the page counts.
const (
	kindAPI    = "api"
	kindScript = "script"
)

// meanings says in plain words what ClerkJS wants with a path. A star stands
// for one segment, an identifier or a package's name; the first match counts.
var meanings = []struct{ method, path, meaning string }{
	{"GET", "/v1/environment", "the instance’s settings"},
	{"GET", "/v1/client", "who is signed in here?"},
	{"PUT", "/v1/client", "begin to remember this browser"},
	{"POST", "/v1/client", "sign out"},
	{"DELETE", "/v1/client", "sign out"},
	{"POST", "/v1/client/sessions", "sign out"},
	{"POST", "/v1/client/sign_ins", "begin to sign in"},
	{"POST", "/v1/client/sign_ins/*/prepare_first_factor", "send a code by e-mail"},
	{"POST", "/v1/client/sign_ins/*/attempt_first_factor", "check the password or the code"},
	{"POST", "/v1/client/sign_ups", "begin to sign up"},
	{"PATCH", "/v1/client/sign_ups/*", "go on signing up"},
	{"POST", "/v1/client/sign_ups/*", "go on signing up"},
	{"POST", "/v1/client/sign_ups/*/prepare_verification", "send a code by e-mail"},
	{"POST", "/v1/client/sign_ups/*/attempt_verification", "check the code"},
	{"POST", "/v1/client/sessions/*/tokens", "a new session token"},
	{"POST", "/v1/client/sessions/*/touch", "this session is in use"},
	{"POST", "/v1/client/sessions/*/end", "sign out"},
	{"POST", "/v1/client/sessions/*/remove", "sign out"},
	{"GET", "/v1/client/handshake", "a handshake: is somebody signed in?"},
	{"GET", "/v1/client/sync", "a satellite asks who is signed in here"},
	{"GET", "/v1/client/link", "the satellite is told who is signed in"},
	{"GET", "/v1/me/sessions/active", "where else am I signed in?"},
	{"", "/v1/me/*", "the user’s profile"},
	{"", "/v1/me", "the user’s profile"},
	{"GET", "/avatars/*", "the user’s picture"},
	{"GET", "/v1/proxy-health", "does the proxy work?"},
}

// throughProxy is what the page is told of a request, if it was Clerk's.
func throughProxy(a server.Access) (request, bool) {
	if a.Target != server.TargetClerk {
		return request{}, false
	}
	below, _ := strings.CutPrefix(a.Path, clerkproxy.DefaultPath)
	kind, meaning := explain(a.Method, below)
	return request{
		Method:  a.Method,
		Path:    a.Path,
		Status:  a.Status,
		Millis:  float64(a.Duration.Microseconds()) / 1000,
		Kind:    kind,
		Meaning: meaning,
	}, true
}

// explain says what kind of request it is, and what for. The path is that below
// the proxy's.
func explain(method, path string) (kind, meaning string) {
	if strings.HasPrefix(path, "/npm/") {
		switch {
		case strings.Contains(path, "/clerk-js@"):
			return kindScript, "ClerkJS"
		case strings.Contains(path, "/ui@"):
			return kindScript, "Clerk’s components"
		}
		return kindScript, "a package of Clerk’s"
	}
	for _, m := range meanings {
		if (m.method == "" || m.method == method) && matches(m.path, path) {
			return kindAPI, m.meaning
		}
	}
	return kindAPI, ""
}

// matches reports whether a path is that of the pattern, segment by segment.
func matches(pattern, path string) bool {
	for {
		var p, s string
		var morePattern, morePath bool
		p, pattern, morePattern = strings.Cut(pattern, "/")
		s, path, morePath = strings.Cut(path, "/")
		if p != "*" && p != s {
			return false
		}
		if !morePattern || !morePath {
			return morePattern == morePath
		}
	}
}

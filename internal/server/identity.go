package server

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/clerkproxy/clerkproxy/auth"
)

// The headers in which the application is told who is signed in. None is one of
// those that Clerk's own SDKs set, X-Clerk-Auth-Status and others: an SDK that
// found them would take it that its middleware had run.
const (
	headerSignedIn       = "X-Clerk-Signed-In"
	headerUserID         = "X-Clerk-User-Id"
	headerSessionID      = "X-Clerk-Session-Id"
	headerOrgID          = "X-Clerk-Org-Id"
	headerOrgSlug        = "X-Clerk-Org-Slug"
	headerOrgRole        = "X-Clerk-Org-Role"
	headerOrgPermissions = "X-Clerk-Org-Permissions"
)

// identityHeaders are those headers, as isIdentity spells them.
var identityHeaders = map[string]bool{
	"x-clerk-signed-in":       true,
	"x-clerk-user-id":         true,
	"x-clerk-session-id":      true,
	"x-clerk-org-id":          true,
	"x-clerk-org-slug":        true,
	"x-clerk-org-role":        true,
	"x-clerk-org-permissions": true,
}

// Authentication configures package auth in front of a site's application. The
// application need not be in Go: it is told by request headers who is signed in.
//
//	X-Clerk-Signed-In        true or false, always there
//	X-Clerk-User-Id          user_…
//	X-Clerk-Session-Id       sess_…
//	X-Clerk-Org-Id           org_…, of the active organization, if any
//	X-Clerk-Org-Slug         its slug
//	X-Clerk-Org-Role         org:admin
//	X-Clerk-Org-Permissions  org:invoices:create,org:invoices:read
//
// All but the first are there only when they say something. What a client sends
// under these names never reaches an application, with or without
// Authentication.
//
// The fields are as in [auth.Config], and so are their environment variables.
type Authentication struct {
	IsSatellite          bool
	SignInURL, SignUpURL string
	AuthorizedParties    []string
	BackendAPIURL        string
}

// identify tells the application who [auth.Authenticator.Middleware] says it is.
func identify(app http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tell := func(name, value string) {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		session, ok := auth.FromContext(r.Context())
		tell(headerSignedIn, strconv.FormatBool(ok))
		if ok {
			tell(headerUserID, session.UserID)
			tell(headerSessionID, session.ID)
			tell(headerOrgID, session.OrgID)
			tell(headerOrgSlug, session.OrgSlug)
			tell(headerOrgRole, session.OrgRole)
			tell(headerOrgPermissions, strings.Join(session.OrgPermissions, ","))
		}
		app.ServeHTTP(w, r)
	})
}

// dropIdentity removes what only this server may say, however it is spelt.
func dropIdentity(h http.Header) {
	for name := range h {
		if isIdentity(name) {
			delete(h, name)
		}
	}
}

// isIdentity reports whether an application may take the header for one of
// identityHeaders: as CGI variables, names differ neither in case nor in what is
// between letters.
func isIdentity(name string) bool {
	const shortest, longest = len("x-clerk-org-id"), len("x-clerk-org-permissions")
	if len(name) < shortest || len(name) > longest || name[0]|0x20 != 'x' {
		return false
	}
	var plain [longest]byte
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			plain[i] = c | 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			plain[i] = c
		default:
			plain[i] = '-'
		}
	}
	return identityHeaders[string(plain[:len(name)])]
}

// settleConnection carries out the client's Connection header, RFC 9110 §7.6.1.
// Left to a later step, the headers that it names could be ones that this server
// has set since.
func settleConnection(h http.Header) {
	upgrade := false
	for _, value := range h["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			option = http.CanonicalHeaderKey(strings.Trim(option, " \t"))
			if option == "Upgrade" {
				upgrade = true
			} else {
				delete(h, option)
			}
		}
	}
	delete(h, "Connection")
	if upgrade {
		h["Connection"] = []string{"Upgrade"}
	}
}

// Package guide holds the code of docs/authentication.md that belongs to no
// framework, so that it compiles and is tested.
package guide

import (
	"fmt"
	"net/http"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"

	"github.com/clerkproxy/clerkproxy/auth"
)

func createInvoice(w http.ResponseWriter, r *http.Request) {
	session, _ := auth.FromContext(r.Context())
	if !session.Has(auth.Requirement{Permission: "org:invoices:create"}) {
		http.Error(w, "Ask an administrator of your organization.", http.StatusForbidden)
		return
	}
	fmt.Fprintln(w, "An invoice of", session.OrgSlug)
}

// must is a middleware for what not every signed-in person may do. It goes
// inside Require.
func must(need auth.Requirement) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if session, ok := auth.FromContext(r.Context()); !ok || !session.Has(need) {
				http.Error(w, "You may not do this.", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func adminsOnly(authn *auth.Authenticator, settings http.Handler) http.Handler {
	return authn.Require(must(auth.Requirement{Role: "org:admin"})(settings))
}

func deleteAccount(w http.ResponseWriter, r *http.Request) {
	session, _ := auth.FromContext(r.Context())
	policy := clerk.SessionReverificationStrict
	if !session.Has(auth.Requirement{Reverification: policy}) {
		clerkhttp.WriteNeedsReverificationResponse(w, policy)
		return
	}
	fmt.Fprintln(w, "Deleted", session.UserID)
}

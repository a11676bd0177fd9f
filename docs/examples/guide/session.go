package guide

import (
	"fmt"
	"net/http"

	"github.com/clerkproxy/clerkproxy/auth"
)

func why(w http.ResponseWriter, r *http.Request) {
	state, _ := auth.StateFromContext(r.Context())
	fmt.Fprintln(w, state.Status, state.Reason, state.Message)
}

func signInLink(authn *auth.Authenticator) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, authn.SignInURL(r), http.StatusSeeOther)
	}
}

func billing(w http.ResponseWriter, r *http.Request) {
	session, _ := auth.FromContext(r.Context())
	var claims struct {
		Email string `json:"email"`
		Plan  string `json:"plan"`
	}
	if err := session.Decode(&claims); err != nil {
		http.Error(w, "The session token's claims are not as expected.", http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, claims.Email, claims.Plan)
}

package guide

import (
	"fmt"
	"net/http"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/user"
)

func profile(w http.ResponseWriter, r *http.Request) {
	claims, ok := clerk.SessionClaimsFromContext(r.Context())
	if !ok {
		http.Error(w, "Sign in first.", http.StatusUnauthorized)
		return
	}
	person, err := user.Get(r.Context(), claims.Subject)
	if err != nil {
		http.Error(w, "Clerk could not be asked.", http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, "Hello,", *person.FirstName)
}

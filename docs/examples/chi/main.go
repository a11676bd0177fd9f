// Command chi is an application on chi that knows who is signed in.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
)

func main() {
	proxy, err := clerkproxy.New(clerkproxy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	authn, err := auth.New(auth.Config{Proxy: proxy})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(":8080", application(proxy, authn)))
}

func application(proxy *clerkproxy.Proxy, authn *auth.Authenticator) http.Handler {
	r := chi.NewRouter()
	r.Use(proxy.Middleware, authn.Middleware, middleware.Recoverer)
	r.Get("/", home)
	r.Group(func(r chi.Router) {
		r.Use(authn.Require)
		r.Get("/account", account)
		r.Get("/api/me", me)
	})
	return r
}

func home(w http.ResponseWriter, r *http.Request) {
	session, ok := auth.FromContext(r.Context())
	if !ok {
		fmt.Fprintln(w, "Hello, stranger.")
		return
	}
	fmt.Fprintln(w, "Hello,", session.UserID)
}

func account(w http.ResponseWriter, r *http.Request) {
	session, _ := auth.FromContext(r.Context())
	fmt.Fprintln(w, "The account of", session.UserID)
}

func me(w http.ResponseWriter, r *http.Request) {
	session, _ := auth.FromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "{\"id\":%q}\n", session.UserID)
}

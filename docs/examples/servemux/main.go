// Command servemux is an application on http.ServeMux that knows who is signed
// in.
package main

import (
	"fmt"
	"log"
	"net/http"

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
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", home)
	mux.Handle("GET /account", authn.Require(http.HandlerFunc(account)))
	mux.Handle("GET /api/me", authn.Require(http.HandlerFunc(me)))
	return proxy.Middleware(authn.Middleware(mux))
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

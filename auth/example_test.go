package auth_test

import (
	"fmt"
	"log"
	"net/http"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
)

// The proxy and the middleware around an application.
func Example() {
	proxy, err := clerkproxy.New(clerkproxy.Config{ProxyURL: "https://app.dev/__clerk"})
	if err != nil {
		log.Fatal(err)
	}
	authn, err := auth.New(auth.Config{Proxy: proxy})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if session, ok := auth.FromContext(r.Context()); ok {
			fmt.Fprintf(w, "Hello, %s", session.UserID)
			return
		}
		fmt.Fprintf(w, "Hello, stranger. Sign in: %s", authn.SignInURL(r))
	})
	mux.Handle("/account/", authn.Require(http.HandlerFunc(account)))

	log.Fatal(http.ListenAndServe(":8080", proxy.Middleware(authn.Middleware(mux))))
}

func account(w http.ResponseWriter, r *http.Request) {
	session, _ := auth.FromContext(r.Context())
	if !session.Has(auth.Requirement{Permission: "org:billing:manage"}) {
		http.Error(w, "Ask an administrator of your organization.", http.StatusForbidden)
		return
	}
	fmt.Fprintln(w, "Here are the bills.")
}

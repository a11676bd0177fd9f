// Command pages renders pages with ClerkJS and Clerk's components on them.
package main

import (
	"html/template"
	"log"
	"net/http"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
	"github.com/clerkproxy/clerkproxy/clerkjs"
)

const signIn = "/sign-in"

func main() {
	proxy, err := clerkproxy.New(clerkproxy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	authn, err := auth.New(auth.Config{Proxy: proxy, SignInURL: signIn})
	if err != nil {
		log.Fatal(err)
	}
	provider, err := clerkjs.New(clerkjs.Config{Proxy: proxy, SignInURL: signIn})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(":8080", application(proxy, authn, provider)))
}

func application(proxy *clerkproxy.Proxy, authn *auth.Authenticator, provider *clerkjs.Provider) http.Handler {
	site := &site{provider}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", site.home)
	mux.HandleFunc("GET /sign-in/", site.signIn)
	mux.Handle("GET /account", authn.Require(http.HandlerFunc(site.account)))
	return proxy.Middleware(authn.Middleware(provider.Middleware(mux)))
}

type site struct{ provider *clerkjs.Provider }

func (s *site) home(w http.ResponseWriter, r *http.Request)    { s.show(w, r, "home") }
func (s *site) signIn(w http.ResponseWriter, r *http.Request)  { s.show(w, r, "sign-in") }
func (s *site) account(w http.ResponseWriter, r *http.Request) { s.show(w, r, "account") }

func (s *site) show(w http.ResponseWriter, r *http.Request, name string) {
	session, _ := auth.FromContext(r.Context())
	w.Header().Set("Cache-Control", "private, no-store")
	err := pages.ExecuteTemplate(w, name, map[string]any{"Clerk": s.provider, "Request": r, "Session": session})
	if err != nil {
		log.Print(err)
	}
}

var pages = template.Must(template.New("pages").Parse(`
{{define "head"}}<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>App</title>
  {{.Clerk.Tags .Request}}
</head>
{{end}}

{{define "home"}}
{{template "head" .}}
<body>
  {{if .Session}}
  <p>Hello, {{.Session.UserID}}. <a href="/account">Your account</a></p>
  {{else}}
  <p>Hello, stranger. <a href="{{.Clerk.SignInURL .Request "/account"}}">Sign in</a></p>
  {{end}}
</body>
</html>
{{end}}

{{define "sign-in"}}
{{template "head" .}}
<body>
  <div id="sign-in"></div>
  <script nonce="{{.Clerk.Nonce .Request}}">
    clerkReady.then((clerk) => {
      clerk.mountSignIn(document.getElementById("sign-in"), {routing: "path", path: "/sign-in"});
    });
  </script>
</body>
</html>
{{end}}

{{define "account"}}
{{template "head" .}}
<body>
  <p>The account of {{.Session.UserID}}</p>
  <div id="user-button"></div>
  <script nonce="{{.Clerk.Nonce .Request}}">
    clerkReady.then((clerk) => clerk.mountUserButton(document.getElementById("user-button")));
  </script>
</body>
</html>
{{end}}
`))

package clerkjs_test

import (
	"fmt"
	"html/template"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/clerkjs"
)

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>Sign in</title>
  {{.Clerk.Tags .Request}}
</head>
<body>
  <div id="sign-in"></div>
  <script nonce="{{.Clerk.Nonce .Request}}">
    clerkReady.then((clerk) => clerk.mountSignIn(document.getElementById("sign-in"), {routing: "path", path: "/sign-in"}));
  </script>
</body>
</html>
`))

// A sign-in page that is rendered with html/template, all of it on one origin.
func Example() {
	proxy, err := clerkproxy.New(clerkproxy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	clerk, err := clerkjs.New(clerkjs.Config{Proxy: proxy, SignInURL: "/sign-in"})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sign-in/", func(w http.ResponseWriter, r *http.Request) {
		if err := page.Execute(w, map[string]any{"Clerk": clerk, "Request": r}); err != nil {
			log.Print(err)
		}
	})
	log.Fatal(http.ListenAndServe(":8080", proxy.Middleware(clerk.Middleware(mux))))
}

// What a page allows stays, and so does what it forbids.
func ExampleProvider_ContentSecurityPolicy() {
	clerk, err := clerkjs.New(clerkjs.Config{
		PublishableKey: "pk_live_Y2xlcmsuYXBwLmRldiQ",
		ProxyURL:       "/__clerk",
		Nonce:          func(*http.Request) string { return "cmFuZG9t" },
	})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "https://app.dev/", nil)
	fmt.Println(clerk.ContentSecurityPolicy(r, "script-src 'self'; img-src 'self' cdn.app.dev; frame-src 'none'; frame-ancestors 'none'"))
	// Output:
	// script-src 'self' 'nonce-cmFuZG9t' https://challenges.cloudflare.com; img-src 'self' cdn.app.dev data: https://img.clerk.com; frame-src https://challenges.cloudflare.com; frame-ancestors 'none'; worker-src 'self' blob:
}

// The way back may come from the request: what leads elsewhere is not used.
func ExampleProvider_SignInURL() {
	clerk, err := clerkjs.New(clerkjs.Config{
		PublishableKey: "pk_live_Y2xlcmsuYXBwLmRldiQ",
		IsSatellite:    true,
		ProxyURL:       "https://satellite.dev/__clerk",
		SignInURL:      "https://app.dev/sign-in",
	})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "https://satellite.dev/", nil)
	fmt.Println(clerk.SignInURL(r, "/account"))
	fmt.Println(clerk.SignInURL(r, "https://evil.example/"))
	// Output:
	// https://app.dev/sign-in?redirect_url=https%3A%2F%2Fsatellite.dev%2Faccount%3F__clerk_synced%3Dfalse
	// https://app.dev/sign-in?redirect_url=https%3A%2F%2Fsatellite.dev%2F%3F__clerk_synced%3Dfalse
}

package clerkproxy_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"

	"github.com/clerkproxy/clerkproxy"
)

// The proxy in front of an application, configured by the environment.
func Example() {
	proxy, err := clerkproxy.New(clerkproxy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewServeMux()
	app.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
	})
	log.Fatal(http.ListenAndServe(":8080", proxy.Middleware(app)))
}

// Behind Cloudflare, for one domain.
func ExampleConfig_cloudflare() {
	_, _ = clerkproxy.New(clerkproxy.Config{
		ProxyURL:       "https://app.dev/__clerk",
		ClientIPHeader: "CF-Connecting-IP",
		// TrustedProxies: Cloudflare's ranges, unless a proxy of your own with a
		// private address stands between.
	})
}

// An application with several domains, of which one talks to Clerk directly.
func ExampleConfig_enabled() {
	_, _ = clerkproxy.New(clerkproxy.Config{
		Enabled: func(u *url.URL) bool { return u.Hostname() != "app.dev" },
	})
}

// Every problem of a configuration is reported at once.
func ExampleConfigError() {
	_, err := clerkproxy.New(clerkproxy.Config{
		PublishableKey: "pk_live_Y2xlcmsuYXBwLmRldiQ",
		SecretKey:      "sk_test_not_of_this_instance",
		ProxyURL:       "__clerk",
	})
	var problem *clerkproxy.ConfigError
	if errors.As(err, &problem) {
		fmt.Println(problem.Field)
	}
	fmt.Println(err)
	// Output:
	// SecretKey
	// clerkproxy: SecretKey (CLERK_SECRET_KEY): the publishable key and the secret key are not of one instance: one is live, the other is test; copy both from the same instance in the Clerk Dashboard
	// clerkproxy: ProxyURL (CLERK_PROXY_URL): is neither a path that begins with a slash nor an absolute URL; write a path such as /__clerk or a URL such as https://app.dev/__clerk
}

package guide

import (
	"net/http"
	"net/netip"
	"os"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
	"github.com/clerkproxy/clerkproxy/clerkjs"
)

func withOrganizations(proxy *clerkproxy.Proxy) auth.Config {
	return auth.Config{
		Proxy: proxy,
		OrganizationSync: auth.OrganizationSync{
			OrganizationPatterns:    []string{"/orgs/:slug", "/orgs/:slug/(.*)"},
			PersonalAccountPatterns: []string{"/me", "/me/(.*)"},
		},
	}
}

func primary(proxy *clerkproxy.Proxy) (*auth.Authenticator, *clerkjs.Provider, error) {
	authn, err := auth.New(auth.Config{Proxy: proxy, SignInURL: "/sign-in"})
	if err != nil {
		return nil, nil, err
	}
	provider, err := clerkjs.New(clerkjs.Config{
		Proxy:                  proxy,
		SignInURL:              "/sign-in",
		AllowedRedirectOrigins: []string{"https://satellite.dev"},
	})
	return authn, provider, err
}

func satellite(proxy *clerkproxy.Proxy) (*auth.Authenticator, *clerkjs.Provider, error) {
	authn, err := auth.New(auth.Config{
		Proxy:       proxy,
		IsSatellite: true,
		SignInURL:   "https://app.dev/sign-in",
	})
	if err != nil {
		return nil, nil, err
	}
	provider, err := clerkjs.New(clerkjs.Config{
		Proxy:       proxy,
		IsSatellite: true,
		SignInURL:   "https://app.dev/sign-in",
	})
	return authn, provider, err
}

func satelliteWithDNS() (*auth.Authenticator, error) {
	return auth.New(auth.Config{
		IsSatellite: true,
		Domain:      "satellite.dev",
		SignInURL:   "https://app.dev/sign-in",
	})
}

type appClaims struct {
	Email string `json:"email"`
	Plan  string `json:"plan"`
}

func withClaims(proxy *clerkproxy.Proxy) (*auth.Authenticator, error) {
	return auth.New(auth.Config{
		Proxy:        proxy,
		CustomClaims: func() any { return new(appClaims) },
	})
}

func plan(w http.ResponseWriter, r *http.Request) {
	session, _ := auth.FromContext(r.Context())
	if claims, ok := session.Claims.Custom.(*appClaims); ok {
		_, _ = w.Write([]byte(claims.Plan))
	}
}

func networkless(proxy *clerkproxy.Proxy) (*auth.Authenticator, error) {
	pem, err := os.ReadFile("clerk.pem")
	if err != nil {
		return nil, err
	}
	return auth.New(auth.Config{Proxy: proxy, JWTKey: string(pem)})
}

func production() (*clerkproxy.Proxy, *auth.Authenticator, error) {
	proxy, err := clerkproxy.New(clerkproxy.Config{
		ProxyURL:       "https://app.dev/__clerk",
		Hosts:          []string{"app.dev"},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	if err != nil {
		return nil, nil, err
	}
	authn, err := auth.New(auth.Config{
		Proxy:             proxy,
		SignInURL:         "/sign-in",
		AuthorizedParties: []string{"https://app.dev"},
	})
	return proxy, authn, err
}

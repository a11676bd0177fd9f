package guide

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
	"github.com/clerkproxy/clerkproxy/docs/examples/internal/exampletest"
)

const (
	publishableKey = "pk_live_Y2xlcmsuYXBwLmRldiQ" // clerk.app.dev
	secretKey      = "sk_live_0123456789"
)

// keys puts the keys of an instance, and nothing else, into the environment.
func keys(t *testing.T) {
	exampletest.ClearEnvironment(t)
	t.Setenv("CLERK_PUBLISHABLE_KEY", publishableKey)
	t.Setenv("CLERK_SECRET_KEY", secretKey)
}

func newProxy(t *testing.T, proxyURL string) *clerkproxy.Proxy {
	t.Helper()
	keys(t)
	proxy, err := clerkproxy.New(clerkproxy.Config{ProxyURL: proxyURL})
	if err != nil {
		t.Fatal(err)
	}
	return proxy
}

// A signer signs session tokens, in place of Clerk.
type signer struct {
	key *rsa.PrivateKey
	pem []byte
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
}

func (s signer) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("cat", "cl_B7d4PD111AAA")
	signing, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: s.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	standard := jwt.Claims{Subject: "user_ada", IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute))}
	token, err := jwt.Signed(signing).Claims(standard).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// answer is what a handler answers to a request with a token.
func answer(authn *auth.Authenticator, handler http.Handler, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "https://app.dev/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	authn.Middleware(handler).ServeHTTP(w, r)
	return w
}

func TestANetworklessTokenAndItsCustomClaims(t *testing.T) {
	proxy := newProxy(t, "")
	s := newSigner(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("clerk.pem", s.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	authn, err := networkless(proxy)
	if err != nil {
		t.Fatal(err)
	}
	token := s.token(t, map[string]any{"email": "ada@example.com", "plan": "pro"})
	if w := answer(authn, authn.Require(http.HandlerFunc(billing)), token); w.Code != http.StatusOK || w.Body.String() != "ada@example.com pro\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wrong := s.token(t, map[string]any{"plan": 7})
	if w := answer(authn, authn.Require(http.HandlerFunc(billing)), wrong); w.Code != http.StatusInternalServerError {
		t.Errorf("a claim of another type: %d %s", w.Code, w.Body)
	}

	t.Setenv("CLERK_JWT_KEY", string(s.pem))
	if authn, err = withClaims(proxy); err != nil {
		t.Fatal(err)
	}
	if w := answer(authn, http.HandlerFunc(plan), token); w.Body.String() != "pro" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAuthorization(t *testing.T) {
	proxy := newProxy(t, "")
	s := newSigner(t)
	t.Setenv("CLERK_JWT_KEY", string(s.pem))
	authn, err := auth.New(auth.Config{Proxy: proxy})
	if err != nil {
		t.Fatal(err)
	}
	settings := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	admin := map[string]any{"id": "org_1", "slg": "acme", "rol": "admin", "per": "create", "fpm": "1"}
	member := map[string]any{"id": "org_1", "slg": "acme", "rol": "member"}
	tests := []struct {
		name    string
		handler http.Handler
		claims  map[string]any
		status  int
		body    string
	}{
		{"a permission", http.HandlerFunc(createInvoice), map[string]any{"v": 2, "fea": "o:invoices", "o": admin}, http.StatusOK, "An invoice of acme"},
		{"no permission", http.HandlerFunc(createInvoice), map[string]any{"v": 2, "fea": "o:invoices", "o": member}, http.StatusForbidden, ""},
		{"the role", adminsOnly(authn, settings), map[string]any{"v": 2, "o": admin}, http.StatusOK, ""},
		{"another role", adminsOnly(authn, settings), map[string]any{"v": 2, "o": member}, http.StatusForbidden, ""},
		{"no organization", adminsOnly(authn, settings), nil, http.StatusForbidden, ""},
		{"verified just now", http.HandlerFunc(deleteAccount), map[string]any{"fva": []int{1, -1}}, http.StatusOK, "Deleted user_ada"},
		{"verified long ago", http.HandlerFunc(deleteAccount), map[string]any{"fva": []int{99, -1}}, http.StatusForbidden, `"reason":"reverification-error"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := answer(authn, tt.handler, s.token(t, tt.claims))
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	if w := answer(authn, adminsOnly(authn, settings), ""); w.Code != http.StatusUnauthorized {
		t.Errorf("a stranger: %d", w.Code)
	}
	if w := answer(authn, must(auth.Requirement{Role: "org:admin"})(settings), ""); w.Code != http.StatusForbidden {
		t.Errorf("a stranger, without Require: %d", w.Code)
	}
	if w := answer(authn, http.HandlerFunc(why), ""); w.Body.String() != "signed-out session-token-and-uat-missing \n" {
		t.Errorf("why: %s", w.Body)
	}
}

func TestTheOrganizationInTheURLIsTheActiveOne(t *testing.T) {
	application := func(proxy *clerkproxy.Proxy, authn *auth.Authenticator) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /orgs/{slug}/invoices", authn.Require(http.HandlerFunc(createInvoice)))
		return proxy.Middleware(authn.Middleware(mux))
	}
	site := exampletest.Start(t, application, func(c *auth.Config) {
		c.OrganizationSync = withOrganizations(c.Proxy).OrganizationSync
	})
	b := site.Browser(t)
	b.SignIn()
	for _, tt := range []struct {
		path    string
		status  int
		visited int // redirects: to the handshake and back
	}{
		{"/orgs/acme/invoices", http.StatusOK, 2},
		{"/orgs/acme/invoices?page=2", http.StatusOK, 0},
		{"/orgs/umbrella/invoices", http.StatusForbidden, 2},
	} {
		if a := b.Page(tt.path); a.Status != tt.status || len(b.Visited) != tt.visited {
			t.Errorf("%s by way of %q: %d %s", tt.path, b.Visited, a.Status, a.Body)
		}
	}
}

func TestASatelliteLearnsOfASignIn(t *testing.T) {
	proxy := newProxy(t, "https://satellite.dev/__clerk")
	authn, provider, err := satellite(proxy)
	if err != nil {
		t.Fatal(err)
	}
	handler := authn.Middleware(signInLink(authn))
	get := func(path string) *url.URL {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "https://satellite.dev"+path, nil)
		r.Header.Set("Sec-Fetch-Dest", "document")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		to, err := url.Parse(w.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	const back = "https://satellite.dev/?__clerk_synced=false"
	if to := get("/"); to.Host != "app.dev" || to.Path != "/sign-in" || to.Query().Get("redirect_url") != back {
		t.Errorf("a stranger is sent to %s", to)
	}
	if to := get("/?__clerk_synced=false"); to.Host != "satellite.dev" || to.Path != "/__clerk/v1/client/handshake" {
		t.Errorf("back from the sign-in, the browser is sent to %s", to)
	}
	r := httptest.NewRequest(http.MethodGet, "https://satellite.dev/", nil)
	if link := provider.SignInURL(r, ""); !strings.Contains(link, url.QueryEscape(back)) {
		t.Errorf("the link on a page: %s", link)
	}
}

func TestASatelliteHasAProxyOrADomain(t *testing.T) {
	keys(t)
	if _, err := satelliteWithDNS(); err != nil {
		t.Error(err)
	}
	t.Setenv("CLERK_PROXY_URL", "/__clerk")
	if _, err := satelliteWithDNS(); err == nil {
		t.Error("both were accepted")
	}
}

func TestConfigurationsAreAccepted(t *testing.T) {
	proxy := newProxy(t, "/__clerk")
	if _, err := auth.New(withOrganizations(proxy)); err != nil {
		t.Error(err)
	}
	if _, _, err := primary(proxy); err != nil {
		t.Error(err)
	}
	if _, _, err := production(); err != nil {
		t.Error(err)
	}
}

func TestClerksSDKSeesTheSameSession(t *testing.T) {
	application := func(proxy *clerkproxy.Proxy, authn *auth.Authenticator) http.Handler {
		return proxy.Middleware(authn.Middleware(http.HandlerFunc(profile)))
	}
	site := exampletest.Start(t, application, nil)
	clerk.SetBackend(clerk.NewBackend(&clerk.BackendConfig{
		Key: clerk.String(site.Clerk.SecretKey),
		URL: clerk.String(site.Clerk.BackendAPI + "/v1"),
		HTTPClient: &http.Client{
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: site.Clerk.RootCAs()}},
		},
	}))
	t.Cleanup(func() { clerk.SetBackend(nil) })
	b := site.Browser(t)
	if a := b.Page("/"); a.Status != http.StatusUnauthorized {
		t.Errorf("a stranger: %d %s", a.Status, a.Body)
	}
	b.SignIn()
	if a := b.Page("/"); a.Status != http.StatusOK || a.Body != "Hello, Ada\n" {
		t.Errorf("Ada: %d %s", a.Status, a.Body)
	}
}

package auth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// Two instances of one kind, so that tokens of the other can be presented.
var (
	livePK = instance.PublishableKey("clerk.app.dev", true)
	testPK = instance.PublishableKey("foo-bar-13.clerk.accounts.dev", false)
)

const (
	liveSK = "sk_live_0123456789"
	testSK = "sk_test_0123456789"
)

// now is the time in the tests.
var now = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

var signingKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 3)
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

type claims map[string]any

// fakeClerk is a Backend API, with as much of it as authentication uses.
type fakeClerk struct {
	*httptest.Server
	mu        sync.Mutex
	keys      map[string]*rsa.PrivateKey // by kid
	fetches   int                        // of the keys
	broken    bool                       // everything is answered with 500
	gate      chan struct{}              // when not nil, answers wait for it
	payloads  map[string][]string        // of handshakes, by nonce
	refreshes map[string]any             // by refresh token: []string or the code of an error
	refreshed []refreshRequest
	paths     []string
}

func newFakeClerk(t testing.TB) *fakeClerk {
	c := &fakeClerk{
		keys:      map[string]*rsa.PrivateKey{"ins_1": signingKeys()[0]},
		payloads:  map[string][]string{},
		refreshes: map[string]any{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/jwks", c.serveKeys)
	mux.HandleFunc("GET /v1/clients/handshake_payload", c.serveHandshake)
	mux.HandleFunc("POST /v1/sessions/{id}/refresh", c.serveRefresh)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		gate, broken := c.gate, c.broken
		c.paths = append(c.paths, r.URL.RequestURI())
		if r.URL.Path == "/v1/jwks" {
			c.fetches++
		}
		c.mu.Unlock()
		if gate != nil {
			<-gate
		}
		if a := r.Header.Get("Authorization"); a != "Bearer "+liveSK && a != "Bearer "+testSK {
			http.Error(w, `{"errors":[{"code":"clerk_key_invalid","message":"The provided Clerk Secret Key is invalid."}]}`, http.StatusUnauthorized)
			return
		}
		if broken {
			http.Error(w, `{"errors":[]}`, http.StatusInternalServerError)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *fakeClerk) serveKeys(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var set []map[string]string
	for kid, key := range c.keys {
		set = append(set, jwkOf(kid, &key.PublicKey))
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": set})
}

func (c *fakeClerk) serveHandshake(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	lines, ok := c.payloads[r.URL.Query().Get("nonce")]
	c.mu.Unlock()
	if !ok {
		writeJSON(w, http.StatusNotFound, map[string]any{"errors": []any{map[string]any{"code": "resource_not_found"}}})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"directives": lines})
}

func (c *fakeClerk) serveRefresh(w http.ResponseWriter, r *http.Request) {
	var in refreshRequest
	_ = json.NewDecoder(r.Body).Decode(&in)
	c.mu.Lock()
	answer := c.refreshes[in.RefreshToken]
	c.refreshed = append(c.refreshed, in)
	c.mu.Unlock()
	switch answer := answer.(type) {
	case []string:
		writeJSON(w, http.StatusOK, map[string]any{"object": "cookies", "cookies": answer})
	case string:
		writeJSON(w, http.StatusUnauthorized, map[string]any{"errors": []any{map[string]any{"code": answer}}})
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func jwkOf(kid string, key *rsa.PublicKey) map[string]string {
	return map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
		"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes a token.
func sign(key *rsa.PrivateKey, header, payload any) string {
	h, _ := json.Marshal(header)
	p, _ := json.Marshal(payload)
	signed := encode(h) + "." + encode(p)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + encode(signature)
}

func header(change claims) claims {
	h := claims{"alg": "RS256", "typ": "JWT", "kid": "ins_1", "cat": categorySession}
	maps.Copy(h, change)
	return h
}

// sessionClaims are those of an ordinary session token, issued ten seconds ago.
func sessionClaims(change claims) claims {
	c := claims{
		"azp": "https://app.dev", "iss": "https://clerk.app.dev", "sid": "sess_1", "sub": "user_1",
		"iat": now.Unix() - 10, "nbf": now.Unix() - 20, "exp": now.Unix() + 50, "v": 2, "sts": "active",
	}
	for name, value := range change {
		if value == nil {
			delete(c, name)
			continue
		}
		c[name] = value
	}
	return c
}

// sessionToken is an ordinary session token.
func sessionToken(change claims) string {
	return sign(signingKeys()[0], header(nil), sessionClaims(change))
}

func pemOf(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// clock is a time that tests can move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// newAuthenticator makes an Authenticator of the live instance, unless the
// change says otherwise.
func newAuthenticator(t testing.TB, clerk *fakeClerk, change func(*Config)) *Authenticator {
	t.Helper()
	c := Config{
		PublishableKey: livePK,
		SecretKey:      liveSK,
		BackendAPIURL:  clerk.URL,
		Now:            func() time.Time { return now },
		Logger:         slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if change != nil {
		change(&c)
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// development changes a Config to that of a development instance.
func development(c *Config) { c.PublishableKey, c.SecretKey = testPK, testSK }

// page is a request for a page, as a browser makes it.
func page(url string, cookies ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.RemoteAddr = "203.0.113.7:40000"
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	return r
}

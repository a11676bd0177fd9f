package auth_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// The instances, and keys of one that is somebody else's.
var (
	live  = instance.Instance{PublishableKey: instance.PublishableKey("clerk.app.dev", true), FrontendAPI: "clerk.app.dev", Live: true}
	dev   = instance.Instance{PublishableKey: instance.PublishableKey("foo-bar-13.clerk.accounts.dev", false), FrontendAPI: "foo-bar-13.clerk.accounts.dev"}
	start = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

	ownKey, foreignKey = newKey(), newKey()
)

const (
	liveSecret    = "sk_live_own"
	devSecret     = "sk_test_own"
	refusedSecret = "sk_live_refused" // the Backend API does not know it
	emptySecret   = "sk_live_empty"   // an instance without keys
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func publicPEM(key *rsa.PrivateKey) string {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// backendAPI is a Backend API for both sides.
type backendAPI struct {
	*httptest.Server
	mu        sync.Mutex
	nonces    map[string][]string
	refreshes map[string]any
	seen      []string // what it was asked to refresh, since the last look
}

func newBackendAPI(t *testing.T) *backendAPI {
	b := &backendAPI{nonces: map[string][]string{}, refreshes: map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/jwks", func(w http.ResponseWriter, r *http.Request) {
		keys := []any{}
		switch r.Header.Get("Authorization") {
		case "Bearer " + liveSecret, "Bearer " + devSecret:
			keys = append(keys, map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "ins_own",
				"n": b64(ownKey.N.Bytes()), "e": b64(big.NewInt(int64(ownKey.E)).Bytes())})
		case "Bearer " + refusedSecret:
			answer(w, http.StatusUnauthorized, failure("clerk_key_invalid"))
			return
		}
		answer(w, http.StatusOK, map[string]any{"keys": keys})
	})
	mux.HandleFunc("GET /v1/clients/handshake_payload", func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		lines, ok := b.nonces[r.URL.Query().Get("nonce")]
		b.mu.Unlock()
		if !ok {
			answer(w, http.StatusNotFound, failure("resource_not_found"))
			return
		}
		answer(w, http.StatusOK, map[string]any{"directives": lines})
	})
	mux.HandleFunc("POST /v1/sessions/{id}/refresh", b.refresh)
	b.Server = httptest.NewServer(mux)
	t.Cleanup(b.Close)
	return b
}

// refresh answers by the refresh token and remembers what it was asked, for the
// two sides must ask the same.
func (b *backendAPI) refresh(w http.ResponseWriter, r *http.Request) {
	var in map[string]any
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		answer(w, http.StatusBadRequest, failure("request_body_invalid"))
		return
	}
	if headers, ok := in["request_headers"].(map[string]any); ok {
		delete(headers, "connection")
		delete(headers, "content-length")
	}
	question, _ := json.Marshal([]any{r.URL.RequestURI(), in})
	b.mu.Lock()
	b.seen = append(b.seen, string(question))
	result := b.refreshes[in["refresh_token"].(string)]
	b.mu.Unlock()
	switch result := result.(type) {
	case []string:
		answer(w, http.StatusOK, map[string]any{"object": "cookies", "cookies": result})
	case string:
		answer(w, http.StatusUnauthorized, failure(result))
	default:
		w.WriteHeader(http.StatusBadGateway)
	}
}

func (b *backendAPI) questions() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	return seen
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func failure(code string) any {
	return map[string]any{"errors": []any{map[string]any{"code": code, "message": code, "long_message": code}}}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// m is a set of claims or header parameters. nil takes one away.
type m map[string]any

func (base m) with(change m) m {
	all := maps.Clone(base)
	for name, value := range change {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return all
}

const (
	categorySession  = "cl_B7d4PD111AAA"
	categoryTemplate = "cl_B7d4PD222AAA"
	categoryMachine  = "cl_B7d4PD333AAA"
	categoryNone     = "cl_I7d4PD111III"
)

var header = m{"alg": "RS256", "typ": "JWT", "kid": "ins_own", "cat": categorySession}

// claims of a session token that was issued ten seconds before the start.
func claims(of instance.Instance) m {
	return m{
		"azp": "https://app.dev", "iss": "https://" + of.FrontendAPI, "sid": "sess_1", "sub": "user_1",
		"iat": start.Unix() - 10, "nbf": start.Unix() - 20, "exp": start.Unix() + 50,
	}
}

func session(of instance.Instance, change m) string {
	return sign(ownKey, header, claims(of).with(change))
}

func signingInput(header, payload any) string {
	h, _ := json.Marshal(header)
	p, _ := json.Marshal(payload)
	return b64(h) + "." + b64(p)
}

func sign(key *rsa.PrivateKey, header m, payload any) string {
	input := signingInput(header, payload)
	hash := crypto.SHA256
	if header["alg"] == "RS512" {
		hash = crypto.SHA512
	}
	digest := hash.New()
	digest.Write([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, key, hash, digest.Sum(nil))
	if err != nil {
		panic(err)
	}
	return input + "." + b64(signature)
}

// confused is a token signed with HS256 and the public key as the secret.
func confused(payload m) string {
	input := signingInput(header.with(m{"alg": "HS256"}), payload)
	mac := hmac.New(sha256.New, []byte(publicPEM(ownKey)))
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

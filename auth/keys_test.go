package auth

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// keysFor returns a store on a fake Backend API, and its clock.
func keysFor(t *testing.T) (*fakeClerk, *keyStore, *clock) {
	clerk := newFakeClerk(t)
	c := &clock{t: now}
	a := newAuthenticator(t, clerk, func(config *Config) { config.Now = c.Now })
	return clerk, &a.keys, c
}

func (c *fakeClerk) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fetches
}

func (c *fakeClerk) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (s *keyStore) underWay() *keyFetch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetching
}

// settle waits for the fetch that is under way, if any.
func (s *keyStore) settle() {
	if fetch := s.underWay(); fetch != nil {
		<-fetch.done
	}
}

func wantKey(t *testing.T, s *keyStore, c *clock, kid string, want *rsa.PrivateKey) {
	t.Helper()
	key, err := s.lookup(t.Context(), kid, c.Now())
	if err != nil || !key.Equal(&want.PublicKey) {
		t.Fatalf("%s: %v", kid, err)
	}
}

func wantNoKey(t *testing.T, s *keyStore, c *clock, kid, reason string) {
	t.Helper()
	if key, err := s.lookup(t.Context(), kid, c.Now()); key != nil || err == nil || err.reason != reason {
		t.Fatalf("%s: got %v, %v; want %s", kid, key, err, reason)
	}
}

func TestKeysAreFetchedOnceHoweverManyWait(t *testing.T) {
	clerk, s, c := keysFor(t)
	clerk.gate = make(chan struct{})
	var wg sync.WaitGroup
	started := make(chan struct{}, 200)
	for range 200 {
		wg.Go(func() {
			started <- struct{}{}
			if _, err := s.lookup(t.Context(), "ins_1", c.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	for range 200 {
		<-started
	}
	close(clerk.gate)
	wg.Wait()
	if n := clerk.count(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestKeysAreRefreshedInTheBackground(t *testing.T) {
	clerk, s, c := keysFor(t)
	wantKey(t, s, c, "ins_1", signingKeys()[0])
	c.advance(keysFresh - time.Second)
	wantKey(t, s, c, "ins_1", signingKeys()[0])
	if n := clerk.count(); n != 1 {
		t.Fatalf("%d fetches while fresh", n)
	}
	c.advance(time.Second)
	clerk.change(func() { clerk.gate = make(chan struct{}) })
	wantKey(t, s, c, "ins_1", signingKeys()[0]) // without waiting for the gate
	first := s.underWay()
	wantKey(t, s, c, "ins_1", signingKeys()[0])
	if first == nil || s.underWay() != first {
		t.Error("another fetch was begun")
	}
	clerk.change(func() { clerk.keys["ins_new"] = signingKeys()[1]; close(clerk.gate) })
	s.settle()
	wantKey(t, s, c, "ins_new", signingKeys()[1])
	if n := clerk.count(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// A key keeps its identity when it is fetched again, so that tokens which were
// verified with it stay so; and loses it when it is another key.
func TestRefreshedKeysStayTheSame(t *testing.T) {
	clerk, s, c := keysFor(t)
	before, _ := s.lookup(t.Context(), "ins_1", c.Now())
	refresh := func() *rsa.PublicKey {
		c.advance(keysFresh)
		s.known("ins_1", c.Now())
		s.settle()
		return s.known("ins_1", c.Now())
	}
	if after := refresh(); after != before {
		t.Error("an equal key is another pointer")
	}
	clerk.change(func() { clerk.keys["ins_1"] = signingKeys()[1] })
	if after := refresh(); after == before || !after.Equal(&signingKeys()[1].PublicKey) {
		t.Error("a new key under an old name is not taken")
	}
}

func TestUnknownKeysAreAskedForAtMostOnceInAWhile(t *testing.T) {
	clerk, s, c := keysFor(t)
	wantKey(t, s, c, "ins_1", signingKeys()[0])
	for i := range 100 {
		wantNoKey(t, s, c, fmt.Sprint("ins_made_up_", i), "jwk-kid-mismatch")
	}
	if n := clerk.count(); n != 1+unknownKeyBurst {
		t.Errorf("%d fetches for made-up keys", n-1)
	}
	// A key that is new is found at the next turn.
	clerk.change(func() { clerk.keys["ins_new"] = signingKeys()[1] })
	wantNoKey(t, s, c, "ins_new", "jwk-kid-mismatch")
	c.advance(unknownKeyInterval)
	wantKey(t, s, c, "ins_new", signingKeys()[1])
}

// A request with a new key that finds a fetch under way, begun before the key
// was there, does not take that fetch's word for it.
func TestKeyRotatedDuringAFetch(t *testing.T) {
	clerk, s, c := keysFor(t)
	wantKey(t, s, c, "ins_1", signingKeys()[0])
	stale, release := make(chan struct{}), make(chan struct{})
	s.backend.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && stale != nil {
			close(stale)
			stale = nil
			<-release
		}
		return resp, err
	})
	held := stale
	go func() { _, _ = s.lookup(context.Background(), "ins_made_up", c.Now()) }()
	<-held
	clerk.change(func() { clerk.keys["ins_new"] = signingKeys()[1] })
	close(release)
	wantKey(t, s, c, "ins_new", signingKeys()[1])
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestLastGoodKeysAreKept(t *testing.T) {
	clerk, s, c := keysFor(t)
	wantKey(t, s, c, "ins_1", signingKeys()[0])
	clerk.change(func() { clerk.broken = true })
	for age := keysFresh; age < keysKept; age += 30 * time.Minute {
		c.advance(age - c.Now().Sub(now))
		wantKey(t, s, c, "ins_1", signingKeys()[0])
		s.settle()
	}
	c.advance(keysKept - c.Now().Sub(now))
	wantNoKey(t, s, c, "ins_1", "jwk-remote-failed-to-load")
	clerk.change(func() { clerk.broken = false })
	wantNoKey(t, s, c, "ins_1", "jwk-remote-failed-to-load") // too early to try again
	c.advance(maxFailureInterval)
	wantKey(t, s, c, "ins_1", signingKeys()[0])
}

func TestFailuresAreNotRepeatedAtOnce(t *testing.T) {
	clerk, s, c := keysFor(t)
	clerk.broken = true
	for range 50 {
		wantNoKey(t, s, c, "ins_1", "jwk-remote-failed-to-load")
	}
	if n := clerk.count(); n != 1 {
		t.Errorf("%d fetches in a row", n)
	}
	for range 3600 {
		c.advance(time.Second)
		wantNoKey(t, s, c, "ins_1", "jwk-remote-failed-to-load")
	}
	if n := clerk.count(); n > 130 {
		t.Errorf("%d fetches in an hour", n)
	}
}

func TestKeysThatAreOfNoUse(t *testing.T) {
	var answer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
	t.Cleanup(server.Close)
	good := `{"kty":"RSA","kid":"ins_1","n":"` + encode(signingKeys()[0].N.Bytes()) + `","e":"AQAB"}`
	for name, tt := range map[string]struct{ body, reason string }{
		"no JSON":          {"<html>", "jwk-remote-failed-to-load"},
		"no keys":          {`{"keys":[]}`, "jwk-remote-failed-to-load"},
		"symmetric":        {`{"keys":[{"kty":"oct","kid":"ins_1","k":"AAAA"}]}`, "jwk-remote-failed-to-load"},
		"for encryption":   {`{"keys":[{"use":"enc",` + good[1:] + `]}`, "jwk-remote-failed-to-load"},
		"other algorithm":  {`{"keys":[{"alg":"RS512",` + good[1:] + `]}`, "jwk-remote-failed-to-load"},
		"short":            {`{"keys":[{"kty":"RSA","kid":"ins_1","n":"AQAB","e":"AQAB"}]}`, "jwk-remote-failed-to-load"},
		"one of them good": {`{"keys":[{"kty":"EC"},{"kty":"oct","kid":"x","k":"AA"},null,` + good + `]}`, ""},
		"very long":        {`{"keys":[` + good + `], "x":"` + string(make([]byte, 2<<20)) + `"}`, "jwk-remote-failed-to-load"},
	} {
		t.Run(name, func(t *testing.T) {
			answer = tt.body
			a := newAuthenticator(t, newFakeClerk(t), func(c *Config) { c.BackendAPIURL = server.URL })
			_, err := a.keys.lookup(t.Context(), "ins_1", now)
			if reason := reasonOf(err); reason != tt.reason {
				t.Errorf("got %q, want %q", reason, tt.reason)
			}
		})
	}
}

func reasonOf(err *tokenError) string {
	if err == nil {
		return ""
	}
	return err.reason
}

func TestLookupEndsWithItsRequest(t *testing.T) {
	clerk, s, c := keysFor(t)
	clerk.gate = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.lookup(ctx, "ins_1", c.Now()); reasonOf(err) != "jwk-remote-failed-to-load" {
		t.Errorf("got %v", err)
	}
	close(clerk.gate) // the fetch itself goes on, for the others
	s.settle()
	if s.known("ins_1", c.Now()) == nil {
		t.Error("the fetch ended with the request that began it")
	}
}

func TestKeysOfRefusedSecretKey(t *testing.T) {
	a := newAuthenticator(t, newFakeClerk(t), func(c *Config) { c.SecretKey = "sk_live_other" })
	if state, _ := a.Authenticate(bearer(sessionToken(nil))); state.Reason != "secret-key-invalid" {
		t.Errorf("%+v", state)
	}
}

// A token is no longer believed once the key that signed it is withdrawn, even
// though it has been verified before.
func TestWithdrawnKey(t *testing.T) {
	clerk := newFakeClerk(t)
	c := &clock{t: now}
	a := newAuthenticator(t, clerk, func(config *Config) { config.Now = c.Now })
	long := sessionToken(claims{"exp": now.Add(time.Hour).Unix()})
	if state, _ := a.Authenticate(bearer(long)); state.Status != SignedIn {
		t.Fatalf("%+v", state)
	}
	clerk.change(func() { clerk.keys = map[string]*rsa.PrivateKey{"ins_new": signingKeys()[1]} })
	c.advance(keysFresh)
	_, _ = a.Authenticate(bearer(long))
	a.keys.settle()
	if state, _ := a.Authenticate(bearer(long)); state.Reason != "jwk-kid-mismatch" {
		t.Errorf("%+v", state)
	}
}

func TestJWTKeyNeedsNoNetwork(t *testing.T) {
	clerk := newFakeClerk(t)
	pem := pemOf(&signingKeys()[0].PublicKey)
	a := newAuthenticator(t, clerk, func(c *Config) { c.JWTKey = pem })
	if state, _ := a.Authenticate(bearer(sessionToken(nil))); state.Status != SignedIn {
		t.Errorf("%+v", state)
	}
	if state, _ := a.Authenticate(bearer(sign(signingKeys()[1], header(nil), sessionClaims(nil)))); state.Reason != "token-invalid-signature" {
		t.Errorf("%+v", state)
	}
	if n := clerk.count(); n != 0 {
		t.Errorf("%d fetches", n)
	}
}

func TestParseJWTKey(t *testing.T) {
	full := pemOf(&signingKeys()[0].PublicKey)
	for name, s := range map[string]string{
		"PEM":                   full,
		"escaped line breaks":   strings.ReplaceAll(full, "\n", `\n`),
		"Windows line breaks":   strings.ReplaceAll(full, "\n", "\r\n"),
		"one line":              strings.ReplaceAll(full, "\n", ""),
		"without its last line": strings.ReplaceAll(strings.ReplaceAll(full, "-----BEGIN PUBLIC KEY-----\n", ""), "-----END PUBLIC KEY-----\n", ""),
		"spaces around":         "  " + full + "  ",
	} {
		if key, err := parseJWTKey(s); err != nil || !key.Equal(&signingKeys()[0].PublicKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []string{"", "x", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", full[:100]} {
		if _, err := parseJWTKey(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

func TestBackendErrors(t *testing.T) {
	clerk := newFakeClerk(t)
	b := backend{url: clerk.URL, secretKey: func() string { return liveSK }, timeout: time.Second, client: http.DefaultClient}
	var out struct{}
	err := b.call(t.Context(), http.MethodGet, "/v1/clients/handshake_payload?nonce=unknown", nil, &out)
	var e *backendError
	if !errors.As(err, &e) || e.status != http.StatusNotFound || e.code != "resource_not_found" {
		t.Errorf("got %v", err)
	}
}

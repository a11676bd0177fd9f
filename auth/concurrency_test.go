package auth

import (
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One Authenticator serves thousands of requests of every kind at once, while
// the clock moves and keys are rotated. With -race.
func TestManyRequestsAtOnce(t *testing.T) {
	clerk := newFakeClerk(t)
	c := &clock{t: now}
	a := newAuthenticator(t, clerk, func(config *Config) {
		config.Now = c.Now
		config.OrganizationSync.OrganizationPatterns = []string{"/orgs/:slug"}
		config.CustomClaims = func() any { return &struct{ Sub string }{} }
	})
	fresh := sessionToken(claims{"sub": "user_fresh"})
	line := "__session=" + fresh + "; Path=/"
	clerk.payloads["n"] = []string{line}
	clerk.refreshes["rt"] = []string{line}

	hour := now.Add(time.Hour).Unix()
	kinds := []struct {
		request func(i int) *http.Request
		want    string // user, or status
	}{
		{func(i int) *http.Request {
			return bearer(sessionToken(claims{"sub": fmt.Sprint("user_", i%50), "exp": hour}))
		}, "some user"},
		{func(int) *http.Request {
			return page("https://app.dev/", "__client_uat=1; __session="+sessionToken(claims{"exp": hour}))
		}, "user_1"},
		{func(int) *http.Request { return page("https://app.dev/") }, "200"},
		{func(int) *http.Request { return page("https://app.dev/", "__client_uat=1") }, "307"},
		{func(int) *http.Request { return page("https://app.dev/", "__clerk_handshake_nonce=n") }, "user_fresh"},
		{func(int) *http.Request {
			return page("https://app.dev/", "__client_uat=1; __session="+sessionToken(claims{"exp": now.Unix() - 60})+"; __refresh_"+a.suffix+"=rt")
		}, "user_fresh"},
		{func(int) *http.Request {
			return page("https://app.dev/orgs/acme", "__client_uat=1; __session="+sessionToken(claims{"exp": hour}))
		}, "307"},
		{func(i int) *http.Request {
			return bearer(sign(signingKeys()[1], header(claims{"kid": fmt.Sprint("ins_", i)}), sessionClaims(nil)))
		}, "200"},
		{func(int) *http.Request {
			return bearer(sign(signingKeys()[2], header(claims{"kid": "ins_rotated"}), sessionClaims(claims{"exp": hour})))
		}, ""},
	}
	handler := a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, ok := FromContext(r.Context()); ok {
			w.Header().Set("User", s.UserID)
			s.Has(Requirement{Role: "admin"})
		}
	}))

	var served atomic.Int64
	var wg sync.WaitGroup
	const workers, each = 32, 128
	for worker := range workers {
		wg.Go(func() {
			for i := range each {
				n := worker*each + i
				kind := kinds[n%len(kinds)]
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, kind.request(n))
				got := w.Header().Get("User")
				switch kind.want {
				case "200", "307":
					if fmt.Sprint(w.Code) != kind.want || got != "" {
						t.Errorf("kind %d: %d, user %q", n%len(kinds), w.Code, got)
					}
				case "some user":
					if got != fmt.Sprint("user_", n%50) {
						t.Errorf("kind %d: user %q", n%len(kinds), got)
					}
				case "":
				default:
					if got != kind.want {
						t.Errorf("kind %d: user %q, %v", n%len(kinds), got, w.Header())
					}
				}
				switch {
				case n%1000 == 500:
					clerk.change(func() { clerk.keys["ins_rotated"] = signingKeys()[2] })
				case n%64 == 0:
					c.advance(20 * time.Millisecond)
				}
				served.Add(1)
			}
		})
	}
	wg.Wait()
	if served.Load() != workers*each {
		t.Errorf("%d requests served", served.Load())
	}
	if n := clerk.count(); n > 1+unknownKeyBurst+2 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// Keys are rotated while requests come: nobody who is signed in is refused, and
// the Backend API sees a handful of fetches.
func TestRotationUnderLoad(t *testing.T) {
	clerk := newFakeClerk(t)
	c := &clock{t: now}
	a := newAuthenticator(t, clerk, func(config *Config) { config.Now = c.Now })
	exp := now.Add(time.Hour).Unix()
	const rotations = 3
	tokens := make([][]string, rotations+1)
	for generation := range tokens {
		for user := range 20 {
			kid := fmt.Sprint("ins_", generation+1)
			tokens[generation] = append(tokens[generation], sign(signingKeys()[generation%3], header(claims{"kid": kid}), sessionClaims(claims{"exp": exp, "sub": fmt.Sprint("user_", user)})))
		}
	}
	for generation := range tokens {
		// The old key stays for a while, as tokens that it signed do.
		clerk.change(func() {
			keys := map[string]*rsa.PrivateKey{}
			for g := max(0, generation-1); g <= generation; g++ {
				keys[fmt.Sprint("ins_", g+1)] = signingKeys()[g%3]
			}
			clerk.keys = keys
		})
		var wg sync.WaitGroup
		for worker := range 16 {
			wg.Go(func() {
				for i := range 50 {
					set := tokens[generation]
					if generation > 0 && i%2 == 0 {
						set = tokens[generation-1]
					}
					if state, err := a.Authenticate(bearer(set[(worker+i)%len(set)])); err != nil || state.Status != SignedIn {
						t.Errorf("generation %d: %+v, %v", generation, state, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	if n := clerk.count(); n > 2*(rotations+1) {
		t.Errorf("%d fetches for %d rotations", n, rotations)
	}
}

func TestTokenCacheIsBounded(t *testing.T) {
	var c tokenCache
	key := func(i int) (k [32]byte) {
		k[0], k[1], k[2] = byte(i), byte(i>>8), byte(i>>16)
		return k
	}
	v := &verified{exp: now.Add(time.Minute)}
	kept := key(1 << 20)
	c.put(kept, v, now)
	for i := range 5 * maxVerified {
		c.put(key(i), v, now)
		if c.get(kept) == nil {
			t.Fatalf("what is asked for is forgotten after %d others", i)
		}
		if n := len(c.young) + len(c.old); n > maxVerified {
			t.Fatalf("%d entries", n)
		}
	}
	if c.get(key(0)) != nil {
		t.Error("what is not asked for is never forgotten")
	}
	c.put(key(1<<21), &verified{exp: now}, now)
	if c.get(key(1<<21)) != nil {
		t.Error("an expired token is remembered")
	}
}

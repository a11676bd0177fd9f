package auth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"
)

// A response writer that allocates nothing of its own.
type nullWriter struct{ h http.Header }

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *nullWriter) WriteHeader(int)             {}

var benchClock = clockAt{now}

type clockAt struct{ t time.Time }

func (c clockAt) Now() time.Time { return c.t }

// served fails the benchmark when the application does not see the session.
func served(b *testing.B, seen *int) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if c, ok := clerk.SessionClaimsFromContext(r.Context()); !ok || c.Subject != "user_1" {
			b.Error("not signed in")
		}
		*seen++
	})
}

func run(b *testing.B, r *http.Request, wrap func(http.Handler) http.Handler) {
	var seen int
	h := wrap(served(b, &seen))
	w := &nullWriter{http.Header{}}
	h.ServeHTTP(w, r) // loads the keys
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
	if seen < b.N {
		b.Errorf("%d requests served, %d seen", b.N, seen)
	}
}

func bearerRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://app.dev/", nil)
	r.Header.Set("Authorization", "Bearer "+sessionToken(nil))
	return r
}

// BenchmarkAuthenticate is a signed-in request through our middleware.
func BenchmarkAuthenticate(b *testing.B) {
	b.Run("header", func(b *testing.B) {
		run(b, bearerRequest(), newAuthenticator(b, newFakeClerk(b), nil).Middleware)
	})
	b.Run("cookies", func(b *testing.B) {
		a := newAuthenticator(b, newFakeClerk(b), nil)
		token := sessionToken(nil)
		r := page("https://app.dev/", strings.Join([]string{
			"theme=dark", "__client_uat=1770000000", "__client_uat_" + a.suffix + "=1770000000",
			"__session=" + token, "__session_" + a.suffix + "=" + token, "__refresh_" + a.suffix + "=abc",
		}, "; "))
		run(b, r, a.Middleware)
	})
	// Without the memory of verified tokens: what the first request costs.
	b.Run("first", func(b *testing.B) {
		a := newAuthenticator(b, newFakeClerk(b), nil)
		run(b, bearerRequest(), func(next http.Handler) http.Handler {
			h := a.Middleware(next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				a.tokens.young, a.tokens.old = nil, nil
				h.ServeHTTP(w, r)
			})
		})
	})
}

// BenchmarkClerkHTTP is the same request through the middleware of Clerk's Go
// SDK, with a key that has been fetched and parsed.
func BenchmarkClerkHTTP(b *testing.B) {
	key, err := clerk.JSONWebKeyFromPEM(pemOf(&signingKeys()[0].PublicKey))
	if err != nil {
		b.Fatal(err)
	}
	run(b, bearerRequest(), clerkhttp.WithHeaderAuthorization(func(p *clerkhttp.AuthorizationParams) error {
		p.JWK, p.Clock, p.Leeway = key, benchClock, 5*time.Second
		return nil
	}))
}

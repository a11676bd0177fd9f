package auth

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// An Authenticator decides who is signed in. It is safe for concurrent use and
// has a cache of keys and of verified tokens of its own. It holds nothing that
// needs to be closed. Make one with [New].
type Authenticator struct {
	instance instance.Instance
	suffix   string // of cookies, without the underscore
	// issuer is the Frontend API that issues this instance's tokens, as a host.
	issuer string
	// frontendAPI is where handshakes go when there is no proxy.
	frontendAPI string

	proxy       *clerkproxy.Proxy
	proxyOrigin string          // of an absolute proxy URL
	proxyPath   string          // empty: no proxy
	front       forwarded.Front // without a proxy

	satellite      bool
	autoSync       bool
	signIn, signUp string
	accounts       string // Clerk's account portal, as an origin
	redirectsTo    map[string]bool

	authorizedParties []string
	audiences         []string
	skew              time.Duration
	organizations     organizationMatcher
	customClaims      func() any
	onDecision        func(*http.Request, State)

	keys    keyStore
	tokens  tokenCache
	backend backend
	now     func() time.Time
	log     *slog.Logger

	warnNoParty sync.Once
}

// Status is the outcome of a decision.
type Status string

const (
	// SignedIn: the request comes with a session that is in force.
	SignedIn Status = "signed-in"
	// SignedOut: it does not, or nothing more can be found out.
	SignedOut Status = "signed-out"
	// Handshake: whether it does is for Clerk to say. The browser is to be
	// redirected to State.Location, and comes back with the answer.
	Handshake Status = "handshake"
)

// A State is what was decided about a request, and what follows from it for the
// response.
type State struct {
	Status Status

	// Reason says why, in the words of Clerk's SDKs, such as
	// session-token-and-uat-missing. It is empty for a request that is signed
	// in.
	Reason string

	// Message says more, where there is more to say.
	Message string

	// Session is the session of a request that is signed in, otherwise nil. It
	// may be pending; see [Session.Status].
	Session *Session

	// Header holds what the response must carry: cookies from Clerk, Location,
	// Cache-Control, and X-Clerk-Auth-Status, -Reason and -Message. It is nil
	// when that is nothing.
	Header http.Header

	// Location is where the browser must be redirected to, with status 307, or
	// empty. Besides for a handshake it is set after one in a development
	// instance, to take the handshake's parameters out of the URL.
	Location string
}

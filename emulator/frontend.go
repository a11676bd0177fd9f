package emulator

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// maxBody is the largest body that either API reads.
const maxBody = 64 << 10

// call is one Frontend API request that is attributed to a domain. Its methods
// are the endpoints; they run with Server.mu held.
type call struct {
	server  *Server
	request *http.Request
	form    url.Values
	now     time.Time

	domain *domain
	// proxyURL is where the browser reaches the Frontend API.
	proxyURL string
	// client is nil while the browser has none.
	client *client
	// pageAt is the page's origin where the request does not come from the page.
	pageAt string
	// asked is true where the browser asks whether it is signed in.
	asked bool
}

// An endpoint answers the JSON of what it was asked for.
type endpoint func(*call) (any, error)

// frontend is the Frontend API.
func (s *Server) frontend() http.Handler {
	mux := http.NewServeMux()

	// These three answer without a domain. The check of a proxy URL comes before
	// any domain has it, and scripts are the same for every instance: refusing
	// them would only hide the error that the API then explains.
	mux.HandleFunc("GET /v1/health", s.health)
	mux.HandleFunc("GET /v1/proxy-health", s.proxyHealth)
	mux.HandleFunc("GET /npm/{scope}/{package}/{file...}", s.npm)

	mux.HandleFunc("GET /avatars/{file}", s.attributed(s.avatar))

	// ClerkJS reads the body itself as what it asked for.
	bare := map[string]endpoint{
		"GET /.well-known/jwks.json":                           (*call).getJWKS,
		"GET /v1/environment":                                  (*call).getEnvironment,
		"PATCH /v1/environment":                                (*call).getEnvironment,
		"POST /v1/client/sessions/{session}/tokens":            (*call).createToken,
		"POST /v1/client/sessions/{session}/tokens/{template}": (*call).createTemplateToken,
		"GET /v1/me/sessions":                                  (*call).listSessions,
		"GET /v1/me/sessions/active":                           (*call).listActiveSessions,

		// The browser itself goes to these, and is sent on.
		"GET /v1/client/handshake": (*call).handshake,
		"GET /v1/client/sync":      (*call).sync,
		"GET /v1/client/link":      (*call).link,
	}
	for pattern, answer := range bare {
		mux.HandleFunc(pattern, s.endpoint(answer, false))
	}

	// ClerkJS expects what it asked for beside the client as it now is.
	withClient := map[string]endpoint{
		"GET /v1/client":             (*call).getClient,
		"PUT /v1/client":             (*call).putClient,
		"POST /v1/client":            (*call).putClient,
		"DELETE /v1/client":          (*call).deleteClient,
		"DELETE /v1/client/sessions": (*call).deleteSessions,

		"POST /v1/client/sign_ins":                                (*call).createSignIn,
		"GET /v1/client/sign_ins/{attempt}":                       (*call).getSignIn,
		"POST /v1/client/sign_ins/{attempt}/prepare_first_factor": (*call).prepareFirstFactor,
		"POST /v1/client/sign_ins/{attempt}/attempt_first_factor": (*call).attemptFirstFactor,

		"POST /v1/client/sign_ups":                                (*call).createSignUp,
		"GET /v1/client/sign_ups/{attempt}":                       (*call).getSignUp,
		"PATCH /v1/client/sign_ups/{attempt}":                     (*call).updateSignUp,
		"POST /v1/client/sign_ups/{attempt}/prepare_verification": (*call).prepareVerification,
		"POST /v1/client/sign_ups/{attempt}/attempt_verification": (*call).attemptVerification,

		"GET /v1/client/sessions/{session}":         (*call).getSession,
		"POST /v1/client/sessions/{session}/touch":  (*call).touchSession,
		"POST /v1/client/sessions/{session}/end":    (*call).endSession,
		"POST /v1/client/sessions/{session}/remove": (*call).removeSession,

		"GET /v1/me":                            (*call).getMe,
		"PATCH /v1/me":                          (*call).updateMe,
		"POST /v1/me/change_password":           (*call).changePassword,
		"POST /v1/me/sessions/{session}/revoke": (*call).revokeSession,
		"GET /v1/me/email_addresses":            (*call).listEmailAddresses,
		"GET /v1/me/phone_numbers":              (*call).listNothing,
		"GET /v1/me/web3_wallets":               (*call).listNothing,
		"GET /v1/me/enterprise_connections":     (*call).listNothing,
		"GET /v1/me/organization_memberships":   (*call).listMemberships,
		"GET /v1/me/organization_invitations":   (*call).pageNothing,
		"GET /v1/me/organization_suggestions":   (*call).pageNothing,
		"GET /v1/organizations/{organization}":  (*call).getOrganization,
	}
	for pattern, answer := range withClient {
		mux.HandleFunc(pattern, s.endpoint(answer, true))
	}
	return s.api(mux)
}

// api does what both APIs do before and after the endpoint: it names the
// request, limits its body, and sees to it that every answer is JSON.
func (s *Server) api(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerTraceID, newTraceID())
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)

		method := effectiveMethod(r)
		if method != r.Method {
			// The form must be read before the method changes: ParseForm reads
			// the body of a POST, but not of the DELETE that it stands for.
			if err := r.ParseForm(); err != nil {
				s.writeError(w, formError(err), nil)
				return
			}
			r = r.WithContext(r.Context())
			r.Method = method
		}

		// ServeMux would redirect an unclean path, and answer 404 and 405 in
		// plain text. Clerk does neither.
		if r.URL.Path != cleaned(r.URL.Path) {
			s.writeError(w, errNotFound, nil)
			return
		}
		handler, pattern := mux.Handler(r)
		if pattern == "" {
			refused := &discardedResponse{header: http.Header{}}
			handler.ServeHTTP(refused, r)
			if refused.status == http.StatusMethodNotAllowed {
				w.Header()["Allow"] = refused.header["Allow"]
				s.writeError(w, errMethodNotAllowed, nil)
			} else {
				s.writeError(w, errNotFound, nil)
			}
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// effectiveMethod is the method that a POST stands for: ClerkJS sends nothing
// but GET and POST, which need no preflight, and names the rest in the query.
func effectiveMethod(r *http.Request) string {
	if r.Method != http.MethodPost {
		return r.Method
	}
	method := strings.ToUpper(r.URL.Query().Get("_method"))
	if slices.Contains([]string{http.MethodPatch, http.MethodPut, http.MethodDelete}, method) {
		return method
	}
	return r.Method
}

func cleaned(p string) string {
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// discardedResponse keeps what ServeMux says about a path it has no handler for.
type discardedResponse struct {
	header http.Header
	status int
}

func (d *discardedResponse) Header() http.Header         { return d.header }
func (d *discardedResponse) Write(p []byte) (int, error) { return len(p), nil }
func (d *discardedResponse) WriteHeader(status int)      { d.status = status }

// attributed refuses what belongs to no domain.
func (s *Server) attributed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		_, _, err := s.attribute(r)
		s.mu.Unlock()
		if err != nil {
			s.writeError(w, err, nil)
			return
		}
		next(w, r)
	}
}

// endpoint makes a handler of an endpoint.
func (s *Server) endpoint(answer endpoint, withClient bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// The body is read before the lock is taken: a slow one is nobody
		// else's business.
		if err := r.ParseForm(); err != nil {
			s.writeError(w, formError(err), nil)
			return
		}
		response, client, err := s.call(w, r, answer)
		elsewhere, redirected := response.(redirect)
		switch {
		case err != nil:
			s.writeError(w, err, client)
		case redirected:
			elsewhere.write(w)
		case withClient:
			s.writeJSON(w, http.StatusOK, object{"response": response, "client": client})
		default:
			s.writeJSON(w, http.StatusOK, response)
		}
	}
}

// call runs an endpoint and sets the cookies. What it answers shares nothing
// with the state, so it can be encoded without the lock.
func (s *Server) call(w http.ResponseWriter, r *http.Request, answer endpoint) (response, client any, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	domain, proxyURL, err := s.attribute(r)
	if err != nil {
		return nil, nil, err
	}
	c := &call{server: s, request: r, form: r.PostForm, now: s.config.Now(), domain: domain, proxyURL: proxyURL}
	c.client = s.clientOf(c.cookie(cookieClient))
	response, err = answer(c)
	c.setCookies(w)
	if err != nil && err != errSessionExists {
		return nil, nil, err
	}
	client, clientErr := c.clientJSON()
	return response, client, cmp.Or(err, clientErr)
}

func formError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errBodyTooLarge
	}
	return errMalformed
}

// origin is the page's origin. Browsers leave the header out of a GET to their
// own origin, which a request through a proxy is.
func (c *call) origin() string {
	if c.pageAt != "" {
		return c.pageAt
	}
	if origin := c.request.Header.Get("Origin"); origin != "" && origin != "null" {
		return origin
	}
	u, err := url.Parse(c.proxyURL)
	if err != nil {
		return ""
	}
	return origin(u)
}

func (c *call) getJWKS() (any, error) { return c.server.keys.jwks(), nil }

func (c *call) listNothing() (any, error) {
	_, err := c.signedIn()
	return []any{}, err
}

func (c *call) pageNothing() (any, error) {
	_, err := c.signedIn()
	return object{"data": []any{}, "total_count": 0}, err
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	s.writeJSON(w, http.StatusOK, object{"status": "healthy"})
}

// proxyHealth tells a proxy what arrived from it. What is wrong with the proxy is
// said with status 200, which the specification allows, so that whoever looks at
// the status alone is caught out.
func (s *Server) proxyHealth(w http.ResponseWriter, r *http.Request) {
	address, fault, err := s.inspectProxy(r)
	switch {
	case err != nil:
		s.writeError(w, err, nil)
	case fault != "":
		s.writeJSON(w, http.StatusOK, object{"status": "unhealthy", "message": fault})
	default:
		s.writeJSON(w, http.StatusOK, object{"status": "healthy", "x_forwarded_for": address.String()})
	}
}

// inspectProxy looks at what a proxy made of a health request. The domain need
// not have the proxy URL yet: this is how Clerk finds out whether it may.
func (s *Server) inspectProxy(r *http.Request) (address netip.Addr, fault string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.authorizeProxy(r); err != nil {
		return address, "", err
	}
	id := r.URL.Query().Get("domain_id")
	if id == "" {
		return address, "", errMalformed.about("domain_id")
	}
	d := s.domainByID(id)
	if d == nil {
		return address, "", errHostInvalid.about("domain_id")
	}
	proxyURL := r.Header.Get(headerProxyURL)
	if err := d.admits(proxyURL); err != nil {
		return address, "The Clerk-Proxy-Url header " + err.Error() + ".", nil
	}
	address, ok := forwardedFor(r)
	if !ok {
		return address, "The X-Forwarded-For header must begin with the IP address of the client.", nil
	}
	for check := range s.state.checks {
		if check.domainID == id && check.proxyURL == proxyURL {
			s.state.checks[check] = true
		}
	}
	return address, "", nil
}

func (s *Server) domainByID(id string) *domain {
	for _, d := range s.state.domains {
		if d.id == id {
			return d
		}
	}
	return nil
}

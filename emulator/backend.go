package emulator

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// backend is the Backend API.
func (s *Server) backend() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range map[string]func(http.ResponseWriter, *http.Request) (any, error){
		"GET /v1/jwks":               s.backendJWKS,
		"GET /v1/instance":           s.backendInstance,
		"GET /v1/domains":            s.listDomains,
		"POST /v1/domains":           s.createDomain,
		"GET /v1/domains/{domain}":   s.getDomain,
		"PATCH /v1/domains/{domain}": s.updateDomain,
		"POST /v1/proxy_checks":      s.createProxyCheck,
		"GET /v1/users":              s.listUsers,
		"GET /v1/users/count":        s.countUsers,
		"GET /v1/users/{user}":       s.getUser,
		"GET /v1/sessions/{session}": s.backendSession,

		"GET /v1/clients/handshake_payload":                s.backendHandshake,
		"POST /v1/sessions/{session}/refresh":              s.refreshSession,
		"POST /v1/sessions/{session}/revoke":               s.backendRevoke,
		"GET /v1/organizations":                            s.listOrganizations,
		"GET /v1/organizations/{organization}":             s.backendOrganization,
		"GET /v1/organizations/{organization}/memberships": s.listOrganizationMembers,
		"GET /v1/users/{user}/organization_memberships":    s.listUserMemberships,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := handler(w, r)
			if err != nil {
				s.writeError(w, err, nil)
				return
			}
			s.writeJSON(w, http.StatusOK, answer)
		})
	}
	api := s.api(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Whoever has no key is not told which paths there are.
		if err := s.authorizeBackend(r); err != nil {
			w.Header().Set(headerTraceID, newTraceID())
			s.writeError(w, err, nil)
			return
		}
		api.ServeHTTP(w, r)
	})
}

func (s *Server) authorizeBackend(r *http.Request) error {
	header := r.Header.Get("Authorization")
	if header == "" {
		return errAuthenticationMissing
	}
	scheme, key, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return errAuthorizationFormat
	}
	if subtle.ConstantTimeCompare([]byte(key), []byte(s.SecretKey)) != 1 {
		return errSecretKeyInvalid
	}
	return nil
}

func (s *Server) backendJWKS(http.ResponseWriter, *http.Request) (any, error) {
	return s.keys.jwks(), nil
}

func (s *Server) backendInstance(http.ResponseWriter, *http.Request) (any, error) {
	return object{
		"object": "instance", "id": s.instanceID, "environment_type": "production",
		"allowed_origins": nil, "workspace_id": nil,
	}, nil
}

func (s *Server) listDomains(http.ResponseWriter, *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []object{}
	for _, d := range s.state.domains {
		list = append(list, domainJSON(d))
	}
	return object{"data": list, "total_count": len(list)}, nil
}

func (s *Server) getDomain(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.domainByID(r.PathValue("domain"))
	if d == nil {
		return nil, errNotFound
	}
	return domainJSON(d), nil
}

// updateDomain sets the domain's proxy URL once it has passed its check, or
// takes it away.
func (s *Server) updateDomain(_ http.ResponseWriter, r *http.Request) (any, error) {
	fields, err := readFields(r)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("domain")
	s.mu.Lock()
	d := s.domainByID(id)
	s.mu.Unlock()
	if d == nil {
		return nil, errNotFound
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		// The domain's name stays; SDKs say so with a null.
		if name != "proxy_url" && string(fields[name]) != "null" {
			return nil, errParameterUnknown.about(name)
		}
	}
	encoded, given := fields["proxy_url"]
	if given {
		var proxyURL *string
		if json.Unmarshal(encoded, &proxyURL) != nil {
			return nil, errParameterFormat.about("proxy_url")
		}
		if proxyURL != nil {
			// The lock is not held: the check comes back through the proxy.
			if err := s.checkProxy(r.Context(), id, *proxyURL); err != nil {
				return nil, err
			}
		}
		s.mu.Lock()
		d.proxyURLs = nil
		if proxyURL != nil {
			d.proxyURLs = []string{*proxyURL}
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return domainJSON(d), nil
}

// createProxyCheck checks a proxy URL and changes nothing.
func (s *Server) createProxyCheck(_ http.ResponseWriter, r *http.Request) (any, error) {
	fields, err := readFields(r)
	if err != nil {
		return nil, err
	}
	var domainID, proxyURL string
	for name, into := range map[string]*string{"domain_id": &domainID, "proxy_url": &proxyURL} {
		if json.Unmarshal(fields[name], into) != nil || *into == "" {
			return nil, errParameterMissing.about(name)
		}
	}
	s.mu.Lock()
	known := s.domainByID(domainID) != nil
	s.mu.Unlock()
	if !known {
		return nil, errParameterValue.about("domain_id")
	}
	if err := s.checkProxy(r.Context(), domainID, proxyURL); err != nil {
		return nil, err
	}
	now := s.config.Now().UnixMilli()
	return object{
		"object": "proxy_check", "id": newID("proxchk"), "domain_id": domainID, "proxy_url": proxyURL,
		"successful": true, "last_run_at": now, "created_at": now, "updated_at": now,
	}, nil
}

func domainJSON(d *domain) object {
	// The account portal and mail are the primary domain's.
	portal := ""
	if !d.satellite {
		portal = "https://accounts." + d.name
	}
	return object{
		"object":              "domain",
		"id":                  d.id,
		"name":                d.name,
		"is_satellite":        d.satellite,
		"is_primary":          !d.satellite,
		"frontend_api_url":    d.frontendAPI(),
		"accounts_portal_url": nullable(portal),
		"proxy_url":           nullable(d.proxyURL()),
		"development_origin":  "",
		"cname_targets":       d.records(),
	}
}

// records are the DNS records that the domain needs. A proxied one needs none
// but those for mail.
func (d *domain) records() []object {
	record := func(host, target string, required bool) object {
		return object{"host": host + "." + d.name, "value": target + ".clerk.services", "required": required}
	}
	proxied := len(d.proxyURLs) > 0
	records := []object{record("clerk", "frontend-api", !proxied)}
	if d.satellite {
		return records
	}
	return append(records,
		record("accounts", "accounts", !proxied),
		record("clkmail", "mail.emulator", true),
		record("clk._domainkey", "dkim1.emulator", true),
		record("clk2._domainkey", "dkim2.emulator", true))
}

// readFields reads a JSON object, leaving open what each field holds: null is
// not the same as absent.
func readFields(r *http.Request) (map[string]json.RawMessage, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, formError(err)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields == nil {
		return nil, errBodyInvalid
	}
	return fields, nil
}

// readJSON reads a JSON object that has the fields of into and no other.
func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return formError(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if decoder.Decode(into) != nil || decoder.More() {
		return errBodyInvalid
	}
	return nil
}

// The page that a list answers, unless limit and offset say otherwise.
const (
	defaultLimit = 10
	maxLimit     = 500
)

func (s *Server) listUsers(_ http.ResponseWriter, r *http.Request) (any, error) {
	limit, limitErr := number(r, "limit", defaultLimit, 1, maxLimit)
	offset, offsetErr := number(r, "offset", 0, 0, 1<<31)
	if err := errors.Join(limitErr, offsetErr); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.usersMatching(r)
	slices.Reverse(found) // the newest first
	found = found[min(offset, len(found)):]
	found = found[:min(limit, len(found))]
	list := []object{}
	for _, u := range found {
		list = append(list, s.backendUserJSON(u))
	}
	return list, nil
}

func (s *Server) countUsers(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return object{"object": "total_count", "total_count": len(s.usersMatching(r))}, nil
}

func (s *Server) getUser(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.userByID(r.PathValue("user"))
	if u == nil {
		return nil, errNotFound
	}
	return s.backendUserJSON(u), nil
}

// backendUserJSON adds what only the Backend API shows. It wants Server.mu held.
func (s *Server) backendUserJSON(u *user) object {
	shown := userJSON(u, s.state.domains[0].frontendAPI())
	shown["private_metadata"] = object{}
	shown["locale"] = nil
	return shown
}

// usersMatching filters by the email_address and user_id parameters, each of
// which may be repeated or hold a list.
func (s *Server) usersMatching(r *http.Request) []*user {
	emails, ids := listed(r, "email_address"), listed(r, "user_id")
	var found []*user
	for _, u := range s.state.users {
		if emails != nil && !slices.ContainsFunc(emails, func(e string) bool { return strings.EqualFold(e, u.email) }) {
			continue
		}
		if ids != nil && !slices.Contains(ids, u.id) {
			continue
		}
		found = append(found, u)
	}
	return found
}

func listed(r *http.Request, parameter string) []string {
	var values []string
	for _, value := range r.URL.Query()[parameter] {
		values = append(values, strings.Split(value, ",")...)
	}
	return values
}

func number(r *http.Request, parameter string, absent, least, most int) (int, error) {
	text := r.URL.Query().Get(parameter)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, errParameterValue.about(parameter)
	}
	return n, nil
}

func (s *Server) backendSession(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.sessionByID(r.PathValue("session"))
	if found == nil {
		return nil, errNotFound
	}
	return s.backendSessionJSON(found), nil
}

// backendRevoke ends a session.
func (s *Server) backendRevoke(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, now := s.sessionByID(r.PathValue("session")), s.config.Now()
	if found == nil {
		return nil, errNotFound
	}
	if found.active(now) {
		found.end("revoked", now)
	}
	return s.backendSessionJSON(found), nil
}

func (s *Server) backendSessionJSON(found *session) object {
	return object{
		"object":                      "session",
		"id":                          found.id,
		"user_id":                     found.user.id,
		"client_id":                   found.clientID,
		"actor":                       nil,
		"status":                      found.statusAt(s.config.Now()),
		"last_active_organization_id": nullable(found.activeOrganizationID()),
		"last_active_at":              found.lastActiveAt.UnixMilli(),
		"expire_at":                   found.createdAt.Add(sessionLifetime).UnixMilli(),
		"abandon_at":                  found.createdAt.Add(sessionKept).UnixMilli(),
		"tasks":                       nil,
		"created_at":                  found.createdAt.UnixMilli(),
		"updated_at":                  found.updatedAt.UnixMilli(),
	}
}

package emulator

import "time"

// How long a session lasts, and how long after that Clerk would keep it.
const (
	sessionLifetime = 7 * 24 * time.Hour
	sessionKept     = 30 * 24 * time.Hour
)

const statusActive = "active"

// session is one person signed in in one browser.
type session struct {
	id       string
	user     *user
	clientID string
	status   string
	address  string
	// organizationID is the active organization's, empty for the personal
	// account.
	organizationID string
	// refreshTokens are for the application's server, one for each address at
	// which the browser reaches the Frontend API: there it has cookies of its own.
	refreshTokens map[string]string

	verifiedAt   time.Time
	lastActiveAt time.Time
	createdAt    time.Time
	updatedAt    time.Time
}

// Session is what [Server.Sessions] tells of one session.
type Session struct {
	ID       string
	UserID   string
	ClientID string
	// Status is active, ended, removed, revoked or expired.
	Status string
	// Address is the person's IP address as the proxy forwarded it.
	Address string
	// OrganizationID is the active organization's, or empty.
	OrganizationID string
	LastActiveAt   time.Time
}

// Sessions are all sessions that there have been, the oldest first.
func (s *Server) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	var sessions []Session
	for _, one := range s.state.sessions {
		sessions = append(sessions, Session{
			ID: one.id, UserID: one.user.id, ClientID: one.clientID, Status: one.statusAt(now),
			Address: one.address, OrganizationID: one.activeOrganizationID(), LastActiveAt: one.lastActiveAt,
		})
	}
	return sessions
}

func (s *session) statusAt(now time.Time) string {
	if s.status == statusActive && !now.Before(s.createdAt.Add(sessionLifetime)) {
		return "expired"
	}
	return s.status
}

func (s *session) active(now time.Time) bool { return s.statusAt(now) == statusActive }

func (s *session) end(status string, now time.Time) {
	s.status, s.updatedAt = status, now
}

// signInAs begins a session of the user in the request's browser.
func (c *call) signInAs(u *user, strategy string) (*session, error) {
	if err := c.rotate(c.client); err != nil {
		return nil, err
	}
	began := &session{
		id: newID("sess"), user: u, clientID: c.client.id, status: statusActive,
		verifiedAt: c.now, lastActiveAt: c.now, createdAt: c.now, updatedAt: c.now,
	}
	if address, ok := forwardedFor(c.request); ok {
		began.address = address.String()
	}
	c.server.state.sessions = append(c.server.state.sessions, began)
	c.client.sessions = append(c.client.sessions, began)
	c.client.lastActiveID, c.client.lastStrategy = began.id, strategy
	c.client.signedInAt, c.client.updatedAt = c.now, c.now
	u.lastSignInAt, u.updatedAt = c.now, c.now
	return began, nil
}

func (s *Server) sessionByID(id string) *session {
	for _, one := range s.state.sessions {
		if one.id == id {
			return one
		}
	}
	return nil
}

// session is the one that the path names. It must be the browser's own.
func (c *call) session() (*session, error) {
	if c.client == nil {
		return nil, errSignedOut
	}
	found := c.server.sessionByID(c.request.PathValue("session"))
	if found == nil || found.clientID != c.client.id {
		return nil, errNotFound
	}
	return found, nil
}

// activeSession is the one that the path names, if it is still active.
func (c *call) activeSession() (*session, error) {
	found, err := c.session()
	if err == nil && !found.active(c.now) {
		err = errSignedOut
	}
	return found, err
}

// signedIn is the session that a request below /v1/me acts for: the one that
// ClerkJS names in the query, or the one last active.
func (c *call) signedIn() (*session, error) {
	if c.client == nil {
		return nil, errUnauthenticated
	}
	named := c.request.Form.Get("_clerk_session_id")
	if named == "" {
		named = c.client.lastActiveID
	}
	for _, s := range c.client.active(c.now) {
		if s.id == named {
			return s, nil
		}
	}
	return nil, errUnauthenticated
}

func (c *call) getSession() (any, error) {
	found, err := c.session()
	if err != nil {
		return nil, err
	}
	return c.sessionJSON(found)
}

// touchSession makes the session, and an organization in it, the one that the
// browser uses.
func (c *call) touchSession() (any, error) {
	found, err := c.activeSession()
	if err != nil {
		return nil, err
	}
	if c.form.Has("active_organization_id") {
		if err := found.activate(c.form.Get("active_organization_id")); err != nil {
			return nil, err
		}
	}
	found.lastActiveAt, found.updatedAt = c.now, c.now
	c.client.lastActiveID, c.client.updatedAt = found.id, c.now
	return c.sessionJSON(found)
}

func (c *call) endSession() (any, error)    { return c.finish("ended") }
func (c *call) removeSession() (any, error) { return c.finish("removed") }

func (c *call) finish(status string) (any, error) {
	found, err := c.activeSession()
	if err != nil {
		return nil, err
	}
	found.end(status, c.now)
	c.client.updatedAt = c.now
	return c.sessionJSON(found)
}

// createToken is how ClerkJS renews the session token. A page may ask for one
// for another organization than the active one.
func (c *call) createToken() (any, error) {
	found, err := c.activeSession()
	if err != nil {
		return nil, err
	}
	m := found.user.memberOf(found.organizationID)
	if c.form.Has("organization_id") {
		named := c.form.Get("organization_id")
		if m = found.user.memberOf(named); m == nil && named != "" {
			return nil, errOrganization
		}
	}
	found.lastActiveAt = c.now
	token, err := c.sessionTokenIn(found, m)
	return tokenJSON(token), err
}

func (c *call) createTemplateToken() (any, error) {
	found, err := c.activeSession()
	if err != nil {
		return nil, err
	}
	template, ok := c.server.config.JWTTemplates[c.request.PathValue("template")]
	if !ok {
		return nil, errNotFound
	}
	token, err := c.templateToken(found, template)
	return tokenJSON(token), err
}

func tokenJSON(token string) object { return object{"object": "token", "jwt": token} }

// listSessions are the person's sessions in every browser.
func (c *call) listSessions() (any, error) {
	current, err := c.signedIn()
	if err != nil {
		return nil, err
	}
	sessions := []object{}
	for _, s := range c.server.state.sessions {
		if s.user == current.user && s.active(c.now) {
			sessions = append(sessions, c.sessionBaseJSON(s))
		}
	}
	return sessions, nil
}

// listActiveSessions is the same with what is known of each browser.
func (c *call) listActiveSessions() (any, error) {
	listed, err := c.listSessions()
	if err != nil {
		return nil, err
	}
	for _, s := range listed.([]object) {
		s["latest_activity"] = object{
			"object": "session_activity", "id": newID("sess_activity"), "is_mobile": false,
			"ip_address": c.server.sessionByID(s["id"].(string)).address,
		}
	}
	return listed, nil
}

// revokeSession ends one of the person's sessions in another browser.
func (c *call) revokeSession() (any, error) {
	current, err := c.signedIn()
	if err != nil {
		return nil, err
	}
	found := c.server.sessionByID(c.request.PathValue("session"))
	if found == nil || found.user != current.user || !found.active(c.now) {
		return nil, errNotFound
	}
	found.end("revoked", c.now)
	return c.sessionBaseJSON(found), nil
}

// sessionBaseJSON is a session without its user and without a token: what may be
// told of a session in another browser.
func (c *call) sessionBaseJSON(s *session) object {
	return object{
		"object":                      "session",
		"id":                          s.id,
		"status":                      s.statusAt(c.now),
		"expire_at":                   s.createdAt.Add(sessionLifetime).UnixMilli(),
		"abandon_at":                  s.createdAt.Add(sessionKept).UnixMilli(),
		"last_active_at":              s.lastActiveAt.UnixMilli(),
		"last_active_organization_id": nullable(s.activeOrganizationID()),
		"last_active_token":           nil,
		"actor":                       nil,
		"tasks":                       nil,
		"factor_verification_age":     []int{int(c.now.Sub(s.verifiedAt) / time.Minute), -1},
		"user":                        nil,
		"public_user_data":            publicUserJSON(s.user, c.proxyURL),
		"created_at":                  s.createdAt.UnixMilli(),
		"updated_at":                  s.updatedAt.UnixMilli(),
	}
}

func (c *call) sessionJSON(s *session) (object, error) {
	shown := c.sessionBaseJSON(s)
	shown["user"] = userJSON(s.user, c.proxyURL)
	if s.active(c.now) {
		token, err := c.sessionToken(s)
		if err != nil {
			return nil, err
		}
		shown["last_active_token"] = tokenJSON(token)
	}
	return shown, nil
}

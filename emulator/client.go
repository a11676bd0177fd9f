package emulator

import (
	"crypto/subtle"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// clientLifetime is how long a browser stays known: the life of its cookies.
const clientLifetime = 365 * 24 * time.Hour

// client is one browser, known by its __client cookie.
type client struct {
	id string
	// rotating changes whenever someone signs in, so that a cookie planted
	// before does not become theirs.
	rotating string
	token    string // the cookie's value

	signIn       *signIn
	signUp       *signUp
	sessions     []*session // in the order in which they began
	lastActiveID string
	lastStrategy string

	createdAt time.Time
	updatedAt time.Time
	// signedInAt is the time of the last sign-in, for __client_uat.
	signedInAt time.Time
}

// ensureClient makes the request's browser a client when it is not one yet.
func (c *call) ensureClient() error {
	if c.client != nil {
		return nil
	}
	made := &client{id: newID("client"), createdAt: c.now, updatedAt: c.now}
	if err := c.rotate(made); err != nil {
		return err
	}
	c.client = made
	c.server.state.clients[made.id] = made
	return nil
}

type clientClaims struct {
	ID       string `json:"id"`
	Rotating string `json:"rotating_token"`
}

func (c *call) rotate(cl *client) error {
	cl.rotating = randomText(32)
	token, err := jwt.Signed(c.server.clientKey.client).Claims(clientClaims{cl.id, cl.rotating}).Serialize()
	cl.token = token
	return err
}

// clientOf finds the client that a __client cookie names, or nil.
func (s *Server) clientOf(token string) *client {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil
	}
	var claims clientClaims
	if parsed.Claims(s.clientKey.private.Public(), &claims) != nil {
		return nil
	}
	cl := s.state.clients[claims.ID]
	if cl == nil || subtle.ConstantTimeCompare([]byte(claims.Rotating), []byte(cl.rotating)) != 1 {
		return nil
	}
	return cl
}

// active are the client's sessions that have neither ended nor expired.
func (cl *client) active(now time.Time) []*session {
	var active []*session
	for _, s := range cl.sessions {
		if s.active(now) {
			active = append(active, s)
		}
	}
	return active
}

// uat is what __client_uat holds: when the browser's session began, or 0 while
// it is signed out.
func (cl *client) uat(now time.Time) int64 {
	if cl == nil || len(cl.active(now)) == 0 {
		return 0
	}
	return cl.signedInAt.Unix()
}

// clientJSON is the client that goes with almost every answer, so that ClerkJS
// need not ask for it again. It is nil, null in JSON, without a client.
func (c *call) clientJSON() (any, error) {
	cl := c.client
	if cl == nil {
		return nil, nil
	}
	sessions := []object{}
	lastActive := any(nil)
	for _, s := range cl.active(c.now) {
		shown, err := c.sessionJSON(s)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, shown)
		if s.id == cl.lastActiveID || lastActive == nil {
			lastActive = s.id
		}
	}
	return object{
		"object":                       "client",
		"id":                           cl.id,
		"sessions":                     sessions,
		"sign_in":                      c.signInJSON(cl.signIn),
		"sign_up":                      c.signUpJSON(cl.signUp),
		"last_active_session_id":       lastActive,
		"last_authentication_strategy": nullable(cl.lastStrategy),
		"cookie_expires_at":            cl.createdAt.Add(clientLifetime).UnixMilli(),
		"captcha_bypass":               false,
		"created_at":                   cl.createdAt.UnixMilli(),
		"updated_at":                   cl.updatedAt.UnixMilli(),
	}, nil
}

// getClient answers the browser's client, or null. It tells a visitor by cookie
// that they are signed out, as Clerk does.
func (c *call) getClient() (any, error) {
	c.asked = true
	return c.clientJSON()
}

// putClient makes the browser a client.
func (c *call) putClient() (any, error) {
	if err := c.ensureClient(); err != nil {
		return nil, err
	}
	return c.clientJSON()
}

// deleteClient signs out of everything and forgets the browser.
func (c *call) deleteClient() (any, error) {
	if c.client == nil {
		return nil, errSignedOut
	}
	for _, s := range c.client.active(c.now) {
		s.end("removed", c.now)
	}
	delete(c.server.state.clients, c.client.id)
	c.client = nil
	return nil, nil
}

// deleteSessions signs out of everything but goes on knowing the browser. It is
// what ClerkJS does on sign-out.
func (c *call) deleteSessions() (any, error) {
	if c.client == nil {
		return nil, errSignedOut
	}
	for _, s := range c.client.active(c.now) {
		s.end("removed", c.now)
	}
	c.client.updatedAt = c.now
	return c.clientJSON()
}

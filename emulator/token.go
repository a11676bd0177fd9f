package emulator

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// tokenLifetime is how long a session token is valid.
const tokenLifetime = time.Minute

// sessionToken is a version 2 session token, for the organization that is active
// in the session.
func (c *call) sessionToken(s *session) (string, error) {
	return c.sessionTokenIn(s, s.user.memberOf(s.organizationID))
}

// sessionTokenIn is one for an organization that need not be the active one, or
// for none when m is nil.
// https://clerk.com/docs/guides/sessions/session-tokens
func (c *call) sessionTokenIn(s *session, m *membership) (string, error) {
	claims := c.timeClaims()
	maps.Copy(claims, object{
		"azp": c.origin(),
		"fva": []int{int(c.now.Sub(s.verifiedAt) / time.Minute), -1},
		"iss": c.proxyURL,
		"sid": s.id,
		"sts": s.status,
		"sub": s.user.id,
		"v":   2,
	})
	maps.Copy(claims, m.claims())
	return jwt.Signed(c.server.keys.current().session).Claims(claims).Serialize()
}

// templateToken is a token from a JWT template. It has no session id.
func (c *call) templateToken(s *session, template map[string]any) (string, error) {
	claims := maps.Clone(template)
	if claims == nil {
		claims = object{}
	}
	maps.Copy(claims, c.timeClaims())
	maps.Copy(claims, object{"azp": c.origin(), "iss": c.proxyURL, "sub": s.user.id})
	return jwt.Signed(c.server.keys.current().template).Claims(claims).Serialize()
}

func (c *call) timeClaims() object {
	id := make([]byte, 10)
	rand.Read(id)
	return object{
		"jti": hex.EncodeToString(id),
		"iat": c.now.Unix(),
		"exp": c.now.Add(tokenLifetime).Unix(),
		// Clerk leaves room for servers whose clock is behind.
		"nbf": c.now.Add(-10 * time.Second).Unix(),
	}
}

// issuedToken is what is read of a session token that comes back.
type issuedToken struct {
	SessionID string `json:"sid"`
	Issuer    string `json:"iss"`
}

// readSessionToken reads a session token of this instance, expired or not. It is
// not ok when a key that is no longer there has signed it, or for another class
// of token: a template's claims are the application's to choose.
func (s *Server) readSessionToken(token string) (read issuedToken, ok bool) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(parsed.Headers) != 1 || parsed.Headers[0].ExtraHeaders["cat"] != classSession {
		return issuedToken{}, false
	}
	keys := s.keys.jwks()
	for _, key := range keys.Key(parsed.Headers[0].KeyID) {
		if parsed.Claims(key, &read) == nil {
			return read, read.SessionID != ""
		}
	}
	return issuedToken{}, false
}

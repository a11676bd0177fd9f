package auth

import (
	"encoding/json"
	"math/big"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
)

// A Session is a person's session, as its token describes it. Requests with the
// same token share it: read it, do not change it.
type Session struct {
	// ID is the session's, sess_…
	ID string

	// UserID is the person's, user_…
	UserID string

	// Status is "active", "pending", or empty for a token that does not say. In
	// a pending session a task is left, such as the choice of an organization:
	// [FromContext] and [Authenticator.Require] treat it as signed out.
	Status string

	// OrgID, OrgSlug and OrgRole (org:admin) are of the organization that is
	// active in the session; empty when none is.
	OrgID, OrgSlug, OrgRole string

	// OrgPermissions are the custom permissions in it, org:feature:permission.
	// [Session.Has] reads them.
	OrgPermissions []string

	// IssuedAt and ExpiresAt are the token's times, not the session's. A token
	// lives for a minute and is replaced.
	IssuedAt, ExpiresAt time.Time

	// Claims are the same claims as Clerk's Go SDK has them, with
	// Config.CustomClaims in Custom.
	Claims *clerk.SessionClaims

	payload         []byte
	factorAge       []any // of two numbers, or not to be believed
	features, plans []scoped
}

// Decode stores the token's claims in v, in the way of [json.Unmarshal]: the
// custom claims of a session token that was customized in the Clerk Dashboard.
func (s *Session) Decode(v any) error { return json.Unmarshal(s.payload, v) }

// String names the session and its person, for logs.
func (s *Session) String() string { return s.ID + " of " + s.UserID }

// pending reports whether a task stands between the person and the application.
func (s *Session) pending() bool { return s.Status == "pending" }

// newSession reads the session from a verified token, of version 1 or 2. See
// https://clerk.com/docs/guides/sessions/session-tokens
func (a *Authenticator) newSession(v *verified) *Session {
	t := v.token
	s := &Session{
		ID:        t.text("sid"),
		UserID:    t.text("sub"),
		Status:    t.text("sts"),
		IssuedAt:  v.iat,
		ExpiresAt: v.exp,
		payload:   t.payload,
		features:  parseScoped(t.text("fea")),
		plans:     parseScoped(t.text("pla")),
	}
	s.factorAge, _ = t.claims["fva"].([]any)
	version := 1
	if t.number("v") == 2 {
		version = 2
		s.readOrganization(t)
	} else {
		s.OrgID, s.OrgSlug, s.OrgRole = t.text("org_id"), t.text("org_slug"), t.text("org_role")
		s.OrgPermissions = texts(t.claims["org_permissions"])
	}
	s.Claims = a.sdkClaims(t, s, version)
	return s
}

// readOrganization reads the claim o of a version 2 token.
func (s *Session) readOrganization(t *token) {
	o, ok := t.claims["o"].(map[string]any)
	if !ok {
		return
	}
	text := func(name string) string { v, _ := o[name].(string); return v }
	s.OrgID, s.OrgSlug = text("id"), text("slg")
	if role := text("rol"); role != "" {
		s.OrgRole = "org:" + role
	}
	s.OrgPermissions = permissions(s.features, text("per"), text("fpm"))
}

// permissions spells out a compact list. per names permissions. fpm has a number
// for each of the organization's features, in their order, and the number's
// bits say which of the permissions the person has on that feature.
func permissions(features []scoped, per, fpm string) []string {
	if per == "" || fpm == "" {
		return nil
	}
	names := strings.Split(per, ",")
	maps := strings.Split(fpm, ",")
	var all []string
	for _, feature := range features {
		if !feature.org {
			continue
		}
		if len(maps) == 0 {
			break
		}
		bits, ok := decimal(strings.TrimSpace(maps[0]))
		maps = maps[1:]
		if !ok {
			continue
		}
		for i, name := range names {
			if bits.Bit(i) == 1 {
				all = append(all, "org:"+feature.id+":"+strings.TrimSpace(name))
			}
		}
	}
	return all
}

// decimal reads a number of any size, without sign or separators.
func decimal(s string) (*big.Int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return nil, false
	}
	return new(big.Int).SetString(s, 10)
}

// scoped is a feature or a plan that the person, the organization or both have.
type scoped struct {
	id        string
	org, user bool
}

// parseScoped reads a list such as "o:reports,u:export,uo:chat". What is not of
// that form grants nothing.
func parseScoped(claim string) []scoped {
	if claim == "" {
		return nil
	}
	var list []scoped
	for part := range strings.SplitSeq(claim, ",") {
		scope, id, ok := strings.Cut(strings.TrimSpace(part), ":")
		switch {
		case !ok:
		case scope == "o":
			list = append(list, scoped{id: id, org: true})
		case scope == "u":
			list = append(list, scoped{id: id, user: true})
		case scope == "ou", scope == "uo":
			list = append(list, scoped{id: id, org: true, user: true})
		}
	}
	return list
}

// sdkClaims is the session in the type of Clerk's Go SDK.
func (a *Authenticator) sdkClaims(t *token, s *Session, version int) *clerk.SessionClaims {
	c := &clerk.SessionClaims{}
	// This also sets what only the SDK can see. It stops at the first claim of
	// an unexpected type and compares names without regard to case, so what
	// matters is set again from what was verified.
	_ = json.Unmarshal(t.payload, c)
	c.Issuer, c.Subject, c.SessionID, c.AuthorizedParty = t.text("iss"), s.UserID, s.ID, t.text("azp")
	c.Version = version
	c.ActiveOrganizationID, c.ActiveOrganizationSlug, c.ActiveOrganizationRole = s.OrgID, s.OrgSlug, s.OrgRole
	c.ActiveOrganizationPermissions = s.OrgPermissions
	c.FactorVerificationAge = [2]int64{-1, -1}
	if first, second, ok := s.factorAges(); ok {
		c.FactorVerificationAge = [2]int64{int64(first), int64(second)}
	}
	if a.customClaims != nil {
		c.Custom = a.customClaims()
		if err := json.Unmarshal(t.payload, c.Custom); err != nil {
			a.log.Warn("a session token's custom claims do not fit the type that Config.CustomClaims makes", "error", err)
		}
	}
	return c
}

// texts are the strings in a list.
func texts(v any) []string {
	list, _ := v.([]any)
	var all []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
)

func sessionOf(t *testing.T, change claims) *Session {
	t.Helper()
	a := newAuthenticator(t, newFakeClerk(t), nil)
	state, err := a.Authenticate(bearer(sessionToken(change)))
	if err != nil || state.Session == nil {
		t.Fatalf("%+v, %v", state, err)
	}
	return state.Session
}

func TestPermissions(t *testing.T) {
	var hundred []string
	for i := range 101 {
		hundred = append(hundred, fmt.Sprint("p", i))
	}
	for name, tt := range map[string]struct {
		fea, per, fpm string
		want          []string
	}{
		"bits from the right":             {"o:a,o:b", "read,write", "1,2", []string{"org:a:read", "org:b:write"}},
		"the person's features count not": {"u:x,o:a,uo:b", "read,write", "1,3", []string{"org:a:read", "org:b:read", "org:b:write"}},
		"spaces":                          {"o:a, o:b", " read, write", "1 , 2", []string{"org:a:read", "org:b:write"}},
		"more bits than permissions":      {"o:a", "read", "255", []string{"org:a:read"}},
		"more than 64 bits":               {"o:a", strings.Join(hundred, ","), "1267650600228229401496703205377", []string{"org:a:p0", "org:a:p100"}},
		"fewer maps than features":        {"o:a,o:b", "read", "1", []string{"org:a:read"}},
		"a map that is no number":         {"o:a,o:b,o:c", "read", "x,-1,1", []string{"org:c:read"}},
		"no permissions":                  {"o:a", "", "1", nil},
		"no maps":                         {"o:a", "read", "", nil},
		"no features":                     {"", "read", "1", nil},
		"features of no form":             {"a,o,x:b,:c", "read", "1,1,1", nil},
	} {
		if got := permissions(parseScoped(tt.fea), tt.per, tt.fpm); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestSessionVersions(t *testing.T) {
	one := sessionOf(t, claims{"v": nil, "org_id": "org_1", "org_slug": "acme", "org_role": "org:admin", "org_permissions": []string{"org:a:read"}})
	two := sessionOf(t, claims{"v": 2, "fea": "o:a", "o": claims{"id": "org_1", "slg": "acme", "rol": "admin", "per": "read", "fpm": "1"}})
	for _, s := range []*Session{one, two} {
		if s.OrgID != "org_1" || s.OrgSlug != "acme" || s.OrgRole != "org:admin" || !slices.Equal(s.OrgPermissions, []string{"org:a:read"}) {
			t.Errorf("%+v", s)
		}
		if c := s.Claims; c.ActiveOrganizationID != "org_1" || c.ActiveOrganizationRole != "org:admin" || !c.HasPermission("org:a:read") {
			t.Errorf("Clerk's SDK sees %+v", c.Claims)
		}
	}
	if one.Claims.Version != 1 || two.Claims.Version != 2 {
		t.Errorf("versions %d, %d", one.Claims.Version, two.Claims.Version)
	}
	if s := sessionOf(t, claims{"v": 2, "org_id": "org_1"}); s.OrgID != "" || s.Claims.ActiveOrganizationID != "" {
		t.Errorf("a version 1 claim counts in version 2: %+v", s)
	}
}

func TestSessionString(t *testing.T) {
	s := sessionOf(t, nil)
	for _, format := range []string{"%v", "%s", "%+v"} {
		if got := fmt.Sprintf(format, s); got != "sess_1 of user_1" {
			t.Errorf("%s: %s", format, got)
		}
	}
}

func TestHas(t *testing.T) {
	member := claims{"v": 2, "fea": "u:chat,o:reports,uo:both", "pla": "u:gold,o:team",
		"o": claims{"id": "org_1", "rol": "admin", "per": "read,write", "fpm": "1,3"}, "fva": []int{5, 20}}
	with := func(change claims) claims {
		c := claims{}
		for _, from := range []claims{member, change} {
			for name, value := range from {
				c[name] = value
			}
		}
		return c
	}
	tests := []struct {
		name    string
		session claims
		require Requirement
		want    bool
	}{
		{"nothing asked", member, Requirement{}, false},
		{"role", member, Requirement{Role: "org:admin"}, true},
		{"role for short", member, Requirement{Role: "admin"}, true},
		{"another role", member, Requirement{Role: "member"}, false},
		{"role without an organization", with(claims{"o": nil}), Requirement{Role: "admin"}, false},
		{"permission", member, Requirement{Permission: "org:reports:read"}, true},
		{"permission for short", member, Requirement{Permission: "both:write"}, true},
		{"another permission", member, Requirement{Permission: "org:reports:write"}, false},
		{"feature of the person's", member, Requirement{Feature: "user:chat"}, true},
		{"feature of the organization's", member, Requirement{Feature: "org:reports"}, true},
		{"feature of either", member, Requirement{Feature: "chat"}, true},
		{"feature of the wrong one", member, Requirement{Feature: "org:chat"}, false},
		{"feature of nobody", member, Requirement{Feature: "x:chat"}, false},
		{"plan", member, Requirement{Plan: "gold"}, true},
		{"plan of the wrong one", member, Requirement{Plan: "user:team"}, false},
		{"all of it", member, Requirement{Role: "admin", Permission: "reports:read", Feature: "chat", Plan: "team", Reverification: clerk.SessionReverificationModerate}, true},
		{"all but one", member, Requirement{Role: "admin", Permission: "reports:read", Feature: "none"}, false},
		{"pending", with(claims{"sts": "pending"}), Requirement{Role: "admin"}, false},
		{"second factor fresh", member, Requirement{Reverification: clerk.SessionReverificationModerate}, true},
		{"second factor stale", member, Requirement{Reverification: clerk.SessionReverificationStrict}, false},
		{"no second factor: the first", with(claims{"fva": []int{5, -1}}), Requirement{Reverification: clerk.SessionReverificationStrictMFA}, true},
		{"no first factor: not both", with(claims{"fva": []int{-1, 5}}), Requirement{Reverification: clerk.SessionReverificationStrictMFA}, false},
		{"no factors", with(claims{"fva": []int{-1, -1}}), Requirement{Reverification: clerk.SessionReverificationLax}, false},
		{"exactly the limit", with(claims{"fva": []int{10, 10}}), Requirement{Reverification: clerk.SessionReverificationStrict}, false},
		{"no ages", with(claims{"fva": nil}), Requirement{Reverification: clerk.SessionReverificationLax}, false},
		{"ages of nonsense", with(claims{"fva": []any{"1", 1}}), Requirement{Reverification: clerk.SessionReverificationLax}, false},
		{"unknown level", member, Requirement{Reverification: clerk.SessionReverificationPolicy{Level: "x", AfterMinutes: 100}}, false},
		{"no limit", member, Requirement{Reverification: clerk.SessionReverificationPolicy{Level: "first_factor"}}, false},
	}
	for _, tt := range tests {
		if got := sessionOf(t, tt.session).Has(tt.require); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if (*Session)(nil).Has(Requirement{Role: "admin"}) {
		t.Error("nobody has a role")
	}
}

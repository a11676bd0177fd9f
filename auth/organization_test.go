package auth

import "testing"

func TestOrganizationTargets(t *testing.T) {
	a := newAuthenticator(t, newFakeClerk(t), func(c *Config) {
		c.OrganizationSync = OrganizationSync{
			OrganizationPatterns:    []string{"/orgs/:slug", "/by-id/:id"},
			PersonalAccountPatterns: []string{"/me", "/me/(.*)"},
		}
	})
	none, acme := &Session{}, &Session{OrgID: "org_1", OrgSlug: "acme"}
	for path, want := range map[string]struct {
		param         string
		none, current bool // whether it differs from the session
	}{
		"/orgs/acme": {"acme", true, false}, "/orgs/other": {"other", true, true}, "/by-id/org_1": {"org_1", true, false}, "/me/x": {"", false, true},
	} {
		target, ok := a.organizations.target(path)
		if !ok || target.param() != want.param || target.differs(none) != want.none || target.differs(acme) != want.current {
			t.Errorf("%s: %+v, %v", path, target, ok)
		}
	}
	if target, ok := a.organizations.target("/other"); ok {
		t.Errorf("%+v", target)
	}
}

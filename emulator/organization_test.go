package emulator

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func withOrganizations(t *testing.T) (*Server, *browser, string) {
	t.Helper()
	s := start(t, Config{
		ProxyURLs: []string{testProxyURL},
		Users:     []User{ada, {Email: "b@example.com"}},
		Roles: map[string][]string{
			"org:editor": {"org:reports:read", "org:invoices:create", "org:invoices:read", "org:sys_memberships:read"},
			roleMember:   {"org:invoices:read"},
		},
		Organizations: []Organization{
			{ID: "org_1", Name: "Acme, Inc.", Members: map[string]string{ada.Email: "org:editor", "b@example.com": roleMember}},
			{Name: "Beta", Slug: "beta-2", Members: map[string]string{ada.Email: roleAdmin}},
			{Name: "Closed"},
		},
	})
	b := newBrowser(t, s)
	return s, b, b.signIn(ada)
}

func TestOrganizationsInTheSessionToken(t *testing.T) {
	s, b, id := withOrganizations(t)
	beta := backendCall(t, s, http.MethodGet, "/v1/organizations/beta-2", "").at("id").(string)
	for _, tt := range []struct {
		activate string
		o, fea   any
	}{
		{"", nil, nil},
		{"org_1", map[string]any{"id": "org_1", "slg": "acme-inc", "rol": "editor", "per": "create,read", "fpm": "3,2"}, "o:invoices,o:reports"},
		{beta, map[string]any{"id": beta, "slg": "beta-2", "rol": "admin"}, nil},
		{"", nil, nil},
	} {
		a := b.post("/v1/client/sessions/"+id+"/touch", url.Values{"active_organization_id": {tt.activate}})
		if a.status != http.StatusOK || a.at("response.last_active_organization_id") != nullable(tt.activate) {
			t.Errorf("touching: %d %s", a.status, a.body)
		}
		for name, token := range map[string]any{
			"touch":     a.at("response.last_active_token.jwt"),
			"tokens":    b.post("/v1/client/sessions/"+id+"/tokens", nil).at("jwt"),
			"handshake": payload(t, s, b.shake(testPage, nil))["__session"].Value,
		} {
			if got := sessionClaims(t, token.(string)); !reflect.DeepEqual(got["o"], tt.o) || got["fea"] != tt.fea {
				t.Errorf("%s %q: o is %v, fea %v", name, tt.activate, got["o"], got["fea"])
			}
		}
		if got := s.Sessions()[0].OrganizationID; got != tt.activate {
			t.Errorf("the session has %q", got)
		}
	}
}

func TestATokenForAnotherOrganization(t *testing.T) {
	s, b, id := withOrganizations(t)
	b.post("/v1/client/sessions/"+id+"/touch", url.Values{"active_organization_id": {"org_1"}})
	tokens := func(organization string) answer {
		return b.post("/v1/client/sessions/"+id+"/tokens", url.Values{"organization_id": {organization}})
	}
	if got := sessionClaims(t, tokens("beta-2").at("jwt").(string)); got["o"].(map[string]any)["slg"] != "beta-2" {
		t.Errorf("claims %v", got)
	}
	if got := sessionClaims(t, tokens("").at("jwt").(string)); got["o"] != nil {
		t.Errorf("claims %v", got)
	}
	if a := tokens("closed"); a.status != http.StatusNotFound || a.code() != "organization_not_found_or_unauthorized" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if got := s.Sessions()[0].OrganizationID; got != "org_1" {
		t.Errorf("the active organization became %q", got)
	}
}

func TestAHandshakeActivatesAnOrganization(t *testing.T) {
	s, b, _ := withOrganizations(t)
	for _, tt := range []struct{ parameter, want string }{
		{"acme-inc", "org_1"},
		{"closed", "org_1"}, // she is no member: it stays
		{"org_none", "org_1"},
		{"", ""},
		{"org_1", "org_1"},
	} {
		token := payload(t, s, b.shake(testPage, url.Values{"organization_id": {tt.parameter}}))["__session"].Value
		o, _ := sessionClaims(t, token)["o"].(map[string]any)
		if got, _ := o["id"].(string); got != tt.want || s.Sessions()[0].OrganizationID != tt.want {
			t.Errorf("%q: it is for %q, the session for %q, want %q", tt.parameter, got, s.Sessions()[0].OrganizationID, tt.want)
		}
	}
}

func TestOnlyMembersHaveAnOrganization(t *testing.T) {
	s, b, id := withOrganizations(t)
	touch := func(organization string) answer {
		return b.post("/v1/client/sessions/"+id+"/touch", url.Values{"active_organization_id": {organization}})
	}
	if a := touch("closed"); a.status != http.StatusNotFound || a.code() != "organization_not_found_or_unauthorized" {
		t.Errorf("someone else's: %d %s", a.status, a.body)
	}
	if a := b.get("/v1/organizations/closed"); a.code() != "organization_not_found_or_unauthorized" {
		t.Errorf("someone else's: %d %s", a.status, a.body)
	}
	if a := b.get("/v1/organizations/org_1"); a.at("response.slug") != "acme-inc" || a.at("response.members_count") != 2.0 {
		t.Errorf("one's own: %d %s", a.status, a.body)
	}

	touch("org_1")
	if err := s.SetMember("acme-inc", ada.Email, roleMember); err != nil {
		t.Fatal(err)
	}
	token := func() map[string]any {
		return sessionClaims(t, b.post("/v1/client/sessions/"+id+"/tokens", nil).at("jwt").(string))
	}
	if got := token(); got["o"].(map[string]any)["rol"] != "member" || got["fea"] != "o:invoices" {
		t.Errorf("with another role: claims %v", got)
	}
	if err := s.SetMember("org_1", s.Users()[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	if got := token(); got["o"] != nil || s.Sessions()[0].OrganizationID != "" {
		t.Errorf("having left: claims %v", got)
	}
	if a := b.get("/v1/client"); a.at("response.sessions.0.last_active_organization_id") != nil {
		t.Errorf("having left: %s", a.body)
	}
	if a := b.get("/v1/me/organization_memberships"); a.at("response.total_count") != 1.0 || a.at("response.data.0.organization.slug") != "beta-2" {
		t.Errorf("memberships: %s", a.body)
	}
}

func TestBothAPIsTellOfOrganizations(t *testing.T) {
	s, b, id := withOrganizations(t)
	b.post("/v1/client/sessions/"+id+"/touch", url.Values{"active_organization_id": {"org_1"}})
	if a := b.get("/v1/environment"); a.at("organization_settings.enabled") != true {
		t.Errorf("the environment: %v", a.at("organization_settings"))
	}
	a := b.get("/v1/client")
	for path, want := range map[string]any{
		"response.sessions.0.last_active_organization_id":                         "org_1",
		"response.sessions.0.user.organization_memberships.0.organization.slug":   "acme-inc",
		"response.sessions.0.user.organization_memberships.0.role":                "org:editor",
		"response.sessions.0.user.organization_memberships.0.role_name":           "Editor",
		"response.sessions.0.user.organization_memberships.0.permissions.0":       "org:invoices:create",
		"response.sessions.0.user.organization_memberships.0.organization.object": "organization",
	} {
		if got := a.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	for path, want := range map[string][2]any{
		"/v1/organizations":                                          {"data.0.name", "Closed"},
		"/v1/organizations?limit=1&offset=2":                         {"data.0.name", "Acme, Inc."},
		"/v1/organizations/acme-inc":                                 {"id", "org_1"},
		"/v1/organizations/org_1/memberships":                        {"total_count", 2.0},
		"/v1/users/" + s.Users()[1].ID + "/organization_memberships": {"data.0.role", roleMember},
		"/v1/sessions/" + id:                                         {"last_active_organization_id", "org_1"},
		"/v1/organizations/none":                                     {"errors.0.code", "resource_not_found"},
		"/v1/organizations/none/memberships":                         {"errors.0.code", "resource_not_found"},
		"/v1/users/none/organization_memberships":                    {"errors.0.code", "resource_not_found"},
		"/v1/organizations?limit=0":                                  {"errors.0.code", "form_param_value_invalid"},
	} {
		if a := backendCall(t, s, http.MethodGet, path, ""); a.at(want[0].(string)) != want[1] {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := b.get("/avatars/org_1.svg"); a.status != http.StatusOK || !strings.Contains(string(a.body), ">A</text>") {
		t.Errorf("the logo: %d %s", a.status, a.body)
	}
}

func TestOrganizationsThatCannotBe(t *testing.T) {
	s, _, _ := withOrganizations(t)
	for _, tt := range []struct {
		organization Organization
		says         string
	}{
		{Organization{}, "Name"},
		{Organization{Name: "X", ID: "x"}, "org_"},
		{Organization{Name: "X", ID: "org_1"}, "taken"},
		{Organization{Name: "acme inc"}, "taken"},
		{Organization{Name: "X", Slug: "a/b"}, "Slug"},
		{Organization{Name: "X", Members: map[string]string{"nobody": roleMember}}, "not a user"},
		{Organization{Name: "X", Members: map[string]string{ada.Email: "org:owner"}}, "Config.Roles"},
	} {
		if _, err := s.AddOrganization(tt.organization); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v", tt.organization, err)
		}
	}
	for _, err := range []error{s.SetMember("none", ada.Email, roleMember), s.SetMember("org_1", "nobody", ""), s.SetMember("org_1", ada.Email, "x")} {
		if err == nil {
			t.Error("it was accepted")
		}
	}
	for role, permission := range map[string]string{"editor": "org:a:b", "org:": "org:a:b", "org:x": "a:b", "org:y": "org::b", "org:z": "org:a:b,c"} {
		if _, err := Start(Config{Roles: map[string][]string{role: {permission}}}); err == nil || !strings.Contains(err.Error(), "Config.Roles") {
			t.Errorf("%s %s: %v", role, permission, err)
		}
	}
}

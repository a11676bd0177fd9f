package auth

// OrganizationSync makes the organization in a page's URL the active one: a
// signed-in person who opens /orgs/acme while another organization is active,
// or none, is sent through a handshake that activates it.
//
// The patterns are those of Clerk's other SDKs (path-to-regexp 6): /orgs/:slug,
// /orgs/:slug/(.*), /orgs/:id. They match the whole path, in any case, with or
// without a slash at the end. Regular expressions in them are Go's.
type OrganizationSync struct {
	// OrganizationPatterns match pages of an organization, and name it with the
	// parameter :slug or :id.
	OrganizationPatterns []string

	// PersonalAccountPatterns match pages that are the person's own; no
	// organization is active there.
	PersonalAccountPatterns []string
}

// organizationTarget is what a URL asks to be active.
type organizationTarget struct {
	id, slug string
	personal bool
}

// param is the value of organization_id in a handshake: empty activates the
// personal account.
func (t organizationTarget) param() string {
	if t.slug != "" {
		return t.slug
	}
	return t.id
}

// differs reports whether something else is active in the session.
func (t organizationTarget) differs(s *Session) bool {
	if t.personal {
		return s.OrgID != ""
	}
	return t.slug != "" && t.slug != s.OrgSlug || t.id != "" && t.id != s.OrgID
}

// organizationMatcher is an OrganizationSync that has been compiled.
type organizationMatcher struct {
	organization, personal []pathPattern
}

func (m *organizationMatcher) empty() bool {
	return len(m.organization) == 0 && len(m.personal) == 0
}

// target finds what an escaped path asks for.
func (m *organizationMatcher) target(path string) (organizationTarget, bool) {
	for _, p := range m.organization {
		params, ok := p.match(path)
		if !ok {
			continue
		}
		if params["id"] != "" {
			return organizationTarget{id: params["id"]}, true
		}
		if params["slug"] != "" {
			return organizationTarget{slug: params["slug"]}, true
		}
		break
	}
	for _, p := range m.personal {
		if _, ok := p.match(path); ok {
			return organizationTarget{personal: true}, true
		}
	}
	return organizationTarget{}, false
}

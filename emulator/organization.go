package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The roles that every instance has.
const (
	roleAdmin  = "org:admin"
	roleMember = "org:member"
)

// Organization is a group of people, each with a role in it.
type Organization struct {
	// ID begins with org_; [Server.AddOrganization] makes one up when it is
	// empty.
	ID   string
	Name string
	// Slug is the organization's name in URLs. Empty means the Name in lower
	// case, with a hyphen for whatever is neither a letter nor a digit.
	Slug string
	// Members are the roles of its members by their user ID or e-mail address.
	Members map[string]string
}

// AddOrganization adds an organization, and answers it with its ID and Slug.
// Neither may be taken; its members must be users, and their roles org:admin,
// org:member, or one of [Config.Roles].
func (s *Server) AddOrganization(o Organization) (Organization, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.ID = cmp.Or(o.ID, newID("org"))
	o.Slug = cmp.Or(o.Slug, slug(o.Name))
	var problems []error
	if o.Name == "" {
		problems = append(problems, errors.New("the Name is missing"))
	}
	if o.Slug != "" && !slugPattern.MatchString(o.Slug) {
		problems = append(problems, fmt.Errorf("the Slug %q is not made of letters, digits and hyphens", o.Slug))
	}
	if !organizationID.MatchString(o.ID) {
		problems = append(problems, fmt.Errorf("the ID %q does not begin with org_", o.ID))
	}
	if s.organization(o.ID) != nil || s.organization(o.Slug) != nil {
		problems = append(problems, errors.New("the ID or the Slug is taken"))
	}
	for _, member := range slices.Sorted(maps.Keys(o.Members)) {
		problems = append(problems, s.checkMember(member, o.Members[member]))
	}
	if err := errors.Join(problems...); err != nil {
		return Organization{}, fmt.Errorf("emulator: adding the organization %q: %w", o.Name, err)
	}

	now := s.config.Now()
	added := &organization{id: o.ID, name: o.Name, slug: o.Slug, createdAt: now}
	s.state.organizations = append(s.state.organizations, added)
	for _, member := range slices.Sorted(maps.Keys(o.Members)) {
		s.setMember(added, s.userNamed(member), o.Members[member])
	}
	o.Members = maps.Clone(o.Members)
	return o, nil
}

// SetMember gives a user, by ID or e-mail address, a role in an organization, by
// ID or slug. The empty role ends the membership.
func (s *Server) SetMember(organization, user, role string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.organization(organization)
	if o == nil {
		return fmt.Errorf("emulator: there is no organization %q", organization)
	}
	if err := s.checkMember(user, cmp.Or(role, roleMember)); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	s.setMember(o, s.userNamed(user), role)
	return nil
}

type organization struct {
	id, name, slug string
	createdAt      time.Time
	members        []*membership
}

// membership is one user's place in one organization.
type membership struct {
	id           string
	organization *organization
	user         *user
	role         string
	permissions  []string // sorted
	createdAt    time.Time
	updatedAt    time.Time
}

var (
	organizationID = regexp.MustCompile(`^org_[A-Za-z0-9]+$`)
	slugPattern    = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	notSlug        = regexp.MustCompile(`[^a-z0-9]+`)
)

func slug(name string) string {
	return strings.Trim(notSlug.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

// organization finds one by its ID or slug, or nil.
func (s *Server) organization(idOrSlug string) *organization {
	for _, o := range s.state.organizations {
		if o.is(idOrSlug) {
			return o
		}
	}
	return nil
}

func (o *organization) is(idOrSlug string) bool {
	return idOrSlug != "" && (o.id == idOrSlug || o.slug == idOrSlug)
}

func (s *Server) userNamed(idOrEmail string) *user {
	return cmp.Or(s.userByID(idOrEmail), s.userByEmail(idOrEmail))
}

func (s *Server) checkMember(idOrEmail, role string) error {
	if s.userNamed(idOrEmail) == nil {
		return fmt.Errorf("the member %q is not a user", idOrEmail)
	}
	if _, ok := s.config.Roles[role]; !ok && role != roleAdmin && role != roleMember {
		return fmt.Errorf("the role %q of %s is not one of Config.Roles", role, idOrEmail)
	}
	return nil
}

// setMember wants Server.mu held and the role checked.
func (s *Server) setMember(o *organization, u *user, role string) {
	now := s.config.Now()
	m := u.memberOf(o.id)
	if m != nil && role == "" {
		o.members = slices.DeleteFunc(o.members, func(one *membership) bool { return one == m })
		u.memberships = slices.DeleteFunc(u.memberships, func(one *membership) bool { return one == m })
	}
	if role == "" {
		return
	}
	if m == nil {
		m = &membership{id: newID("orgmem"), organization: o, user: u, createdAt: now}
		o.members = append(o.members, m)
		u.memberships = append(u.memberships, m)
	}
	m.role, m.updatedAt = role, now
	m.permissions = slices.Sorted(slices.Values(s.config.Roles[role]))
}

// memberOf is the user's membership in an organization, by its ID or slug, or
// nil.
func (u *user) memberOf(idOrSlug string) *membership {
	for _, m := range u.memberships {
		if m.organization.is(idOrSlug) {
			return m
		}
	}
	return nil
}

// activate makes an organization the session's active one; the empty name stands
// for the personal account.
func (s *session) activate(idOrSlug string) error {
	m := s.user.memberOf(idOrSlug)
	switch {
	case idOrSlug == "":
		s.organizationID = ""
	case m == nil:
		return errOrganization
	default:
		s.organizationID = m.organization.id
	}
	return nil
}

// activeOrganizationID is empty too once the user is no longer a member.
func (s *session) activeOrganizationID() string {
	if s.user.memberOf(s.organizationID) == nil {
		return ""
	}
	return s.organizationID
}

// claims are what a version 2 session token says of the active organization.
// Permissions are packed: fea lists the features, o.per the permissions that
// any of them has, and o.fpm holds for each feature a number whose bits say which
// of these it has. Nothing is said without an organization, when m is nil.
func (m *membership) claims() object {
	if m == nil {
		return nil
	}
	o := object{"id": m.organization.id, "slg": m.organization.slug, "rol": strings.TrimPrefix(m.role, "org:")}
	var features, permissions []string
	granted := map[[2]string]bool{}
	for _, permission := range m.permissions {
		feature, name, ok := customPermission(permission)
		if !ok {
			continue
		}
		granted[[2]string{feature, name}] = true
		features, permissions = append(features, feature), append(permissions, name)
	}
	if len(granted) == 0 {
		return object{"o": o}
	}
	features, permissions = sortedSet(features), sortedSet(permissions)
	var masks []string
	for i, feature := range features {
		mask := 0
		for bit, name := range permissions {
			if granted[[2]string{feature, name}] {
				mask |= 1 << bit
			}
		}
		masks = append(masks, strconv.Itoa(mask))
		features[i] = "o:" + feature
	}
	o["per"], o["fpm"] = strings.Join(permissions, ","), strings.Join(masks, ",")
	return object{"o": o, "fea": strings.Join(features, ",")}
}

// customPermission takes org:feature:name apart. System permissions, org:sys_…,
// are not for session tokens.
func customPermission(permission string) (feature, name string, ok bool) {
	parts := strings.Split(permission, ":")
	if len(parts) != 3 || parts[0] != "org" || strings.HasPrefix(parts[1], "sys_") {
		return "", "", false
	}
	return parts[1], parts[2], true
}

func sortedSet(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// maxPermissions is how many permissions fit into the bits of one number.
const maxPermissions = 62

func checkRoles(roles map[string][]string) error {
	var problems []error
	names := map[string]bool{}
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		if name, ok := strings.CutPrefix(role, "org:"); !ok || name == "" {
			problems = append(problems, fmt.Errorf("Config.Roles: the role %q has no org: in front", role))
		}
		for _, permission := range roles[role] {
			feature, name, ok := customPermission(permission)
			system := strings.HasPrefix(permission, "org:sys_")
			if !system && (!ok || feature == "" || name == "" || strings.Contains(permission, ",")) {
				problems = append(problems, fmt.Errorf("Config.Roles: the permission %q of %s is not of the form org:feature:name", permission, role))
			}
			names[name] = true
		}
	}
	if len(names) > maxPermissions {
		problems = append(problems, fmt.Errorf("Config.Roles: more than %d names of permissions", maxPermissions))
	}
	return errors.Join(problems...)
}

func organizationJSON(o *organization, frontendAPI string) object {
	return object{
		"object":                    "organization",
		"id":                        o.id,
		"name":                      o.name,
		"slug":                      o.slug,
		"image_url":                 avatarURL(o.id, frontendAPI),
		"has_image":                 false,
		"members_count":             len(o.members),
		"pending_invitations_count": 0,
		"max_allowed_memberships":   maxMemberships,
		"admin_delete_enabled":      false,
		"public_metadata":           object{},
		"created_at":                o.createdAt.UnixMilli(),
		"updated_at":                o.createdAt.UnixMilli(),
	}
}

// maxMemberships is what the instance says of an organization's size; nobody
// counts.
const maxMemberships = 5

func membershipJSON(m *membership, frontendAPI string) object {
	return object{
		"object":           "organization_membership",
		"id":               m.id,
		"role":             m.role,
		"role_name":        roleName(m.role),
		"permissions":      append([]string{}, m.permissions...),
		"public_metadata":  object{},
		"organization":     organizationJSON(m.organization, frontendAPI),
		"public_user_data": publicUserJSON(m.user, frontendAPI),
		"created_at":       m.createdAt.UnixMilli(),
		"updated_at":       m.updatedAt.UnixMilli(),
	}
}

func roleName(role string) string {
	name := strings.ReplaceAll(strings.TrimPrefix(role, "org:"), "_", " ")
	return initial(name) + name[min(1, len(name)):]
}

func membershipsJSON(memberships []*membership, frontendAPI string) []object {
	list := []object{}
	for _, m := range memberships {
		list = append(list, membershipJSON(m, frontendAPI))
	}
	return list
}

// page answers the part of a list that limit and offset ask for.
func page[T any](r *http.Request, list []T) (any, error) {
	limit, limitErr := number(r, "limit", defaultLimit, 1, maxLimit)
	offset, offsetErr := number(r, "offset", 0, 0, 1<<31)
	if err := errors.Join(limitErr, offsetErr); err != nil {
		return nil, err
	}
	total := len(list)
	list = list[min(offset, total):]
	return object{"data": list[:min(limit, len(list))], "total_count": total}, nil
}

// listMemberships are the memberships of the person who is signed in.
func (c *call) listMemberships() (any, error) {
	s, err := c.signedIn()
	if err != nil {
		return nil, err
	}
	return page(c.request, membershipsJSON(s.user.memberships, c.proxyURL))
}

// getOrganization answers an organization to its members.
func (c *call) getOrganization() (any, error) {
	s, err := c.signedIn()
	if err != nil {
		return nil, err
	}
	m := s.user.memberOf(c.request.PathValue("organization"))
	if m == nil {
		return nil, errOrganization
	}
	return organizationJSON(m.organization, c.proxyURL), nil
}

func (s *Server) listOrganizations(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []object{}
	for _, o := range slices.Backward(s.state.organizations) { // the newest first
		list = append(list, organizationJSON(o, s.state.domains[0].frontendAPI()))
	}
	return page(r, list)
}

func (s *Server) backendOrganization(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.organization(r.PathValue("organization"))
	if o == nil {
		return nil, errNotFound
	}
	return organizationJSON(o, s.state.domains[0].frontendAPI()), nil
}

func (s *Server) listOrganizationMembers(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.organization(r.PathValue("organization"))
	if o == nil {
		return nil, errNotFound
	}
	return page(r, membershipsJSON(o.members, s.state.domains[0].frontendAPI()))
}

func (s *Server) listUserMemberships(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.userByID(r.PathValue("user"))
	if u == nil {
		return nil, errNotFound
	}
	return page(r, membershipsJSON(u.memberships, s.state.domains[0].frontendAPI()))
}

package emulator

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"
)

// A password's length, in characters.
const (
	minPasswordLength = 8
	maxPasswordLength = 72
)

// User is a person who has an account.
type User struct {
	// ID begins with user_; [Server.AddUser] makes one up when it is empty.
	ID string
	// Email is the one verified e-mail address.
	Email string
	// Password may be empty for someone who signs in by e-mail code alone. What
	// [Server.Users] answers never holds it.
	Password  string
	FirstName string
	LastName  string
}

// AddUser adds an account with a verified e-mail address, and answers it with
// its ID. The address must not be taken; a password has 8 to 72 characters.
func (s *Server) AddUser(u User) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var problems []error
	if !validEmail(u.Email) {
		problems = append(problems, errParameterFormat.about("email_address"))
	} else if s.userByEmail(u.Email) != nil {
		problems = append(problems, errIdentifierExists.about("email_address"))
	}
	if u.Password != "" {
		problems = append(problems, checkPassword(u.Password, "password"))
	}
	if u.ID != "" && s.userByID(u.ID) != nil {
		problems = append(problems, errors.New("the ID is taken"))
	}
	if err := errors.Join(problems...); err != nil {
		return User{}, fmt.Errorf("emulator: adding the user %q: %w", u.Email, err)
	}
	return s.newUser(u, "admin").public(), nil
}

// Users are all accounts in the order in which they came, without passwords.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	var users []User
	for _, u := range s.state.users {
		users = append(users, u.public())
	}
	return users
}

type user struct {
	id, emailID, email  string
	verifiedBy          string
	firstName, lastName string
	password            *password
	unsafeMetadata      object
	memberships         []*membership
	createdAt           time.Time
	updatedAt           time.Time
	lastSignInAt        time.Time
}

// newUser wants Server.mu held and u checked.
func (s *Server) newUser(u User, verifiedBy string) *user {
	now := s.config.Now()
	added := &user{
		id:         cmp.Or(u.ID, newID("user")),
		emailID:    newID("idn"),
		email:      strings.ToLower(u.Email),
		verifiedBy: verifiedBy,
		firstName:  u.FirstName,
		lastName:   u.LastName,
		createdAt:  now,
		updatedAt:  now,
	}
	if u.Password != "" {
		added.password = newPassword(u.Password)
	}
	s.state.users = append(s.state.users, added)
	return added
}

func (s *Server) userByEmail(email string) *user {
	for _, u := range s.state.users {
		if strings.EqualFold(u.email, email) {
			return u
		}
	}
	return nil
}

func (s *Server) userByID(id string) *user {
	for _, u := range s.state.users {
		if u.id == id {
			return u
		}
	}
	return nil
}

func (u *user) public() User {
	return User{ID: u.id, Email: u.email, FirstName: u.firstName, LastName: u.lastName}
}

func validEmail(email string) bool {
	address, err := mail.ParseAddress(email)
	return err == nil && address.Address == email && len(email) <= 254 && strings.Contains(email[strings.LastIndexByte(email, '@'):], ".")
}

// password is salted SHA-256: right for an emulator, whose accounts are made up
// and which must stay quick under the race detector, and for nothing else.
type password struct {
	salt [16]byte
	hash [32]byte
}

func newPassword(plain string) *password {
	p := new(password)
	rand.Read(p.salt[:])
	p.hash = p.digest(plain)
	return p
}

func (p *password) digest(plain string) [32]byte { return sha256.Sum256(append(p.salt[:], plain...)) }

func (p *password) matches(plain string) bool {
	digest := p.digest(plain)
	return subtle.ConstantTimeCompare(digest[:], p.hash[:]) == 1
}

func checkPassword(plain, parameter string) error {
	switch n := utf8.RuneCountInString(plain); {
	case n < minPasswordLength:
		return errPasswordShort.about(parameter)
	case n > maxPasswordLength:
		return errPasswordLong.about(parameter)
	}
	return nil
}

// userJSON is a user as both APIs show it. frontendAPI is where the reader
// reaches the Frontend API, which the avatar comes from.
func userJSON(u *user, frontendAPI string) object {
	var lastSignIn any
	if !u.lastSignInAt.IsZero() {
		lastSignIn = u.lastSignInAt.UnixMilli()
	}
	none := []any{}
	return object{
		"object":                          "user",
		"id":                              u.id,
		"external_id":                     nil,
		"username":                        nil,
		"first_name":                      nullable(u.firstName),
		"last_name":                       nullable(u.lastName),
		"image_url":                       avatarURL(u.id, frontendAPI),
		"profile_image_url":               avatarURL(u.id, frontendAPI),
		"profile_image_id":                "",
		"has_image":                       false,
		"primary_email_address_id":        u.emailID,
		"primary_phone_number_id":         nil,
		"primary_web3_wallet_id":          nil,
		"email_addresses":                 []object{emailAddressJSON(u)},
		"phone_numbers":                   none,
		"web3_wallets":                    none,
		"passkeys":                        none,
		"external_accounts":               none,
		"saml_accounts":                   none,
		"enterprise_accounts":             none,
		"organization_memberships":        membershipsJSON(u.memberships, frontendAPI),
		"password_enabled":                u.password != nil,
		"two_factor_enabled":              false,
		"totp_enabled":                    false,
		"backup_code_enabled":             false,
		"mfa_enabled_at":                  nil,
		"mfa_disabled_at":                 nil,
		"public_metadata":                 object{},
		"unsafe_metadata":                 metadata(u.unsafeMetadata),
		"banned":                          false,
		"locked":                          false,
		"lockout_expires_in_seconds":      nil,
		"verification_attempts_remaining": 100,
		"delete_self_enabled":             false,
		"create_organization_enabled":     false,
		"create_organizations_limit":      nil,
		"legal_accepted_at":               nil,
		"last_sign_in_at":                 lastSignIn,
		"last_active_at":                  lastSignIn,
		"created_at":                      u.createdAt.UnixMilli(),
		"updated_at":                      u.updatedAt.UnixMilli(),
	}
}

func emailAddressJSON(u *user) object {
	return object{
		"object":        "email_address",
		"id":            u.emailID,
		"email_address": u.email,
		"reserved":      false,
		"verification": object{
			"object": "verification_" + u.verifiedBy, "status": statusVerified, "strategy": u.verifiedBy,
			"attempts": nil, "expire_at": nil,
		},
		"linked_to":              []any{},
		"matches_sso_connection": false,
		"created_at":             u.createdAt.UnixMilli(),
		"updated_at":             u.updatedAt.UnixMilli(),
	}
}

func publicUserJSON(u *user, frontendAPI string) object {
	return object{
		"user_id":           u.id,
		"identifier":        u.email,
		"username":          nil,
		"first_name":        nullable(u.firstName),
		"last_name":         nullable(u.lastName),
		"image_url":         avatarURL(u.id, frontendAPI),
		"profile_image_url": avatarURL(u.id, frontendAPI),
		"has_image":         false,
		"banned":            false,
		"deprovisioned":     false,
	}
}

func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func metadata(m object) object {
	if m == nil {
		return object{}
	}
	return m
}

// avatarURL is below the Frontend API, where Clerk has a host of its own for
// images: a page must not have to leave its origin.
func avatarURL(id, frontendAPI string) string { return frontendAPI + "/avatars/" + id + ".svg" }

// avatar draws the initials of a user or an organization on a colour of their
// own.
func (s *Server) avatar(w http.ResponseWriter, r *http.Request) {
	id, ok := strings.CutSuffix(r.PathValue("file"), ".svg")
	s.mu.Lock()
	initials := s.initials(id)
	s.mu.Unlock()
	if !ok || initials == "" {
		s.writeError(w, errNotFound, nil)
		return
	}
	hue := int(sha256.Sum256([]byte(id))[0]) * 360 / 256
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "private, max-age=60")
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><rect width="80" height="80" fill="hsl(%d 55%% 45%%)"/>`+
		`<text x="40" y="40" fill="#fff" font-family="sans-serif" font-size="32" text-anchor="middle" dominant-baseline="central">%s</text></svg>`,
		hue, html.EscapeString(initials))
}

// initials are empty when there is nobody of that id.
func (s *Server) initials(id string) string {
	if u := s.userByID(id); u != nil {
		return cmp.Or(initial(u.firstName)+initial(u.lastName), initial(u.email))
	}
	if o := s.organization(id); o != nil {
		return initial(o.name)
	}
	return ""
}

func initial(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	if size == 0 || r == utf8.RuneError {
		return ""
	}
	return strings.ToUpper(string(r))
}

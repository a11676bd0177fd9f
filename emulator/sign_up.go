package emulator

import (
	"encoding/json"
	"errors"
	"time"
)

// signUp is a sign-up under way.
type signUp struct {
	id                string
	email             string
	password          *password
	firstName         string
	lastName          string
	unsafeMetadata    object
	emailVerification *verification
	userID            string // empty until it is complete
	sessionID         string
	abandonAt         time.Time
}

// createSignUp begins a sign-up.
func (c *call) createSignUp() (any, error) {
	if c.domain.satellite {
		return nil, errOnSatellite
	}
	if err := c.ensureClient(); err != nil {
		return nil, err
	}
	if len(c.client.active(c.now)) > 0 {
		return nil, errSessionExists
	}
	started := &signUp{id: newID("sua"), abandonAt: c.now.Add(attemptLifetime)}
	if err := c.fill(started); err != nil {
		return nil, err
	}
	c.client.signUp, c.client.updatedAt = started, c.now
	return c.advanceSignUp(started)
}

// currentSignUp is the sign-up that the path names; it is the browser's own.
func (c *call) currentSignUp() (*signUp, error) {
	if c.client == nil {
		return nil, errSignedOut
	}
	current := c.client.signUp
	if current == nil || current.id != c.request.PathValue("attempt") || !c.now.Before(current.abandonAt) {
		return nil, errNotFound
	}
	return current, nil
}

func (c *call) getSignUp() (any, error) {
	current, err := c.currentSignUp()
	if err != nil {
		return nil, err
	}
	return c.signUpJSON(current), nil
}

func (c *call) updateSignUp() (any, error) {
	current, err := c.currentSignUp()
	if err != nil {
		return nil, err
	}
	if err := c.fill(current); err != nil {
		return nil, err
	}
	return c.advanceSignUp(current)
}

// fill takes over what the form holds: all of it, or nothing when a part of it
// is wrong.
func (c *call) fill(current *signUp) error {
	filled := *current
	var problems []error
	if email := c.form.Get("email_address"); email != "" && email != current.email {
		switch {
		case !validEmail(email):
			problems = append(problems, errParameterFormat.about("email_address"))
		case c.server.userByEmail(email) != nil:
			problems = append(problems, errIdentifierExists.about("email_address"))
		}
		filled.email, filled.emailVerification = email, nil
	}
	if plain := c.form.Get("password"); plain != "" {
		problems = append(problems, checkPassword(plain, "password"))
		filled.password = newPassword(plain)
	}
	if c.form.Has("first_name") {
		filled.firstName = c.form.Get("first_name")
	}
	if c.form.Has("last_name") {
		filled.lastName = c.form.Get("last_name")
	}
	if encoded := c.form.Get("unsafe_metadata"); encoded != "" {
		if json.Unmarshal([]byte(encoded), &filled.unsafeMetadata) != nil {
			problems = append(problems, errParameterFormat.about("unsafe_metadata"))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	*current = filled
	return nil
}

// prepareVerification would send the code.
func (c *call) prepareVerification() (any, error) {
	current, err := c.currentSignUp()
	switch {
	case err != nil:
		return nil, err
	case c.form.Get("strategy") != strategyEmailCode:
		return nil, errParameterValue.about("strategy")
	case current.email == "":
		return nil, errParameterMissing.about("email_address")
	case current.emailVerified():
		return nil, errVerificationVerified
	}
	current.emailVerification = newCodeVerification(c.now)
	return c.signUpJSON(current), nil
}

func (c *call) attemptVerification() (any, error) {
	current, err := c.currentSignUp()
	switch {
	case err != nil:
		return nil, err
	case c.form.Get("strategy") != strategyEmailCode:
		return nil, errParameterValue.about("strategy")
	}
	if err := attemptCode(current.emailVerification, c.form.Get("code"), c.now); err != nil {
		return nil, err
	}
	return c.advanceSignUp(current)
}

func (u *signUp) emailVerified() bool {
	return u.emailVerification != nil && u.emailVerification.verified
}

// missing are the required fields that are not given yet.
func (u *signUp) missing() []string {
	missing := []string{}
	if u.email == "" {
		missing = append(missing, "email_address")
	}
	if u.password == nil {
		missing = append(missing, "password")
	}
	return missing
}

func (u *signUp) unverified() []string {
	if u.email == "" || u.emailVerified() {
		return []string{}
	}
	return []string{"email_address"}
}

// advanceSignUp makes an account and a session once nothing is wanting.
func (c *call) advanceSignUp(current *signUp) (any, error) {
	if len(current.missing()) > 0 || len(current.unverified()) > 0 {
		return c.signUpJSON(current), nil
	}
	// Someone else may have taken the address since it was given, or someone
	// may have signed in.
	if c.server.userByEmail(current.email) != nil {
		return nil, errIdentifierExists.about("email_address")
	}
	if len(c.client.active(c.now)) > 0 {
		return nil, errSessionExists
	}
	added := c.server.newUser(User{Email: current.email, FirstName: current.firstName, LastName: current.lastName}, strategyEmailCode)
	added.password, added.unsafeMetadata = current.password, current.unsafeMetadata
	began, err := c.signInAs(added, strategyEmailCode)
	if err != nil {
		return nil, err
	}
	current.userID, current.sessionID = added.id, began.id
	c.client.signUp = nil
	return c.signUpJSON(current), nil
}

func (c *call) signUpJSON(current *signUp) any {
	if current == nil || !c.now.Before(current.abandonAt) {
		return nil
	}
	status := "missing_requirements"
	if current.sessionID != "" {
		status = "complete"
	}
	var emailVerification any
	if current.email != "" {
		emailVerification = signUpVerificationJSON(current.emailVerification, c.now)
	}
	return object{
		"object":            "sign_up_attempt",
		"id":                current.id,
		"status":            status,
		"required_fields":   []string{"email_address", "password"},
		"optional_fields":   []string{"first_name", "last_name"},
		"missing_fields":    current.missing(),
		"unverified_fields": current.unverified(),
		"verifications": object{
			"email_address": emailVerification, "phone_number": nil, "web3_wallet": nil, "external_account": nil,
		},
		"username":                  nil,
		"email_address":             nullable(current.email),
		"phone_number":              nil,
		"web3_wallet":               nil,
		"external_account":          nil,
		"external_account_strategy": nil,
		"external_id":               nil,
		"password_enabled":          current.password != nil,
		"has_password":              current.password != nil,
		"first_name":                nullable(current.firstName),
		"last_name":                 nullable(current.lastName),
		"public_metadata":           object{},
		"unsafe_metadata":           metadata(current.unsafeMetadata),
		"custom_action":             false,
		"created_user_id":           nullable(current.userID),
		"created_session_id":        nullable(current.sessionID),
		"legal_accepted_at":         nil,
		"locale":                    nil,
		"abandon_at":                current.abandonAt.UnixMilli(),
	}
}

// signUpVerificationJSON names no strategy until one is prepared: that is how
// Clerk's components know that they have to ask for the code.
func signUpVerificationJSON(v *verification, now time.Time) object {
	shown := object{"status": statusUnverified, "strategy": nil, "attempts": nil, "expire_at": nil, "next_action": "needs_prepare"}
	if v != nil {
		shown = verificationJSON(v, now)
		shown["next_action"] = "needs_attempt"
		if v.verified {
			shown["next_action"] = ""
		}
	}
	shown["supported_strategies"] = []string{strategyEmailCode}
	return shown
}

package emulator

import "time"

// attemptLifetime is how long a sign-in or a sign-up may take.
const attemptLifetime = 24 * time.Hour

// signIn is a sign-in under way.
type signIn struct {
	id         string
	identifier string
	user       *user // nil until the identifier is given
	factor     *verification
	sessionID  string // empty until it is complete
	abandonAt  time.Time
}

// createSignIn begins a sign-in. With a strategy it goes as far as it can in the
// same request.
func (c *call) createSignIn() (any, error) {
	if c.domain.satellite {
		return nil, errOnSatellite
	}
	if err := c.ensureClient(); err != nil {
		return nil, err
	}
	// The instance has one session a browser.
	if len(c.client.active(c.now)) > 0 {
		return nil, errSessionExists
	}
	started := &signIn{id: newID("sia"), abandonAt: c.now.Add(attemptLifetime)}
	strategy := c.form.Get("strategy")
	if identifier := c.form.Get("identifier"); identifier != "" {
		started.identifier, started.user = identifier, c.server.userByEmail(identifier)
		if started.user == nil {
			return nil, errIdentifier.about("identifier")
		}
	} else if strategy != "" {
		return nil, errParameterMissing.about("identifier")
	}
	c.client.signIn, c.client.updatedAt = started, c.now

	switch {
	case strategy == strategyPassword || strategy == "" && c.form.Get("password") != "":
		return c.attemptPassword(started)
	case strategy == strategyEmailCode:
		started.factor = newCodeVerification(c.now)
	case strategy != "":
		return nil, errParameterValue.about("strategy")
	}
	return c.signInJSON(started), nil
}

// currentSignIn is the sign-in that the path names; it is the browser's own.
func (c *call) currentSignIn() (*signIn, error) {
	if c.client == nil {
		return nil, errSignedOut
	}
	current := c.client.signIn
	if current == nil || current.id != c.request.PathValue("attempt") || !c.now.Before(current.abandonAt) {
		return nil, errNotFound
	}
	return current, nil
}

// signInUnderWay is the same, if it has an identifier and is not complete.
func (c *call) signInUnderWay() (*signIn, error) {
	current, err := c.currentSignIn()
	switch {
	case err != nil:
		return nil, err
	case current.sessionID != "":
		return nil, errVerificationVerified
	case current.user == nil:
		return nil, errParameterMissing.about("identifier")
	}
	return current, nil
}

func (c *call) getSignIn() (any, error) {
	current, err := c.currentSignIn()
	if err != nil {
		return nil, err
	}
	return c.signInJSON(current), nil
}

// prepareFirstFactor would send the code.
func (c *call) prepareFirstFactor() (any, error) {
	current, err := c.signInUnderWay()
	if err != nil {
		return nil, err
	}
	if c.form.Get("strategy") != strategyEmailCode {
		return nil, errParameterValue.about("strategy")
	}
	if id := c.form.Get("email_address_id"); id != "" && id != current.user.emailID {
		return nil, errParameterValue.about("email_address_id")
	}
	current.factor = newCodeVerification(c.now)
	return c.signInJSON(current), nil
}

func (c *call) attemptFirstFactor() (any, error) {
	current, err := c.signInUnderWay()
	if err != nil {
		return nil, err
	}
	switch c.form.Get("strategy") {
	case strategyPassword:
		return c.attemptPassword(current)
	case strategyEmailCode:
		if err := attemptCode(current.factor, c.form.Get("code"), c.now); err != nil {
			return nil, err
		}
		return c.completeSignIn(current)
	}
	return nil, errParameterValue.about("strategy")
}

func (c *call) attemptPassword(current *signIn) (any, error) {
	if current.user.password == nil {
		return nil, errStrategy
	}
	current.factor = &verification{strategy: strategyPassword}
	if !current.user.password.matches(c.form.Get("password")) {
		return nil, errPassword.about("password")
	}
	current.factor.verified = true
	return c.completeSignIn(current)
}

func (c *call) completeSignIn(current *signIn) (any, error) {
	// Two sign-ins cannot run in one browser, but a sign-up may have come first.
	if len(c.client.active(c.now)) > 0 {
		return nil, errSessionExists
	}
	began, err := c.signInAs(current.user, current.factor.strategy)
	if err != nil {
		return nil, err
	}
	current.sessionID = began.id
	// What is answered is complete; the browser's next sign-in is a new one.
	c.client.signIn = nil
	return c.signInJSON(current), nil
}

func (c *call) signInJSON(current *signIn) any {
	if current == nil || !c.now.Before(current.abandonAt) {
		return nil
	}
	shown := object{
		"object":                     "sign_in_attempt",
		"id":                         current.id,
		"status":                     "needs_identifier",
		"supported_identifiers":      []string{"email_address"},
		"supported_first_factors":    nil,
		"supported_second_factors":   nil,
		"first_factor_verification":  nil,
		"second_factor_verification": nil,
		"identifier":                 nil,
		"user_data":                  nil,
		"created_session_id":         nullable(current.sessionID),
		"abandon_at":                 current.abandonAt.UnixMilli(),
	}
	if current.factor != nil {
		shown["first_factor_verification"] = verificationJSON(current.factor, c.now)
	}
	if u := current.user; u != nil {
		shown["status"] = "needs_first_factor"
		shown["identifier"] = current.identifier
		shown["supported_first_factors"] = firstFactors(u)
		shown["user_data"] = object{
			"first_name": nullable(u.firstName), "last_name": nullable(u.lastName),
			"image_url": avatarURL(u.id, c.proxyURL), "has_image": false,
		}
	}
	if current.sessionID != "" {
		shown["status"] = "complete"
	}
	return shown
}

func firstFactors(u *user) []object {
	var factors []object
	if u.password != nil {
		factors = append(factors, object{"strategy": strategyPassword})
	}
	return append(factors, object{
		"strategy": strategyEmailCode, "email_address_id": u.emailID, "safe_identifier": u.email, "primary": true,
	})
}

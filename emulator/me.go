package emulator

// getMe answers the person who is signed in.
func (c *call) getMe() (any, error) {
	s, err := c.signedIn()
	if err != nil {
		return nil, err
	}
	return userJSON(s.user, c.proxyURL), nil
}

// updateMe changes the person's name.
func (c *call) updateMe() (any, error) {
	s, err := c.signedIn()
	if err != nil {
		return nil, err
	}
	if c.form.Has("first_name") {
		s.user.firstName = c.form.Get("first_name")
	}
	if c.form.Has("last_name") {
		s.user.lastName = c.form.Get("last_name")
	}
	s.user.updatedAt = c.now
	return userJSON(s.user, c.proxyURL), nil
}

// changePassword sets a password; who has one must give it.
func (c *call) changePassword() (any, error) {
	s, err := c.signedIn()
	if err != nil {
		return nil, err
	}
	if s.user.password != nil && !s.user.password.matches(c.form.Get("current_password")) {
		return nil, errPassword.about("current_password")
	}
	if err := checkPassword(c.form.Get("new_password"), "new_password"); err != nil {
		return nil, err
	}
	s.user.password, s.user.updatedAt = newPassword(c.form.Get("new_password")), c.now
	if c.form.Get("sign_out_of_other_sessions") == "true" {
		for _, other := range c.server.state.sessions {
			if other != s && other.user == s.user && other.active(c.now) {
				other.end("revoked", c.now)
			}
		}
	}
	return userJSON(s.user, c.proxyURL), nil
}

func (c *call) listEmailAddresses() (any, error) {
	s, err := c.signedIn()
	if err != nil {
		return nil, err
	}
	return []object{emailAddressJSON(s.user)}, nil
}

package emulator

import "net/url"

// getEnvironment is the instance's settings: e-mail address and password, names
// optional, one session a browser, organizations once there are any; no bot
// protection and no billing.
// ClerkJS also refreshes it with a PATCH.
func (c *call) getEnvironment() (any, error) {
	return object{
		"object":                "environment",
		"auth_config":           authConfig(),
		"display_config":        c.displayConfig(),
		"user_settings":         userSettings(),
		"organization_settings": organizationSettings(len(c.server.state.organizations) > 0),
		"fraud_settings":        object{"object": "fraud_settings", "native": object{"device_attestation_mode": "disabled"}},
		"commerce_settings": object{"object": "commerce_settings", "billing": object{
			"stripe_publishable_key":             nil,
			"free_trial_requires_payment_method": false,
			"user":                               object{"enabled": false, "has_paid_plans": false},
			"organization":                       object{"enabled": false, "has_paid_plans": false},
		}},
		"api_keys_settings": object{
			"object": "api_keys_settings", "enabled": false, "user_api_keys_enabled": false, "orgs_api_keys_enabled": false,
		},
		"protect_config":      object{"object": "protect_config", "loaders": []any{}},
		"client_debug_mode":   false,
		"partitioned_cookies": false,
		"maintenance_mode":    false,
	}, nil
}

func authConfig() object {
	return object{
		"object":                                "auth_config",
		"id":                                    "aac_emulator",
		"first_name":                            "on",
		"last_name":                             "on",
		"email_address":                         "required",
		"phone_number":                          "off",
		"username":                              "off",
		"password":                              "required",
		"identification_requirements":           [][]string{{"email_address"}},
		"identification_strategies":             []string{"email_address"},
		"first_factors":                         []string{strategyEmailCode, strategyPassword},
		"second_factors":                        []string{},
		"email_address_verification_strategies": []string{strategyEmailCode},
		"single_session_mode":                   true,
		"enhanced_email_deliverability":         false,
		"test_mode":                             false,
		"cookieless_dev":                        false,
		"url_based_session_syncing":             false,
		"claimed_at":                            nil,
		"reverification":                        false,
		"native_settings": object{
			"object": "native_settings", "api_enabled": false, "trusted_device_sign_in_enabled": false,
			"trusted_device_enrollment_prompt_after_sign_in_enabled": false,
			"trusted_device_enrollment_prompt_after_sign_up_enabled": false,
		},
	}
}

// displayConfig points every page at the application itself: at Clerk the
// account portal would have them, on a host that the emulator does not serve.
// People who visit a satellite sign in and up on the primary domain.
func (c *call) displayConfig() object {
	home := pageOrigin(c.domain, c.proxyURL)
	primary := home
	if c.domain.satellite {
		first := c.server.state.domains[0]
		primary = pageOrigin(first, first.frontendAPI())
	}
	return object{
		"object":                         "display_config",
		"id":                             "display_config_emulator",
		"instance_environment_type":      "production",
		"application_name":               c.domain.name,
		"branded":                        false,
		"preferred_sign_in_strategy":     "password",
		"experimental_force_oauth_first": false,
		"show_devmode_warning":           false,
		"clerk_js_version":               nil,
		"support_email":                  "",
		"google_one_tap_client_id":       nil,
		"help_url":                       nil,
		"privacy_policy_url":             "",
		"terms_url":                      "",

		"theme": object{
			"general": object{
				"color": "#6c47ff", "background_color": "#ffffff", "font_family": "", "font_color": "#151515",
				"label_font_weight": "600", "padding": "1em", "border_radius": "0.5em", "box_shadow": "0 2px 8px rgba(0, 0, 0, 0.2)",
			},
			"buttons":  object{"font_color": "#ffffff", "font_family": "", "font_weight": "600"},
			"accounts": object{"background_color": "#f2f2f2"},
		},
		"logo_image_url":    "",
		"favicon_image_url": "",
		"logo_url":          nil,
		"favicon_url":       nil,
		"logo_image":        nil,
		"favicon_image":     nil,

		"captcha_public_key":           nil,
		"captcha_public_key_invisible": nil,
		"captcha_widget_type":          nil,
		"captcha_provider":             nil,
		"captcha_oauth_bypass":         []string{},
		"captcha_heartbeat":            false,

		"home_url":                      home,
		"logo_link_url":                 home,
		"sign_in_url":                   primary + "/sign-in",
		"sign_up_url":                   primary + "/sign-up",
		"user_profile_url":              home + "/user",
		"waitlist_url":                  home + "/waitlist",
		"oauth_consent_url":             home + "/oauth-consent",
		"after_sign_in_url":             home,
		"after_sign_up_url":             home,
		"after_sign_out_one_url":        home,
		"after_sign_out_all_url":        home,
		"after_switch_session_url":      home,
		"after_join_waitlist_url":       home,
		"organization_profile_url":      home + "/organization",
		"create_organization_url":       home + "/create-organization",
		"after_leave_organization_url":  home,
		"after_create_organization_url": home,
	}
}

// pageOrigin is where the application's pages are: beside the proxy, or at the
// domain itself.
func pageOrigin(d *domain, frontendAPI string) string {
	u, err := url.Parse(frontendAPI)
	if err != nil || u.Host == d.frontendAPIHost() {
		return "https://" + d.name
	}
	return origin(u)
}

func userSettings() object {
	off := attribute{}
	return object{
		"attributes": object{
			// Immutable: the emulator has no second e-mail address for anyone,
			// so the user profile shall not offer to add one.
			"email_address": attribute{
				Enabled: true, Required: true, Immutable: true, VerifyAtSignUp: true,
				UsedForFirstFactor: true, FirstFactors: []string{strategyEmailCode}, Verifications: []string{strategyEmailCode},
			}.json(),
			"password":          attribute{Enabled: true, Required: true}.json(),
			"first_name":        attribute{Enabled: true}.json(),
			"last_name":         attribute{Enabled: true}.json(),
			"phone_number":      off.json(),
			"username":          off.json(),
			"web3_wallet":       off.json(),
			"authenticator_app": off.json(),
			"backup_code":       off.json(),
			"passkey":           off.json(),
			"ticket":            off.json(),
		},
		"social":         object{},
		"saml":           object{"enabled": false},
		"enterprise_sso": object{"enabled": false, "self_serve_sso": false},
		"sign_in":        object{"second_factor": object{"required": false, "enabled": false}},
		"sign_up": object{
			"allowlist_only": false, "captcha_enabled": false, "captcha_widget_type": "invisible",
			"custom_action_required": false, "progressive": true, "mode": "public",
			"legal_consent_enabled": false, "mfa": object{"required": false},
		},
		"restrictions": object{
			"allowlist": object{"enabled": false},
			"blocklist": object{"enabled": false},
			"allowlist_blocklist_disabled_on_sign_in": object{"enabled": false},
			"block_email_subaddresses":                object{"enabled": false},
			"block_disposable_email_domains":          object{"enabled": false},
		},
		"password_settings": object{
			"disable_hibp": true, "disable_password_reverification": true, "enforce_hibp_on_sign_in": false,
			"min_length": minPasswordLength, "max_length": maxPasswordLength,
			"require_special_char": false, "require_numbers": false, "require_uppercase": false, "require_lowercase": false,
			"show_zxcvbn": false, "min_zxcvbn_strength": 0, "allowed_special_characters": "",
		},
		"username_settings": object{
			"min_length": 4, "max_length": 64, "allow_extended_special_characters": false, "allow_numeric_usernames": false,
		},
		"actions": object{"delete_self": false, "create_organization": false, "create_organizations_limit": nil},
		"attack_protection": object{
			"user_lockout":           object{"enabled": false, "max_attempts": 100, "duration_in_minutes": 60},
			"pii":                    object{"enabled": false},
			"email_link":             object{"require_same_client": false},
			"enumeration_protection": object{"enabled": false},
		},
		"passkey_settings": object{"allow_autofill": false, "show_sign_in_button": false, "satisfies_second_factor": false},
	}
}

// attribute is what people may or must have: an e-mail address, a password.
type attribute struct {
	Enabled, Required, Immutable bool
	UsedForFirstFactor           bool
	FirstFactors, Verifications  []string
	VerifyAtSignUp               bool
}

func (a attribute) json() object {
	list := func(of []string) []string { return append([]string{}, of...) }
	return object{
		"enabled": a.Enabled, "required": a.Required, "immutable": a.Immutable,
		"used_for_first_factor": a.UsedForFirstFactor, "first_factors": list(a.FirstFactors),
		"used_for_second_factor": false, "second_factors": []string{},
		"verifications": list(a.Verifications), "verify_at_sign_up": a.VerifyAtSignUp,
	}
}

func organizationSettings(enabled bool) object {
	return object{
		"enabled": enabled, "max_allowed_memberships": maxMemberships, "force_organization_selection": false,
		"actions":      object{"admin_delete": false},
		"domains":      object{"enabled": false, "enrollment_modes": []string{}, "default_role": roleMember},
		"slug":         object{"disabled": !enabled},
		"creator_role": roleAdmin,
	}
}

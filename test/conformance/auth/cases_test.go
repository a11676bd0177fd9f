package auth_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// allCases are the requests of the comparison. A name is a path: what is varied,
// and how.
func allCases(b *backendAPI) []testCase {
	return slices.Concat(
		tokenCases(), headerCases(), suffixCases(), presenceCases(), documentCases(), loopCases(),
		clockCases(), partyCases(), keyCases(),
		handshakeCases(b), refreshCases(b),
		publicURLCases(), proxyCases(), referrerCases(), satelliteCases(), developmentCases(),
		organizationCases(), sessionCases(), authorizationCases(),
	)
}

// with are the options of an instance, and changes to them.
func with(of instance.Instance, js m, change func(*auth.Config)) options {
	secret := liveSecret
	if !of.Live {
		secret = devSecret
	}
	base := m{"publishableKey": of.PublishableKey, "secretKey": secret}
	return options{
		js: base.with(js),
		ours: func(c *auth.Config) {
			c.PublishableKey, c.SecretKey = of.PublishableKey, secret
			if change != nil {
				change(c)
			}
		},
	}
}

func plain(of instance.Instance) options { return with(of, nil, nil) }

func nameOf(of instance.Instance) string {
	if of.Live {
		return "production"
	}
	return "development"
}

var document = m{"Sec-Fetch-Dest": "document"}

// signedIn are the cookies of a browser that is signed in, as FAPI and ClerkJS
// set them.
func signedIn(of instance.Instance, token string) []string {
	uat := strconv.FormatInt(start.Unix()-100, 10)
	cookies := []string{
		"__session=" + token, "__session_" + of.CookieSuffix() + "=" + token,
		"__client_uat=" + uat, "__client_uat_" + of.CookieSuffix() + "=" + uat,
	}
	if !of.Live {
		cookies = append(cookies, "__clerk_db_jwt=dvb_1", "__clerk_db_jwt_"+of.CookieSuffix()+"=dvb_1")
	}
	return cookies
}

// A namedToken is a token, and what is special about it.
type namedToken struct{ name, token string }

// tokens are session tokens with all that can be right or wrong with them.
func tokens(of instance.Instance) []namedToken {
	c := claims(of)
	now := start.Unix()
	own := func(h, change m) string { return sign(ownKey, header.with(h), c.with(change)) }
	good := own(nil, nil)
	parts := strings.Split(good, ".")
	return []namedToken{
		{"good", good},
		{"expired", own(nil, m{"exp": now - 60})},
		{"expired within the skew", own(nil, m{"exp": now - 4})},
		{"expired at the skew", own(nil, m{"exp": now - 5})},
		{"not yet active", own(nil, m{"nbf": now + 30})},
		{"not yet active within the skew", own(nil, m{"nbf": now + 5})},
		{"not yet active beyond the skew", own(nil, m{"nbf": now + 6})},
		{"issued in the future", own(nil, m{"iat": now + 30})},
		{"issued in the future within the skew", own(nil, m{"iat": now + 5})},
		{"issued before the client's time", own(nil, m{"iat": now - 200})},
		{"without azp", own(nil, m{"azp": nil})},
		{"without sid", own(nil, m{"sid": nil})},
		{"without sub", own(nil, m{"sub": nil})},
		{"with a number as sub", own(nil, m{"sub": 5})},
		{"without exp", own(nil, m{"exp": nil})},
		{"with a string as exp", own(nil, m{"exp": "tomorrow"})},
		{"with a string as nbf", own(nil, m{"nbf": "x"})},
		{"without nbf and iat", own(nil, m{"nbf": nil, "iat": nil})},
		{"without iss", own(nil, m{"iss": nil})},
		{"of another issuer", own(nil, m{"iss": "https://clerk.example.com"})},
		{"of its issuer by http", own(nil, m{"iss": "http://" + of.FrontendAPI})},
		{"signed with another key", sign(foreignKey, header, c)},
		{"signed with an unknown key", sign(foreignKey, header.with(m{"kid": "ins_foreign"}), c)},
		{"without kid", own(m{"kid": nil}, nil)},
		{"without cat", own(m{"cat": nil}, nil)},
		{"with the cat that says nothing", own(m{"cat": categoryNone}, nil)},
		{"of a template", own(m{"cat": categoryTemplate}, nil)},
		{"of a machine by cat", own(m{"cat": categoryMachine}, nil)},
		{"of an unknown class", own(m{"cat": "cl_X"}, nil)},
		{"of a machine by sub", own(m{"cat": nil}, m{"sub": "mch_1"})},
		{"of OAuth by typ", own(m{"typ": "at+jwt", "cat": nil}, nil)},
		{"without typ", own(m{"typ": nil}, nil)},
		{"with another typ", own(m{"typ": "JOSE"}, nil)},
		{"with alg none", signingInput(header.with(m{"alg": "none"}), c) + "."},
		{"with alg HS256", confused(c)},
		{"with alg RS512", own(m{"alg": "RS512"}, nil)},
		{"with alg PS256", own(m{"alg": "PS256"}, nil)},
		{"without alg", own(m{"alg": nil}, nil)},
		{"with its payload changed", parts[0] + "." + b64([]byte(`{"sub":"user_2","iat":`+strconv.FormatInt(now, 10)+`,"iss":"https://`+of.FrontendAPI+`"}`)) + "." + parts[2]},
		{"without its signature", parts[0] + "." + parts[1] + "."},
		{"of two parts", parts[0] + "." + parts[1]},
		{"of four parts", good + ".x"},
		{"of words", "not a token"},
		{"of dots", ".."},
		{"not base64", "!!!.???.---"},
		{"with a header that is no JSON", b64([]byte("x")) + "." + parts[1] + "." + parts[2]},
		{"with a payload that is no JSON", parts[0] + "." + b64([]byte("{")) + "." + parts[2]},
		{"with a payload that is null", sign(ownKey, header, nil)},
		{"of a pending session", own(nil, m{"sts": "pending"})},
		{"of an active session", own(nil, m{"sts": "active"})},
	}
}

// tokenCases present every token in cookies, for a page, a call and a form.
func tokenCases() (cases []testCase) {
	for _, of := range []instance.Instance{live, dev} {
		for _, t := range tokens(of) {
			for _, kind := range []struct {
				name, method string
				header       m
			}{
				{"page", "GET", document}, {"call", "GET", m{"Sec-Fetch-Dest": "empty"}}, {"form", "POST", document},
			} {
				cases = append(cases, testCase{
					name:    fmt.Sprintf("cookie/%s/%s/%s", nameOf(of), kind.name, t.name),
					options: plain(of), method: kind.method, header: kind.header, cookies: signedIn(of, t.token),
				})
			}
		}
	}
	return cases
}

// headerCases present every token in the header Authorization.
func headerCases() (cases []testCase) {
	for _, of := range []instance.Instance{live, dev} {
		for _, t := range tokens(of) {
			for kind, h := range map[string]m{"page": document, "call": {"Accept": "application/json"}} {
				cases = append(cases, testCase{
					name:    fmt.Sprintf("header/%s/%s/%s", nameOf(of), kind, t.name),
					options: plain(of), header: h.with(m{"Authorization": "Bearer " + t.token}),
				})
			}
		}
	}
	good := session(live, nil)
	for name, value := range map[string]string{
		"bare":               good,
		"bearer":             "bearer " + good,
		"two spaces":         "Bearer  " + good,
		"more words":         "Bearer " + good + " x",
		"Basic":              "Basic dXNlcjpwYXNz",
		"Token":              "Token " + good,
		"Bearer alone":       "Bearer",
		"empty":              "",
		"API key":            "Bearer ak_123",
		"OAuth access token": "Bearer oat_123",
		"machine token":      "Bearer mt_123",
	} {
		cases = append(cases, testCase{name: "scheme/" + name, options: plain(live), header: m{"Authorization": value}})
		cases = append(cases, testCase{name: "scheme/with cookies/" + name, options: plain(live),
			header: m{"Authorization": value}, cookies: signedIn(live, session(live, m{"sub": "user_cookie"}))})
	}
	return cases
}

// suffixCases are the states that plain and suffixed cookies can be in when
// several applications, or several versions of ClerkJS, share a domain.
func suffixCases() (cases []testCase) {
	now := start.Unix()
	for _, of := range []instance.Instance{live, dev} {
		uats := map[string]string{"none": "", "0": "0", "old": strconv.FormatInt(now-100, 10), "new": strconv.FormatInt(now-5, 10)}
		suffixed := map[string]string{
			"none": "", "good": session(of, m{"sub": "user_suffixed"}),
			"expired": session(of, m{"sub": "user_suffixed", "exp": now - 60}),
		}
		plainTokens := map[string]string{
			"none": "", "older": session(of, m{"sub": "user_plain", "iat": now - 50}), "newer": session(of, m{"sub": "user_plain", "iat": now - 2}),
			"foreign":       session(of, m{"sub": "user_plain", "iss": "https://clerk.example.com"}),
			"no issuer":     session(of, m{"sub": "user_plain", "iss": nil}),
			"number issuer": session(of, m{"sub": "user_plain", "iss": 7}),
			"malformed":     "x.y.z",
		}
		for su, suffixedUAT := range uats {
			for pu, plainUAT := range uats {
				for st, suffixedToken := range suffixed {
					for pt, plainToken := range plainTokens {
						var cookies []string
						for name, value := range map[string]string{
							"__client_uat": plainUAT, "__client_uat_" + of.CookieSuffix(): suffixedUAT,
							"__session": plainToken, "__session_" + of.CookieSuffix(): suffixedToken,
						} {
							if value != "" {
								cookies = append(cookies, name+"="+value)
							}
						}
						if !of.Live {
							cookies = append(cookies, "__clerk_db_jwt=dvb_plain", "__clerk_db_jwt_"+of.CookieSuffix()+"=dvb_suffixed")
						}
						cases = append(cases, testCase{
							name:    fmt.Sprintf("suffix/%s/uat %s %s token %s %s", nameOf(of), su, pu, st, pt),
							options: plain(of), header: document, cookies: cookies,
						})
					}
				}
			}
		}
	}
	return cases
}

// presenceCases are about how cookies are written.
func presenceCases() (cases []testCase) {
	good := session(live, nil)
	uat := strconv.FormatInt(start.Unix()-100, 10)
	for name, cookies := range map[string][]string{
		"nothing":                   nil,
		"session alone":             {"__session=" + good},
		"uat alone":                 {"__client_uat=" + uat},
		"plain":                     {"__session=" + good, "__client_uat=" + uat},
		"in between":                {"a=b", "__session=" + good, "c=d", "__client_uat=" + uat, "e=f"},
		"twice":                     {"__session=" + good, "__session=x.y.z", "__client_uat=" + uat},
		"empty first":               {"__session=", "__session=" + good, "__client_uat=" + uat},
		"quoted":                    {`__session="` + good + `"`, "__client_uat=" + uat},
		"spaces":                    {"__session = " + good + " ", " __client_uat=" + uat},
		"encoded":                   {"__session=" + strings.ReplaceAll(good, ".", "%2E"), "__client_uat=" + uat},
		"badly encoded":             {"__session=%zz", "__client_uat=" + uat},
		"no value":                  {"__session", "__client_uat=" + uat},
		"other case":                {"__Session=" + good, "__client_uat=" + uat},
		"uat with words":            {"__session=" + good, "__client_uat=" + uat + "abc"},
		"uat of words":              {"__session=" + good, "__client_uat=abc"},
		"uat negative":              {"__session=" + good, "__client_uat=-5"},
		"uat with a fraction":       {"__session=" + good, "__client_uat=" + uat + ".5"},
		"of another suffix":         {"__session_AAAAAAAA=" + good, "__client_uat_AAAAAAAA=" + uat},
		"refresh alone":             {"__refresh_" + live.CookieSuffix() + "=r"},
		"encoded separator":         {"a=%3B__session=" + good, "__client_uat=" + uat},
		"dev browser in production": {"__clerk_db_jwt=dvb_1"},
	} {
		cases = append(cases, testCase{name: "cookies/" + name, options: plain(live), header: document, cookies: cookies})
	}
	return cases
}

// documentCases are requests for pages and others, where a handshake would help.
func documentCases() (cases []testCase) {
	cookies := []string{"__client_uat=" + strconv.FormatInt(start.Unix()-100, 10)}
	for _, method := range []string{"GET", "POST", "PUT", "HEAD", "OPTIONS"} {
		for name, h := range map[string]m{
			"document":               {"Sec-Fetch-Dest": "document"},
			"iframe":                 {"Sec-Fetch-Dest": "iframe"},
			"empty":                  {"Sec-Fetch-Dest": "empty"},
			"image":                  {"Sec-Fetch-Dest": "image", "Accept": "text/html"},
			"old browser":            {"Accept": "text/html,application/xhtml+xml"},
			"old browser, last":      {"Accept": "application/json, text/html"},
			"old browser, capitals":  {"Accept": "Text/HTML"},
			"nothing":                {},
			"document that is a bot": {"Sec-Fetch-Dest": "Document"},
		} {
			cases = append(cases, testCase{name: "document/" + method + "/" + name, options: plain(live), method: method, header: h, cookies: cookies})
		}
	}
	return cases
}

// loopCases are handshakes that follow one another.
func loopCases() (cases []testCase) {
	for _, of := range []instance.Instance{live, dev} {
		for _, count := range []string{"0", "1", "2", "3", "4", "x", "", "-1", " 2"} {
			cookies := append(signedIn(of, session(of, m{"exp": start.Unix() - 60})), "__clerk_redirect_count="+count)
			cases = append(cases, testCase{name: fmt.Sprintf("loop/%s/%q", nameOf(of), count), options: plain(of), header: document, cookies: cookies})
		}
	}
	return cases
}

// clockCases move the clocks of both sides.
func clockCases() (cases []testCase) {
	for _, after := range []time.Duration{
		-31 * time.Second, -26 * time.Second, -25 * time.Second, -16 * time.Second, -15 * time.Second, 0,
		49 * time.Second, 54 * time.Second, 54*time.Second + 999*time.Millisecond, 55 * time.Second, 2 * time.Minute, time.Hour,
	} {
		cases = append(cases, testCase{name: "clock/" + after.String(), options: plain(live), header: document, after: after,
			cookies: signedIn(live, session(live, nil))})
	}
	for _, skew := range []int{1, 10000, 3600000} {
		o := with(live, m{"clockSkewInMs": skew}, func(c *auth.Config) { c.ClockSkew = time.Duration(skew) * time.Millisecond })
		for _, t := range tokens(live)[:9] {
			cases = append(cases, testCase{name: fmt.Sprintf("skew/%d/%s", skew, t.name), options: o, header: document, cookies: signedIn(live, t.token)})
		}
	}
	none := with(live, m{"clockSkewInMs": 0}, func(c *auth.Config) { c.ClockSkew = -1 })
	for _, t := range tokens(live)[:9] {
		cases = append(cases, testCase{name: "skew/none/" + t.name, options: none, header: document, cookies: signedIn(live, t.token)})
	}
	return cases
}

// partyCases are about authorized parties and audiences.
func partyCases() (cases []testCase) {
	for _, parties := range [][]string{{"https://app.dev"}, {"https://other.dev"}, {"https://other.dev", "https://app.dev"}} {
		o := with(live, m{"authorizedParties": parties}, func(c *auth.Config) { c.AuthorizedParties = parties })
		for name, azp := range map[string]any{"own": "https://app.dev", "none": nil, "empty": "", "foreign": "https://evil.dev", "number": 3, "markup": "<b>", "é": "é", "日": "日"} {
			cases = append(cases,
				testCase{name: fmt.Sprintf("azp/cookie/%d %s/%s", len(parties), parties[0][8:], name), options: o, cookies: signedIn(live, session(live, m{"azp": azp}))},
				testCase{name: fmt.Sprintf("azp/header/%d %s/%s", len(parties), parties[0][8:], name), options: o, header: m{"Authorization": "Bearer " + session(live, m{"azp": azp})}})
		}
	}
	for _, audiences := range [][]string{{"api"}, {"web", "api"}} {
		o := with(live, m{"audience": audiences}, func(c *auth.Config) { c.Audiences = audiences })
		for name, aud := range map[string]any{"own": "api", "none": nil, "empty": "", "foreign": "other", "list": []string{"other", "api"}, "foreign list": []string{"a", "b"}, "empty list": []string{}} {
			cases = append(cases, testCase{name: fmt.Sprintf("aud/%d/%s", len(audiences), name), options: o, cookies: signedIn(live, session(live, m{"aud": aud}))})
		}
	}
	return cases
}

// keyCases are about where keys come from.
func keyCases() (cases []testCase) {
	own := publicPEM(ownKey)
	for name, key := range map[string]string{"own": own, "foreign": publicPEM(foreignKey), "in one line": strings.ReplaceAll(own, "\n", "")} {
		o := with(live, m{"jwtKey": key}, func(c *auth.Config) { c.JWTKey = key })
		for _, t := range tokens(live) {
			switch t.name {
			case "good", "expired", "without kid", "signed with an unknown key", "with its payload changed":
				cases = append(cases, testCase{name: "jwt key/" + name + "/" + t.name, options: o, header: document, cookies: signedIn(live, t.token)})
			}
		}
	}
	for name, secret := range map[string]string{"refused": refusedSecret, "empty": emptySecret} {
		o := with(live, m{"secretKey": secret}, func(c *auth.Config) { c.SecretKey = secret })
		cases = append(cases, testCase{name: "keys/" + name, options: o, header: document, cookies: signedIn(live, session(live, nil))})
	}
	return cases
}

// handshakeCases are browsers that come back from a handshake.
func handshakeCases(b *backendAPI) (cases []testCase) {
	for _, of := range []instance.Instance{live, dev} {
		suffix := of.CookieSuffix()
		directives := func(token string) []string {
			return []string{
				"__session=" + token + "; Path=/; Max-Age=315360000; Secure; SameSite=Lax",
				"__session_" + suffix + "=" + token + "; Path=/; Max-Age=315360000; Secure; SameSite=Lax",
				"__client_uat=1770000000; Path=/; Domain=app.dev; Max-Age=315360000; Secure; SameSite=Lax",
				"__client_uat_" + suffix + "=1770000000; Path=/; Domain=app.dev; Max-Age=315360000; Secure; SameSite=Lax",
				"__refresh_" + suffix + "=rt; Path=/; Max-Age=315360000; Secure; HttpOnly; SameSite=Lax",
			}
		}
		good := session(of, m{"sub": "user_fresh"})
		results := map[string][]string{
			"signed in":          directives(good),
			"signed out":         {"__session=; Path=/; Max-Age=0", "__session_" + suffix + "=; Path=/; Max-Age=0", "__client_uat=0; Path=/"},
			"nothing":            {},
			"expired":            directives(session(of, m{"exp": start.Unix() - 60})),
			"of yesterday":       directives(session(of, m{"exp": start.Unix() - 90000})),
			"not yet active":     directives(session(of, m{"nbf": start.Unix() + 60})),
			"foreign session":    directives(sign(foreignKey, header, claims(of))),
			"template session":   directives(sign(ownKey, header.with(m{"cat": categoryTemplate}), claims(of))),
			"malformed session":  directives("x.y.z"),
			"expires attribute":  {"__session=" + good + "; Path=/; Expires=Thu, 01 Jan 2027 00:00:00 GMT", "__client_uat=1; Path=/; Partitioned; Priority=High"},
			"own cookies erased": append(directives(good), "__clerk_handshake=; Path=/; Max-Age=0", "__clerk_handshake_nonce=; Path=/; Max-Age=0", "__clerk_db_jwt=dvb_2; Path=/"),
			"hostile name":       append(directives(good), "app_session=evil; Path=/"),
			"hostile attribute":  append(directives(good), "__client_uat=1; Path=/; Evil=1"),
			"hostile suffix":     append(directives(good), "__session_evil_name_of_another=1; Path=/"),
		}
		for name, lines := range results {
			b.nonces[nameOf(of)+" "+name] = lines
			payload := m{"handshake": lines, "iat": start.Unix()}
			token := sign(ownKey, header, payload)
			nonce := strings.ReplaceAll(nameOf(of)+" "+name, " ", "%20")
			for where, c := range map[string]testCase{
				"nonce in a cookie": {cookies: []string{"__clerk_handshake_nonce=" + nonce}},
				"nonce in the URL":  {target: "/page?a=b&__clerk_handshake_nonce=" + nonce + "&c=d"},
				"token in a cookie": {cookies: []string{"__clerk_handshake=" + token}},
				"token in the URL":  {target: "/page?__clerk_handshake=" + token + "&__clerk_help=1&__clerk_db_jwt=dvb_3"},
			} {
				c.name, c.options, c.header = fmt.Sprintf("handshake/%s/%s/%s", nameOf(of), where, name), plain(of), document
				cases = append(cases, c)
			}
		}
		payload := m{"handshake": directives(good)}
		for name, token := range map[string]string{
			"forged":                sign(foreignKey, header, payload),
			"of an unknown key":     sign(foreignKey, header.with(m{"kid": "ins_foreign"}), payload),
			"of a template":         sign(ownKey, header.with(m{"cat": categoryTemplate}), payload),
			"of a machine":          sign(ownKey, header.with(m{"cat": categoryMachine}), payload),
			"without cat":           sign(ownKey, header.with(m{"cat": nil}), payload),
			"with alg none":         signingInput(header.with(m{"alg": "none"}), payload) + ".",
			"with alg HS256":        confused(payload),
			"with another typ":      sign(ownKey, header.with(m{"typ": "JOSE"}), payload),
			"malformed":             "x.y.z",
			"without a handshake":   sign(ownKey, header, m{"a": "b"}),
			"with words for a list": sign(ownKey, header, m{"handshake": "__session=x"}),
			"expired":               sign(ownKey, header, payload.with(m{"exp": start.Unix() - 60})),
		} {
			cases = append(cases, testCase{name: fmt.Sprintf("handshake/%s/token/%s", nameOf(of), name), options: plain(of), header: document, cookies: []string{"__clerk_handshake=" + token}})
			cases = append(cases, testCase{name: fmt.Sprintf("handshake/%s/token and session/%s", nameOf(of), name), options: plain(of), header: document,
				cookies: append(signedIn(of, session(of, nil)), "__clerk_handshake="+token)})
		}
		cases = append(cases,
			testCase{name: "handshake/" + nameOf(of) + "/unknown nonce", options: plain(of), header: document, cookies: append(signedIn(of, session(of, nil)), "__clerk_handshake_nonce=unknown")},
			testCase{name: "handshake/" + nameOf(of) + "/nonce before token", options: plain(of), header: document, cookies: []string{"__clerk_handshake_nonce=" + nameOf(of) + "%20signed%20in", "__clerk_handshake=x.y.z"}},
			testCase{name: "handshake/" + nameOf(of) + "/call", options: plain(of), header: m{"Sec-Fetch-Dest": "empty"}, cookies: []string{"__clerk_handshake_nonce=" + nameOf(of) + "%20signed%20in"}},
			testCase{name: "handshake/" + nameOf(of) + "/with a header", options: plain(of), header: document.with(m{"Authorization": "Bearer " + good}), cookies: []string{"__clerk_handshake_nonce=unknown"}},
		)
	}
	return cases
}

// refreshCases are expired tokens that come with a refresh token.
func refreshCases(b *backendAPI) (cases []testCase) {
	now := start.Unix()
	expired := m{"exp": now - 60}
	for _, of := range []instance.Instance{live, dev} {
		suffix := of.CookieSuffix()
		refreshed := func(token string) []string {
			return []string{"__session=" + token + "; Path=/; Secure; SameSite=Lax", "__session_" + suffix + "=" + token + "; Path=/; Secure; SameSite=Lax"}
		}
		prefix := nameOf(of) + "-"
		for name, result := range map[string]any{
			"good":         refreshed(session(of, m{"sub": "user_refreshed"})),
			"still-old":    refreshed(session(of, expired)),
			"foreign":      refreshed(sign(foreignKey, header, claims(of))),
			"empty":        []string{},
			"no-session":   []string{"__client_uat=1; Path=/"},
			"revoked":      "session_revoked",
			"unexpected":   "unexpected_error",
			"broken":       nil,
			"strange-code": "Strange Code/<b>",
			"hostile":      append([]string{"evil=1; Path=/"}, refreshed(session(of, nil))...),
		} {
			b.refreshes[prefix+name] = result
			for kind, c := range map[string]testCase{
				"page": {header: document, target: "/a/b?c=d%20e"}, "call": {header: m{"Sec-Fetch-Dest": "empty"}}, "form": {method: "POST", header: document}, "head": {method: "HEAD"},
			} {
				c.name, c.options = fmt.Sprintf("refresh/%s/%s/%s", nameOf(of), name, kind), plain(of)
				c.cookies = append(signedIn(of, session(of, expired)), "__refresh_"+suffix+"="+prefix+name)
				cases = append(cases, c)
			}
		}
		withRefresh := func(token string) []string { return append(signedIn(of, token), "__refresh_"+suffix+"="+prefix+"good") }
		for name, c := range map[string]testCase{
			"not expired":       {cookies: withRefresh(session(of, m{"nbf": now + 60}))},
			"bad signature":     {cookies: withRefresh(sign(foreignKey, header, claims(of).with(expired)))},
			"no session id":     {cookies: withRefresh(session(of, m{"exp": now - 60, "sid": nil}))},
			"in the header":     {header: document.with(m{"Authorization": "Bearer " + session(of, expired)}), cookies: []string{"__refresh_" + suffix + "=" + prefix + "good"}},
			"header and cookie": {header: document.with(m{"Authorization": "Bearer " + session(of, expired)}), cookies: withRefresh(session(of, m{"sid": "sess_cookie"}))},
			"plain refresh":     {cookies: append(signedIn(of, session(of, expired)), "__refresh="+prefix+"good")},
			"plain cookies":     {cookies: []string{"__session=" + session(of, expired), "__client_uat=" + strconv.FormatInt(now-100, 10), "__clerk_db_jwt=dvb_1", "__refresh_" + suffix + "=" + prefix + "good"}},
			"another organization": {target: "/orgs/acme", options: with(of, m{"organizationSyncOptions": m{"organizationPatterns": []string{"/orgs/:slug"}}},
				func(c *auth.Config) { c.OrganizationSync.OrganizationPatterns = []string{"/orgs/:slug"} }), cookies: withRefresh(session(of, expired))},
		} {
			c.name = fmt.Sprintf("refresh/%s/%s", nameOf(of), name)
			if c.options.js == nil {
				c.options = plain(of)
			}
			if c.header == nil {
				c.header = document
			}
			cases = append(cases, c)
		}
	}
	return cases
}

// publicURLCases are about what a handshake comes back to.
func publicURLCases() (cases []testCase) {
	for _, of := range []instance.Instance{live, dev} {
		cookies := signedIn(of, session(of, m{"exp": start.Unix() - 60}))
		for _, target := range []string{
			"/", "/a", "/a/b/", "/a%20b", "/a%2Fb", "/%E6%97%A5", "/a?b=c", "/a?b=c&b=d", "/a?b=%20c", "/a?b=c+d", "/a?b", "/a?b=",
			"/a?__dev_session=1&b=c", "/a?b=%26", "/a?redirect_url=https://evil.dev", "/a?__clerk_hs_reason=x&format=token",
			"/a?%5F_clerk_synced=true", "/a?b=c;d=e", "/a//b", "/a;b", "/a:b@c", "/a?b=https://evil.dev/?x=y",
		} {
			cases = append(cases, testCase{name: "public URL/" + nameOf(of) + strings.NewReplacer("/", "|", "?", "_", "*", "_", "[", "_").Replace(target), options: plain(of), header: document, target: target, cookies: cookies})
		}
		for name, c := range map[string]testCase{
			"http":                  {header: m{"X-Forwarded-Proto": "http"}},
			"proto list":            {header: m{"X-Forwarded-Proto": "https,http"}},
			"host with port":        {host: "app.dev:8443"},
			"default port":          {host: "app.dev:443"},
			"forwarded host":        {host: "internal:3000", header: m{"X-Forwarded-Host": "app.dev"}},
			"forwarded host, port":  {host: "internal:3000", header: m{"X-Forwarded-Host": "app.dev:8443"}},
			"forwarded hosts":       {host: "internal:3000", header: m{"X-Forwarded-Host": "app.dev,proxy.dev"}},
			"capitals":              {host: "App.DEV"},
			"localhost":             {host: "localhost:3000", header: m{"X-Forwarded-Proto": "http"}},
			"IPv6":                  {host: "[::1]:3000", header: m{"X-Forwarded-Proto": "http"}},
			"no forwarded protocol": {header: m{"X-Forwarded-Proto": ""}},
		} {
			c.name, c.options, c.cookies = "public URL/"+nameOf(of)+"/"+name, plain(of), cookies
			c.header = document.with(c.header)
			c.target = "/a?b=c"
			cases = append(cases, c)
		}
	}
	return cases
}

// proxyCases are about where a handshake goes.
func proxyCases() (cases []testCase) {
	for _, of := range []instance.Instance{live, dev} {
		cookies := signedIn(of, session(of, m{"exp": start.Unix() - 60}))
		for _, proxyURL := range []string{"/__clerk", "/__clerk/", "/a/b", "https://app.dev/__clerk", "https://app.dev/__clerk/", "https://other.dev:8443/p"} {
			o := with(of, m{"proxyUrl": proxyURL}, func(c *auth.Config) { c.ProxyURL = proxyURL })
			name := fmt.Sprintf("proxy/%s/%s", nameOf(of), strings.ReplaceAll(proxyURL, "/", "|"))
			cases = append(cases,
				testCase{name: name + "/handshake", options: o, header: document, cookies: cookies},
				testCase{name: name + "/on another host", options: o, header: document, cookies: cookies, host: "www.app.dev"},
				testCase{name: name + "/signed in", options: o, header: document, cookies: signedIn(of, session(of, nil))},
				testCase{name: name + "/issuer is the proxy", options: o, header: document, cookies: signedIn(of, session(of, m{"iss": "https://app.dev/__clerk"}))},
			)
		}
	}
	// With a proxy of ours, and @clerk/express's own.
	cookies := signedIn(live, session(live, m{"exp": start.Unix() - 60}))
	ownProxy := func(path string) options {
		return with(live, m{"frontendApiProxy": m{"enabled": true, "path": path}}, func(c *auth.Config) {
			proxy, err := clerkproxy.New(clerkproxy.Config{PublishableKey: live.PublishableKey, SecretKey: liveSecret, ProxyURL: path})
			if err != nil {
				panic(err)
			}
			c.Proxy, c.PublishableKey, c.SecretKey = proxy, "", ""
		})
	}
	for _, path := range []string{"/__clerk", "/_c/x"} {
		for _, host := range []string{"app.dev", "www.app.dev", "app.dev:8443"} {
			cases = append(cases, testCase{name: fmt.Sprintf("own proxy/%s/%s", strings.ReplaceAll(path, "/", "|"), host), options: ownProxy(path), header: document, host: host, cookies: cookies})
		}
		cases = append(cases,
			testCase{name: "own proxy/" + strings.ReplaceAll(path, "/", "|") + "/forwarded", options: ownProxy(path), header: document.with(m{"X-Forwarded-Host": "app.dev"}), host: "internal", cookies: cookies},
			testCase{name: "own proxy/" + strings.ReplaceAll(path, "/", "|") + "/signed in", options: ownProxy(path), header: document, cookies: signedIn(live, session(live, nil))})
	}
	return cases
}

// referrerCases are signed-in people who come from somewhere.
func referrerCases() (cases []testCase) {
	for _, of := range []instance.Instance{live, dev} {
		for _, o := range []struct {
			name string
			options
		}{
			{"primary", plain(of)},
			{"satellite", with(of, m{"isSatellite": true, "domain": "app.dev", "signInUrl": "https://primary.dev/sign-in"}, func(c *auth.Config) {
				c.IsSatellite, c.Domain, c.SignInURL = true, "app.dev", "https://primary.dev/sign-in"
			})},
			{"proxied", with(of, m{"proxyUrl": "https://app.dev/__clerk"}, func(c *auth.Config) { c.ProxyURL = "https://app.dev/__clerk" })},
		} {
			if o.name == "proxied" && !of.Live {
				continue // proxyCases has what becomes of a proxy in development
			}
			for _, referrer := range []string{
				"https://satellite.dev/", "https://app.dev/other", "http://app.dev/", "https://app.dev:443/", "https://app.dev:8443/", "https://www.app.dev/",
				"https://accounts.app.dev/sign-in", "http://accounts.app.dev/", "https://clerk.app.dev/v1/x", "https://accounts.evil.dev/",
				"https://foo-bar-13.accounts.dev/sign-in", "https://foo-bar-13.clerk.accounts.dev/", "https://other-one-7.accounts.dev/", "https://accounts.foo.lcl.dev/",
				"https://APP.DEV/", "about:blank", "nonsense", "https://", "/relative",
			} {
				name := fmt.Sprintf("referrer/%s/%s/%s", nameOf(of), o.name, strings.ReplaceAll(referrer, "/", "|"))
				cases = append(cases, testCase{name: name, options: o.options, header: document.with(m{"Referer": referrer}), cookies: signedIn(of, session(of, nil))})
			}
			base := testCase{options: o.options, header: document.with(m{"Referer": "https://satellite.dev/"}), cookies: signedIn(of, session(of, nil))}
			for name, change := range map[string]func(*testCase){
				"iframe":    func(c *testCase) { c.header = c.header.with(m{"Sec-Fetch-Dest": "iframe"}) },
				"no dest":   func(c *testCase) { c.header = m{"Referer": "https://satellite.dev/", "Accept": "text/html"} },
				"form":      func(c *testCase) { c.method = "POST" },
				"after one": func(c *testCase) { c.cookies = append(c.cookies, "__clerk_redirect_count=1") },
				"in header": func(c *testCase) {
					c.header = c.header.with(m{"Authorization": "Bearer " + session(of, nil)})
					c.cookies = nil
				},
				"of pending": func(c *testCase) { c.cookies = signedIn(of, session(of, m{"sts": "pending"})) },
			} {
				c := base
				c.cookies = slices.Clone(base.cookies)
				change(&c)
				c.name = fmt.Sprintf("referrer/%s/%s/%s", nameOf(of), o.name, name)
				cases = append(cases, c)
			}
		}
	}
	return cases
}

// satelliteCases are visits to a satellite.
func satelliteCases() (cases []testCase) {
	for _, of := range []instance.Instance{live, dev} {
		for _, at := range []struct {
			name string
			js   m
			ours func(*auth.Config)
		}{
			{"domain", m{"domain": "satellite.dev"}, func(c *auth.Config) { c.Domain = "satellite.dev" }},
			{"proxy", m{"proxyUrl": "https://satellite.dev/__clerk"}, func(c *auth.Config) { c.ProxyURL = "https://satellite.dev/__clerk" }},
		} {
			if at.name == "proxy" && !of.Live {
				continue // as above
			}
			for _, auto := range []bool{false, true} {
				o := with(of, at.js.with(m{"isSatellite": true, "satelliteAutoSync": auto, "signInUrl": "https://primary.dev/sign-in?x=y"}), func(c *auth.Config) {
					at.ours(c)
					c.IsSatellite, c.SatelliteAutoSync, c.SignInURL = true, auto, "https://primary.dev/sign-in?x=y"
				})
				for _, target := range []string{"/", "/?__clerk_synced=false", "/?__clerk_synced=true", "/?__clerk_synced=maybe", "/?__clerk_synced=false&__clerk_synced=true"} {
					for name, cookies := range map[string][]string{
						"nothing":    nil,
						"signed in":  signedIn(of, session(of, m{"iss": "https://clerk.satellite.dev"})),
						"expired":    signedIn(of, session(of, m{"exp": start.Unix() - 60})),
						"uat alone":  {"__client_uat=" + strconv.FormatInt(start.Unix()-100, 10), "__clerk_db_jwt=dvb_1"},
						"looping":    {"__clerk_redirect_count=3", "__clerk_db_jwt=dvb_1"},
						"signed out": {"__client_uat=0", "__clerk_db_jwt=dvb_1"},
					} {
						cases = append(cases, testCase{
							name:    fmt.Sprintf("satellite/%s/%s/auto %v/%s/%s", nameOf(of), at.name, auto, strings.NewReplacer("/", "|", "?", "_").Replace(target), name),
							options: o, header: document, host: "satellite.dev", target: target, cookies: cookies,
						})
					}
				}
				for name, c := range map[string]testCase{
					"call": {header: m{"Sec-Fetch-Dest": "empty"}}, "old browser": {header: m{"Accept": "text/html"}}, "iframe": {header: m{"Sec-Fetch-Dest": "iframe"}}, "form": {method: "POST", header: document},
				} {
					c.name, c.options, c.host, c.target = fmt.Sprintf("satellite/%s/%s/auto %v/%s", nameOf(of), at.name, auto, name), o, "satellite.dev", "/?__clerk_synced=false"
					cases = append(cases, c)
				}
			}
		}
	}
	return cases
}

// developmentCases are what only development instances do.
func developmentCases() (cases []testCase) {
	good := session(dev, nil)
	noBrowser := signedIn(dev, good)[:4]
	for name, c := range map[string]testCase{
		"first visit":                  {},
		"first visit, call":            {header: m{"Sec-Fetch-Dest": "empty"}},
		"browser alone":                {cookies: []string{"__clerk_db_jwt=dvb_1"}},
		"browser with a suffix alone":  {cookies: []string{"__clerk_db_jwt_" + dev.CookieSuffix() + "=dvb_1"}},
		"no browser":                   {cookies: noBrowser},
		"browser in the URL":           {target: "/?a=b&__clerk_db_jwt=dvb_2", cookies: noBrowser},
		"browser in URL and cookie":    {target: "/?__clerk_db_jwt=dvb_2", cookies: signedIn(dev, good)},
		"empty browser in the URL":     {target: "/?__clerk_db_jwt=", cookies: signedIn(dev, good)},
		"browser in the URL, call":     {target: "/?__clerk_db_jwt=dvb_2", cookies: signedIn(dev, good), header: m{"Sec-Fetch-Dest": "empty"}},
		"primary answers":              {target: "/?__clerk_redirect_url=http%3A%2F%2Flocalhost%3A3001%2Fx%3Fa%3Db", host: "localhost:3000", cookies: signedIn(dev, good)},
		"primary answers needs sync":   {target: "/?__clerk_redirect_url=http%3A%2F%2Flocalhost%3A3001%2F%3F__clerk_synced%3Dfalse", host: "localhost:3000", cookies: signedIn(dev, good)},
		"primary answers, no browser":  {target: "/?__clerk_redirect_url=http%3A%2F%2F127.0.0.1%3A3001%2F", cookies: noBrowser},
		"primary answers, call":        {target: "/?__clerk_redirect_url=http%3A%2F%2Flocalhost%3A3001%2F", cookies: noBrowser, header: m{"Sec-Fetch-Dest": "empty"}},
		"primary answers, looping":     {target: "/?__clerk_redirect_url=http%3A%2F%2Flocalhost%3A3001%2F", cookies: append(slices.Clone(noBrowser), "__clerk_redirect_count=3")},
		"primary answers a stranger":   {target: "/?__clerk_redirect_url=https%3A%2F%2Fevil.dev%2F", cookies: signedIn(dev, good)},
		"primary answers nonsense":     {target: "/?__clerk_redirect_url=nonsense", cookies: signedIn(dev, good)},
		"primary answers a script":     {target: "/?__clerk_redirect_url=javascript%3Aalert(1)", cookies: signedIn(dev, good)},
		"help":                         {target: "/?__clerk_help=1", cookies: signedIn(dev, good)},
		"legacy browser in URL":        {target: "/?__dev_session=1", cookies: noBrowser},
		"signed out":                   {cookies: []string{"__clerk_db_jwt=dvb_1", "__client_uat=0"}},
		"signed out, production names": {cookies: []string{"__clerk_db_jwt=dvb_1", "__client_uat=0", "__session=" + good}},
	} {
		c.name, c.options = "development/"+name, plain(dev)
		if c.header == nil {
			c.header = document
		}
		cases = append(cases, c)
	}
	listed := with(dev, m{"signInUrl": "/sign-in"}, func(c *auth.Config) {
		c.AllowedRedirectOrigins, c.SignInURL = []string{"https://satellite.dev"}, "/sign-in"
	})
	cases = append(cases, testCase{name: "development/primary answers an allowed origin", options: listed, header: document,
		target: "/?__clerk_redirect_url=https%3A%2F%2Fsatellite.dev%2Fx%3Fa%3Db", cookies: signedIn(dev, good)})
	production := with(live, m{"signInUrl": "/sign-in"}, func(c *auth.Config) { c.SignInURL = "/sign-in" })
	cases = append(cases, testCase{name: "development/primary does not answer in production", options: production, header: document,
		target: "/?__clerk_redirect_url=https%3A%2F%2Fsatellite.dev%2F", cookies: signedIn(live, session(live, nil))})
	return cases
}

// organizationCases are pages that belong to an organization.
func organizationCases() (cases []testCase) {
	sets := map[string][2][]string{
		"slug":       {{"/orgs/:slug", "/orgs/:slug/(.*)"}, {"/me", "/me/(.*)"}},
		"id":         {{"/o/:id", "/o/:id/(.*)"}, nil},
		"expression": {{"/o/:slug([a-z]+)-page", "/x{/y}?/:slug", "/:lang(en|de)?/orgs/:slug"}, {"/personal{/*}?"}},
		"optional":   {{"/orgs/:slug?", "/files.:slug"}, {"/(.*)"}},
	}
	sets["expression"] = [2][]string{{"/o/:slug([a-z]+)-page", "/x{/y}?/:slug", "/:lang(en|de)?/orgs/:slug"}, {"/personal{/:rest}?"}}
	targets := []string{
		"/", "/orgs/acme", "/orgs/ACME", "/ORGS/acme", "/orgs/acme/", "/orgs/acme/settings/x", "/orgs/other", "/orgs", "/orgs/", "/orgs/a%20b", "/orgs/acme?x=y",
		"/o/org_1", "/o/org_2/x", "/me", "/me/", "/me/x", "/mex", "/o/acme-page", "/o/other-page", "/x/y/other", "/x/other", "/en/orgs/other", "/fr/orgs/other",
		"/personal", "/personal/x", "/files.other", "/files",
	}
	active := map[string]m{
		"none":       nil,
		"version 1":  {"org_id": "org_1", "org_slug": "acme", "org_role": "org:admin"},
		"version 2":  {"v": 2, "o": m{"id": "org_1", "slg": "acme", "rol": "admin"}},
		"is pending": {"sts": "pending", "org_id": "org_1", "org_slug": "acme"},
	}
	for set, patterns := range sets {
		sync := m{"organizationPatterns": patterns[0]}
		if patterns[1] != nil {
			sync["personalAccountPatterns"] = patterns[1]
		}
		o := with(live, m{"organizationSyncOptions": sync}, func(c *auth.Config) {
			c.OrganizationSync = auth.OrganizationSync{OrganizationPatterns: patterns[0], PersonalAccountPatterns: patterns[1]}
		})
		for _, target := range targets {
			for name, change := range active {
				cases = append(cases, testCase{name: fmt.Sprintf("organization/%s/%s/%s", set, strings.NewReplacer("/", "|", "?", "_").Replace(target), name),
					options: o, header: document, target: target, cookies: signedIn(live, session(live, change))})
			}
		}
		for name, c := range map[string]testCase{
			"call":             {header: m{"Sec-Fetch-Dest": "empty"}},
			"form":             {method: "POST"},
			"two before":       {cookies: []string{"__clerk_redirect_count=2"}},
			"three before":     {cookies: []string{"__clerk_redirect_count=3"}},
			"in a header":      {header: document.with(m{"Authorization": "Bearer " + session(live, nil)})},
			"expired":          {cookies: signedIn(live, session(live, m{"exp": start.Unix() - 60}))},
			"expired personal": {target: "/me", cookies: signedIn(live, session(live, m{"exp": start.Unix() - 60}))},
		} {
			c.name, c.options = fmt.Sprintf("organization/%s/%s", set, name), o
			if c.header == nil {
				c.header = document
			}
			if c.target == "" {
				c.target = "/orgs/other"
			}
			c.cookies = append(c.cookies, signedIn(live, session(live, nil))...)
			cases = append(cases, c)
		}
	}
	return cases
}

// sessionCases are what a token says about a session.
func sessionCases() (cases []testCase) {
	for name, change := range map[string]m{
		"version 1":                     {"org_id": "org_1", "org_slug": "acme", "org_role": "org:admin", "org_permissions": []string{"org:a:read", "org:a:write"}},
		"version 2":                     {"v": 2, "fea": "o:a,o:b", "o": m{"id": "org_1", "slg": "acme", "rol": "admin", "per": "read,write", "fpm": "3,2"}},
		"version 2, user features":      {"v": 2, "fea": "u:x,o:a,uo:b,o:c", "o": m{"id": "org_1", "rol": "member", "per": "read,write", "fpm": "1,2,3"}},
		"version 2, spaces":             {"v": 2, "fea": "o:a, o:b", "o": m{"id": "org_1", "rol": "member", "per": "read, write", "fpm": "1, 2"}},
		"version 2, short map":          {"v": 2, "fea": "o:a,o:b", "o": m{"id": "org_1", "per": "read", "fpm": "1"}},
		"version 2, bad map":            {"v": 2, "fea": "o:a,o:b", "o": m{"id": "org_1", "per": "read,write", "fpm": "x,-1"}},
		"version 2, wide map":           {"v": 2, "fea": "o:a", "o": m{"id": "org_1", "per": "read,write", "fpm": "255"}},
		"version 2, huge map":           {"v": 2, "fea": "o:a", "o": m{"id": "org_1", "per": manyPermissions(), "fpm": "1267650600228229401496703205377"}},
		"version 2, zero":               {"v": 2, "fea": "o:a", "o": m{"id": "org_1", "per": "read,write", "fpm": "0"}},
		"version 2, no permissions":     {"v": 2, "fea": "o:a", "o": m{"id": "org_1", "slg": "acme"}},
		"version 2, no organization":    {"v": 2, "org_id": "org_1"},
		"version 2, an empty one":       {"v": 2, "o": m{}},
		"version 1 with o":              {"o": m{"id": "org_1"}},
		"version 3":                     {"v": 3, "org_id": "org_1", "o": m{"id": "org_2"}},
		"pending with an organization":  {"sts": "pending", "org_id": "org_1"},
		"impersonated":                  {"act": m{"sub": "user_admin"}},
		"impersonated by an old token":  {"act": "user_admin"},
		"custom claims":                 {"metadata": m{"plan": "gold"}, "Sub": "user_evil", "SID": "sess_evil"},
		"claims of unexpected types":    {"fva": "x", "sts": 5, "org_slug": 5, "jti": m{}},
		"a long name":                   {"sub": "user_" + strings.Repeat("x", 500)},
		"text outside ASCII":            {"sub": "user_é日"},
		"an audience that nobody wants": {"aud": "x"},
	} {
		cases = append(cases,
			testCase{name: "session/cookie/" + name, options: plain(live), cookies: signedIn(live, session(live, change))},
			testCase{name: "session/header/" + name, options: plain(live), header: m{"Authorization": "Bearer " + session(live, change)}})
	}
	return cases
}

func manyPermissions() string {
	var names []string
	for i := range 101 {
		names = append(names, "p"+strconv.Itoa(i))
	}
	return strings.Join(names, ",")
}

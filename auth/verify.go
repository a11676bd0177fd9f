package auth

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A tokenError says why a token is not accepted. Reason, message and action are
// those of Clerk's JavaScript SDK, for they are seen from outside, in the
// headers X-Clerk-Auth-Reason and -Message.
type tokenError struct {
	reason, message, action string
}

func (e *tokenError) Error() string { return e.message }

// full is the message for X-Clerk-Auth-Message.
func (e *tokenError) full(carrier string) string {
	message := e.message
	if e.action != "" {
		message += " " + e.action
	}
	return message + " (reason=" + e.reason + ", token-carrier=" + carrier + ")"
}

const (
	actionEnsureJWT = "Make sure that this is a valid Clerk-generated JWT."
	actionContact   = "Contact support@clerk.com"
)

// The errors of [Authenticator.verify] after which a session may yet be found
// alive, by a refresh or a handshake.
const (
	reasonExpired      = "token-expired"
	reasonNotActiveYet = "token-not-active-yet"
	reasonIATInFuture  = "token-iat-in-the-future"
)

// verified is a session token whose signature and unchanging claims are good.
// Whether it is in force depends on the clock.
type verified struct {
	token         *token
	key           *rsa.PublicKey
	session       *Session
	exp, nbf, iat time.Time // nbf and iat: zero when absent
}

// presented is a token as a request brings it: taken apart, and verified when an
// earlier request brought the same one.
type presented struct {
	raw      string
	digest   [sha256.Size]byte
	token    *token
	err      *tokenError // token is nil
	verified *verified   // nil: not yet
}

func (a *Authenticator) present(raw string, now time.Time) presented {
	p := presented{raw: raw}
	if len(raw) > maxTokenBytes {
		p.err = errTokenForm
		return p
	}
	p.digest = sha256.Sum256([]byte(raw))
	// A key that Clerk has withdrawn takes with it what it has signed.
	if v := a.tokens.get(p.digest); v != nil && a.keys.known(v.token.kid, now) == v.key {
		p.token, p.verified = v.token, v
		return p
	}
	p.token, p.err = decodeToken(raw)
	return p
}

// verify verifies a session token. Its class is for the caller to check.
func (a *Authenticator) verify(ctx context.Context, p *presented, skew time.Duration, now time.Time) (*Session, *tokenError) {
	if p.err != nil {
		return nil, p.err
	}
	if p.verified == nil {
		v, err := a.verifyToken(ctx, p.token, now)
		if err != nil {
			return nil, err
		}
		p.verified = v
		a.tokens.put(p.digest, v, now)
	}
	if err := p.verified.inForce(now, skew); err != nil {
		return nil, err
	}
	return p.verified.session, nil
}

func (a *Authenticator) verifyToken(ctx context.Context, t *token, now time.Time) (*verified, *tokenError) {
	if t.cat == categoryMachine {
		return nil, &tokenError{"token-invalid", "Invalid session token category.", actionEnsureJWT}
	}
	key, err := a.keys.lookup(ctx, t.kid, now)
	if err != nil {
		return nil, err
	}
	if err := checkSignature(t, key); err != nil {
		return nil, err
	}
	// Claims come after the signature: an answer about them to someone who
	// cannot sign would tell how this application is configured.
	if err := a.checkParties(t); err != nil {
		return nil, err
	}
	v := &verified{token: t, key: key}
	if v.exp, err = timeClaim(t, "exp", "expiry date"); err != nil {
		return nil, err
	}
	if v.exp.IsZero() {
		return nil, claimTypeError(t, "exp", "expiry date")
	}
	if v.nbf, err = timeClaim(t, "nbf", "not before date"); err != nil {
		return nil, err
	}
	if v.iat, err = timeClaim(t, "iat", "issued at date"); err != nil {
		return nil, err
	}
	v.session = a.newSession(v)
	return v, nil
}

// checkSignature verifies the signature with RS256 and nothing else: a token
// does not choose how it is verified, RFC 8725 §3.1.
func checkSignature(t *token, key *rsa.PublicKey) *tokenError {
	if t.typ != nil && t.typ != "JWT" {
		return &tokenError{"token-invalid", fmt.Sprintf("Invalid JWT type %s. Expected \"JWT\".", jsonText(t.typ)), actionEnsureJWT}
	}
	if t.alg != "RS256" {
		return &tokenError{"token-invalid-algorithm", fmt.Sprintf("Invalid JWT algorithm %s. Supported: RS256.", jsonText(t.alg)), actionEnsureJWT}
	}
	sum := sha256.Sum256([]byte(t.signed))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature) != nil {
		return &tokenError{reason: "token-invalid-signature", message: "JWT signature is invalid."}
	}
	return nil
}

// checkParties checks who the token is about, for whom and by whom it was asked
// for.
func (a *Authenticator) checkParties(t *token) *tokenError {
	const failed = "token-verification-failed"
	if _, ok := t.claims["sub"].(string); !ok {
		return &tokenError{failed, "Subject claim (sub) is required and must be a string. Received " + t.show("sub") + ".", actionEnsureJWT}
	}
	// Clerk's session tokens have no audience unless the application adds one,
	// so a token without passes, as in Clerk's JavaScript SDK.
	if aud := t.claims["aud"]; len(a.audiences) > 0 && !isEmpty(aud) && !intersects(aud, a.audiences) {
		array := ""
		if _, ok := aud.([]any); ok {
			array = " array"
		}
		return &tokenError{failed, fmt.Sprintf("Invalid JWT audience claim%s (aud) %s. Is not included in \"%s\".", array, t.show("aud"), jsonText(a.audiences)), actionEnsureJWT}
	}
	// A token without azp must fail too, or leaving it out would pass the check.
	if azp := t.text("azp"); len(a.authorizedParties) > 0 && !slices.Contains(a.authorizedParties, azp) {
		return &tokenError{reason: "token-invalid-authorized-parties",
			message: fmt.Sprintf("Invalid JWT Authorized party claim (azp) %s. Expected \"%s\".", t.show("azp"), strings.Join(a.authorizedParties, ","))}
	}
	return nil
}

// inForce reports whether now is within the token's time.
func (v *verified) inForce(now time.Time, skew time.Duration) *tokenError {
	if !v.exp.After(now.Add(-skew)) {
		return &tokenError{reason: reasonExpired, message: fmt.Sprintf("JWT is expired. Expiry date: %s, Current date: %s.", httpTime(v.exp), httpTime(now))}
	}
	latest := now.Add(skew)
	if v.nbf.After(latest) {
		return &tokenError{reason: reasonNotActiveYet, message: fmt.Sprintf("JWT cannot be used prior to not before date claim (nbf). Not before date: %s; Current date: %s;", httpTime(v.nbf), httpTime(now))}
	}
	if v.iat.After(latest) {
		return &tokenError{reason: reasonIATInFuture, message: fmt.Sprintf("JWT issued at date claim (iat) is in the future. Issued at date: %s; Current date: %s;", httpTime(v.iat), httpTime(now))}
	}
	return nil
}

// timeClaim reads a NumericDate, RFC 7519 §2. It is zero when the claim is
// absent.
func timeClaim(t *token, claim, name string) (time.Time, *tokenError) {
	value, present := t.claims[claim]
	if !present {
		return time.Time{}, nil
	}
	seconds, ok := value.(float64)
	if !ok {
		return time.Time{}, claimTypeError(t, claim, name)
	}
	// The range keeps the conversion exact and the year to four digits.
	const latest = 253402300799 // 9999-12-31T23:59:59Z
	return time.Unix(int64(min(max(seconds, 0), latest)), 0), nil
}

func claimTypeError(t *token, claim, name string) *tokenError {
	return &tokenError{"token-verification-failed", fmt.Sprintf("Invalid JWT %s claim (%s) %s. Expected number.", name, claim, t.show(claim)), actionEnsureJWT}
}

func httpTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// intersects reports whether an audience claim, one or several, RFC 7519
// §4.1.3, names one of the accepted.
func intersects(claim any, accepted []string) bool {
	switch claim := claim.(type) {
	case string:
		return slices.Contains(accepted, claim)
	case []any:
		return slices.ContainsFunc(claim, func(v any) bool {
			s, ok := v.(string)
			return ok && slices.Contains(accepted, s)
		})
	}
	return false
}

func isEmpty(claim any) bool {
	list, isList := claim.([]any)
	return claim == nil || claim == "" || isList && len(list) == 0
}

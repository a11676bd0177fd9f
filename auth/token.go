package auth

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// maxTokenBytes is the length up to which a token is looked at. Clerk's own
// session tokens fit into a cookie, 4 KB; the rest is room for custom claims in
// a header and for the cookies in a handshake token.
const maxTokenBytes = 32 << 10

// Categories of tokens that an instance signs with one key, in the protected
// header cat. Handshake tokens carry the category of session tokens.
const (
	categorySession = "cl_B7d4PD111AAA"
	categoryMachine = "cl_B7d4PD333AAA"
	// Instances that do not tell classes apart put this one on every token.
	categoryNone = "cl_I7d4PD111III"
)

// A token is a JSON Web Token that has been taken apart and not verified:
// nothing in it can be believed yet.
type token struct {
	typ, alg, cat any // nil: absent
	kid           string
	claims        map[string]any
	payload       []byte
	signed        string // what the signature covers, RFC 7515 §5.2
	signature     []byte
}

var (
	errTokenForm = &tokenError{reason: "token-invalid",
		message: "Invalid JWT form. A JWT consists of three parts separated by dots."}
	errTokenParts = &tokenError{reason: "token-invalid",
		message: "Invalid JWT form. The header, payload, or signature could not be decoded."}
)

// decodeToken takes a compact JWT apart, RFC 7515 §7.1.
func decodeToken(s string) (*token, *tokenError) {
	if len(s) > maxTokenBytes || strings.Count(s, ".") != 2 {
		return nil, errTokenForm
	}
	header, rest, _ := strings.Cut(s, ".")
	payload, signature, _ := strings.Cut(rest, ".")

	t := &token{signed: s[:len(header)+1+len(payload)]}
	var fields map[string]any
	if raw, ok := decodeSegment(header); !ok || json.Unmarshal(raw, &fields) != nil || fields == nil {
		return nil, errTokenParts
	}
	var ok bool
	if t.payload, ok = decodeSegment(payload); !ok || json.Unmarshal(t.payload, &t.claims) != nil || t.claims == nil {
		return nil, errTokenParts
	}
	if t.signature, ok = decodeSegment(signature); !ok {
		return nil, errTokenParts
	}
	t.typ, t.alg, t.cat = fields["typ"], fields["alg"], fields["cat"]
	t.kid, _ = fields["kid"].(string)
	if _, present := fields["cat"]; present && t.cat == nil {
		t.cat = "null" // is not the same as no category
	}
	return t, nil
}

// decodeSegment decodes base64url without padding, RFC 7515 §2. The standard
// library's decoder passes over line breaks, which have no place here.
func decodeSegment(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// isSession reports whether the token can be a session token by its class. The
// instance signs machine tokens and tokens made from templates with the same
// key; those outlive the session that they were made in, or never had one.
func (t *token) isSession() bool {
	if typ, _ := t.typ.(string); typ == "at+jwt" || typ == "application/at+jwt" { // RFC 9068 §2.1
		return false
	}
	if sub, _ := t.claims["sub"].(string); strings.HasPrefix(sub, "mch_") {
		return false
	}
	return t.hasSessionCategory()
}

// hasSessionCategory accepts a token without a category: such are older than
// the categories.
func (t *token) hasSessionCategory() bool {
	return t.cat == nil || t.cat == categorySession || t.cat == categoryNone
}

// isOpaqueMachineToken reports whether s is an API key, an OAuth access token or
// a machine-to-machine token of the kind that is not a JWT.
func isOpaqueMachineToken(s string) bool {
	return strings.HasPrefix(s, "mt_") || strings.HasPrefix(s, "oat_") || strings.HasPrefix(s, "ak_")
}

// issuer is the issuer without its scheme, or empty.
func (t *token) issuer() string {
	iss, _ := t.claims["iss"].(string)
	for _, scheme := range []string{"https://", "http://"} {
		if len(iss) >= len(scheme) && strings.EqualFold(iss[:len(scheme)], scheme) {
			return iss[len(scheme):]
		}
	}
	return iss
}

// number is a numeric claim, or 0.
func (t *token) number(claim string) float64 {
	n, _ := t.claims[claim].(float64)
	return n
}

func (t *token) text(claim string) string {
	s, _ := t.claims[claim].(string)
	return s
}

// show writes a claim into a message as JavaScript would.
func (t *token) show(claim string) string {
	value, present := t.claims[claim]
	if !present {
		return "undefined"
	}
	return jsonText(value)
}

func jsonText(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

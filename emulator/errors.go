package emulator

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// object is a JSON object under construction.
type object = map[string]any

// apiError is one entry of an error answer. The codes and statuses are the ones
// that https://clerk.com/docs/guides/development/errors/frontend-api lists; the
// words are our own, ClerkJS translates by code.
type apiError struct {
	status    int
	code      string
	message   string
	parameter string // the form field at fault
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// about is the same error, laid at a form field's door.
func (e *apiError) about(parameter string) *apiError {
	copied := *e
	copied.parameter = parameter
	return &copied
}

func newError(status int, code, message string) *apiError {
	return &apiError{status: status, code: code, message: message}
}

// Errors of both APIs.
var (
	errNotFound         = newError(http.StatusNotFound, "resource_not_found", "There is nothing at this path.")
	errMethodNotAllowed = newError(http.StatusMethodNotAllowed, "method_not_allowed", "This path does not answer this method.")
	errMalformed        = newError(http.StatusBadRequest, "malformed_request_parameters", "The request's parameters could not be parsed.")
	errBodyInvalid      = newError(http.StatusBadRequest, "request_body_invalid", "The request's body is not a JSON object.")
	errBodyTooLarge     = newError(http.StatusRequestEntityTooLarge, "request_body_too_large", "The request's body is too large.")
	errInternal         = newError(http.StatusInternalServerError, "internal_clerk_error", "The emulator failed; its log says why.")
)

// Errors of attribution, see [Server.attribute].
var (
	errHostInvalid        = newError(http.StatusBadRequest, "host_invalid", "No instance belongs to this host or proxy URL. Register the proxy URL for the domain, exactly as the proxy sends it.")
	errProxySecretMissing = newError(http.StatusBadRequest, "proxy_request_missing_secret_key", "A proxied request needs the instance's secret key in its Clerk-Secret-Key header.")
	errProxySecretInvalid = newError(http.StatusUnauthorized, "proxy_request_invalid_secret_key", "The Clerk-Secret-Key header does not hold this instance's secret key.")
)

// Errors of handshakes and of domains.
var (
	errRedirectURL  = newError(http.StatusUnprocessableEntity, "form_param_value_invalid", "This URL is not on a domain of the instance, or is not https there. On loopback it must be on the host of a registered proxy URL.")
	errOnSatellite  = newError(http.StatusForbidden, "operation_not_allowed_on_satellite_domain", "This is not possible on a satellite domain. People sign in on the primary domain.")
	errOnPrimary    = newError(http.StatusForbidden, "operation_not_allowed_on_primary_domain", "This is for satellite domains.")
	errSyncNonce    = newError(http.StatusBadRequest, "sync_nonce_already_consumed", "This token was used, has expired, or is for another domain.")
	errDomainExists = newError(http.StatusUnprocessableEntity, "form_identifier_exists", "The instance has this domain already.")
	errOrganization = newError(http.StatusNotFound, "organization_not_found_or_unauthorized", "There is no such organization, or the user is not a member of it.")
)

// Errors of refreshing a session. Clerk does not list its codes; servers only put
// them into the reason of the handshake that follows.
var (
	errRefreshExpired  = newError(http.StatusUnauthorized, "expired_token_invalid", "The expired token is not a session token of this session.")
	errRefreshOrigin   = newError(http.StatusUnauthorized, "request_origin_invalid", "The origin is not that of a page on the domain that the session token was issued for.")
	errRefreshInactive = newError(http.StatusUnauthorized, "session_inactive", "The session has ended.")
	errRefreshToken    = newError(http.StatusUnauthorized, "refresh_token_invalid", "This is not the session's refresh token, or it was used.")
)

// Errors of the Backend API's authentication.
var (
	errAuthenticationMissing = newError(http.StatusUnauthorized, "authentication_invalid", "The Backend API needs the instance's secret key in the Authorization header.")
	errAuthorizationFormat   = newError(http.StatusUnauthorized, "authorization_header_format_invalid", "The Authorization header must be 'Bearer' and the secret key.")
	errSecretKeyInvalid      = newError(http.StatusUnauthorized, "clerk_key_invalid", "This is not the instance's secret key.")
)

// Errors of people signing in and up.
var (
	errSignedOut        = newError(http.StatusUnauthorized, "signed_out", "You are signed out.")
	errUnauthenticated  = newError(http.StatusUnauthorized, "authentication_invalid", "This needs an active session.")
	errSessionExists    = newError(http.StatusBadRequest, "session_exists", "You are already signed in.")
	errIdentifier       = newError(http.StatusUnprocessableEntity, "form_identifier_not_found", "There is no account with this identifier.")
	errIdentifierExists = newError(http.StatusUnprocessableEntity, "form_identifier_exists", "This e-mail address is taken. Please try another.")
	errPassword         = newError(http.StatusUnprocessableEntity, "form_password_incorrect", "The password is incorrect.")
	errPasswordShort    = newError(http.StatusUnprocessableEntity, "form_password_length_too_short", fmt.Sprintf("A password has %d characters or more.", minPasswordLength))
	errPasswordLong     = newError(http.StatusUnprocessableEntity, "form_password_length_too_long", fmt.Sprintf("A password has at most %d characters.", maxPasswordLength))
	errCode             = newError(http.StatusUnprocessableEntity, "form_code_incorrect", "The code is incorrect.")
	errParameterMissing = newError(http.StatusUnprocessableEntity, "form_param_missing", "This parameter must be included.")
	errParameterValue   = newError(http.StatusUnprocessableEntity, "form_param_value_invalid", "This parameter does not have an allowed value.")
	errParameterFormat  = newError(http.StatusUnprocessableEntity, "form_param_format_invalid", "This parameter is not well formed.")
	errParameterUnknown = newError(http.StatusUnprocessableEntity, "form_param_unknown", "This parameter is not known here.")
	errStrategy         = newError(http.StatusBadRequest, "strategy_for_user_invalid", "This account cannot be verified in this way.")

	errVerificationMissing  = newError(http.StatusBadRequest, "verification_missing", "Ask for a code before attempting it.")
	errVerificationExpired  = newError(http.StatusBadRequest, "verification_expired", "The code has expired. Ask for another.")
	errVerificationFailed   = newError(http.StatusBadRequest, "verification_failed", "Too many failed attempts. Ask for another code.")
	errVerificationVerified = newError(http.StatusBadRequest, "verification_already_verified", "This is verified already.")
)

// errProxyConfiguration says that a proxy URL did not pass its check. Clerk does
// not say why; here the reason is worth having.
func errProxyConfiguration(reason error) *apiError {
	return newError(http.StatusUnprocessableEntity, "invalid_proxy_configuration",
		"The Frontend API cannot be reached through the proxy URL: "+reason.Error()+".").about("proxy_url")
}

// writeError answers with err, which is an [apiError] or a join of several; of
// anything else only the log learns. The client, unless nil, goes with an error
// that tells ClerkJS that its own idea of the client is out of date.
func (s *Server) writeError(w http.ResponseWriter, err error, client any) {
	var list []*apiError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			var e *apiError
			if errors.As(one, &e) {
				list = append(list, e)
			}
		}
	} else if e, ok := err.(*apiError); ok {
		list = append(list, e)
	}
	if len(list) == 0 {
		s.config.Logger.Error("emulator: request failed", "error", err)
		list = append(list, errInternal)
	}

	entries := []object{}
	for _, e := range list {
		meta := object{}
		if e.parameter != "" {
			meta["param_name"] = e.parameter
		}
		entries = append(entries, object{"code": e.code, "message": e.message, "long_message": e.message, "meta": meta})
	}
	body := object{"errors": entries, "clerk_trace_id": w.Header().Get(headerTraceID)}
	if client != nil {
		body["meta"] = object{"client": client}
	}
	s.writeJSON(w, list[0].status, body)
}

func (s *Server) writeJSON(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		s.config.Logger.Error("emulator: encoding an answer", "error", err)
		status, encoded = http.StatusInternalServerError, []byte(`{"errors":[]}`)
	}
	w.Header().Set("Content-Type", "application/json")
	// Nothing in between may keep an answer that holds someone's session.
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(encoded)
}

const headerTraceID = "X-Clerk-Trace-Id"

func newTraceID() string {
	id := make([]byte, 16)
	rand.Read(id)
	return hex.EncodeToString(id)
}

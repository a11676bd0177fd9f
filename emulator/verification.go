package emulator

import (
	"crypto/subtle"
	"time"
)

const (
	codeLifetime = 10 * time.Minute
	codeAttempts = 3
)

const (
	statusVerified   = "verified"
	statusUnverified = "unverified"

	strategyPassword  = "password"
	strategyEmailCode = "email_code"
)

// verification is one attempt to show that a person is who they say they are.
type verification struct {
	strategy string
	verified bool
	attempts int
	expireAt time.Time // zero for a password, which does not expire
}

func newCodeVerification(now time.Time) *verification {
	return &verification{strategy: strategyEmailCode, expireAt: now.Add(codeLifetime)}
}

// attemptCode tries a code on a verification that may not have been prepared.
func attemptCode(v *verification, code string, now time.Time) error {
	switch {
	case v == nil || v.strategy != strategyEmailCode:
		return errVerificationMissing
	case v.verified:
		return errVerificationVerified
	case !now.Before(v.expireAt):
		return errVerificationExpired
	case v.attempts >= codeAttempts:
		return errVerificationFailed
	}
	v.attempts++
	if subtle.ConstantTimeCompare([]byte(code), []byte(Code)) != 1 {
		return errCode.about("code")
	}
	v.verified = true
	return nil
}

func (v *verification) status(now time.Time) string {
	switch {
	case v.verified:
		return statusVerified
	case !v.expireAt.IsZero() && !now.Before(v.expireAt):
		return "expired"
	case v.attempts >= codeAttempts:
		return "failed"
	}
	return statusUnverified
}

func verificationJSON(v *verification, now time.Time) object {
	shown := object{
		"object":    "verification_password",
		"status":    v.status(now),
		"strategy":  v.strategy,
		"attempts":  v.attempts,
		"expire_at": nil,
	}
	if !v.expireAt.IsZero() {
		shown["object"], shown["expire_at"] = "verification_otp", v.expireAt.UnixMilli()
	}
	return shown
}

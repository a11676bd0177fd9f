package instance

import (
	"cmp"
	"os"
)

const copyKey = "; copy it from the Clerk Dashboard, page API keys"

// ReadPublishableKey parses a configured publishable key, or else that of the
// environment. It calls fail with what is wrong with it.
func ReadPublishableKey(configured string, fail func(field, variable, problem string)) (i Instance, ok bool) {
	key := cmp.Or(configured, PublicEnv("CLERK_PUBLISHABLE_KEY"))
	i, err := ParsePublishableKey(key)
	switch {
	case key == "":
		fail("PublishableKey", "CLERK_PUBLISHABLE_KEY", "is missing"+copyKey)
	case err != nil:
		fail("PublishableKey", "CLERK_PUBLISHABLE_KEY", err.Error()+copyKey)
	}
	return i, err == nil
}

// ReadKeys does the same for both keys, which must be of one instance.
func ReadKeys(publishable, secret string, fail func(field, variable, problem string)) (i Instance, secretKey string) {
	i, ok := ReadPublishableKey(publishable, fail)
	secretKey = cmp.Or(secret, os.Getenv("CLERK_SECRET_KEY"))
	live, err := ParseSecretKey(secretKey)
	switch {
	case secretKey == "":
		fail("SecretKey", "CLERK_SECRET_KEY", "is missing"+copyKey)
	case err != nil:
		fail("SecretKey", "CLERK_SECRET_KEY", err.Error()+copyKey)
	case ok && live != i.Live:
		fail("SecretKey", "CLERK_SECRET_KEY", ErrMismatch.Error()+"; copy both from the same instance in the Clerk Dashboard")
	}
	return i, secretKey
}

// PublicEnv reads an environment variable that frameworks hand to browsers
// under a prefix; the name without the prefix goes first.
func PublicEnv(name string) string {
	return cmp.Or(os.Getenv(name), os.Getenv("NEXT_PUBLIC_"+name))
}

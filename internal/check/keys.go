package check

import (
	"context"

	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// keys looks at the keys themselves. Whether Clerk knows them, the step domain
// finds out.
func (c *checker) keys(context.Context) finding {
	const dashboard = "copy both from the same production instance in the Clerk Dashboard, page API keys"
	inst, publishableErr := instance.ParsePublishableKey(c.PublishableKey)
	live, secretErr := instance.ParseSecretKey(c.SecretKey)
	development := c.PublishableKey != "" && publishableErr == nil && !inst.Live || c.SecretKey != "" && secretErr == nil && !live
	switch {
	case c.PublishableKey == "" && c.SecretKey == "":
		return skip("no keys were given, so what only Clerk can tell of the proxy is left out")
	case c.PublishableKey != "" && publishableErr != nil:
		return fail("the publishable key is "+publishableErr.Error(), dashboard)
	case c.SecretKey != "" && secretErr != nil:
		return fail("the secret key is "+secretErr.Error(), dashboard)
	case c.PublishableKey != "" && c.SecretKey != "" && live != inst.Live:
		return fail(instance.ErrMismatch.Error(), dashboard)
	case development:
		return fail("the keys are those of a development instance (pk_test_, sk_test_), and Clerk proxies production instances only",
			"use the production instance's keys, and leave out the proxy URL in development")
	case c.SecretKey == "":
		return ok("a production instance, " + inst.FrontendAPI + "; without its secret key, what only Clerk can tell of the proxy is left out")
	case c.PublishableKey == "":
		return ok("the secret key is a production instance's")
	}
	return ok("both are a production instance's, " + inst.FrontendAPI)
}

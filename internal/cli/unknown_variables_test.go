package cli

import (
	"slices"
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/config"
)

func TestUnknownVariablesAreWarnedOf(t *testing.T) {
	const unknown = " in the environment: there is no such variable"
	tests := []struct {
		name, variable, want string
	}{
		{"a variable of serve", "CLERK_PROXY_LISTEN=:80", ""},
		{"a variable of another command", "CLERK_PROXY_WAIT=3s", ""},
		{"Clerk's own", "CLERK_PROXY_URL=/auth", ""},
		{"somebody else's", "CLERK_LISTN=:80", ""},
		{"one that a site's secret key is in", "CLERK_PROXY_SHOP_KEY=x", ""},
		{"an empty one, as left out", "CLERK_PROXY_LISTN=", ""},
		{"a letter is missing", "CLERK_PROXY_LISTN=:80", "CLERK_PROXY_LISTN" + unknown + "; did you mean CLERK_PROXY_LISTEN?"},
		{"what others call it", "CLERK_PROXY_PORT=8080", "CLERK_PROXY_PORT" + unknown + "; did you mean CLERK_PROXY_LISTEN?"},
		{"one that is Clerk's without the prefix", "CLERK_PROXY_PUBLISHABLE_KEY=pk", "CLERK_PROXY_PUBLISHABLE_KEY" + unknown + "; did you mean CLERK_PUBLISHABLE_KEY?"},
		{"the secret key, which is not shown", "CLERK_PROXY_SECRET_KEY=" + liveSecretKey, "CLERK_PROXY_SECRET_KEY" + unknown + "; did you mean CLERK_SECRET_KEY?"},
		{"like nothing", "CLERK_PROXY_ELEPHANT=1", "CLERK_PROXY_ELEPHANT" + unknown},
		{"the secret key as a name", "CLERK_PROXY_" + liveSecretKey + "=1", "CLERK_PROXY_sk_live_…" + unknown},

		{"the host of a service in Kubernetes", "CLERK_PROXY_SERVICE_HOST=10.0.0.1", ""},
		{"the port of one", "CLERK_PROXY_SERVICE_PORT=80", ""},
		{"a named port of one", "CLERK_PROXY_SERVICE_PORT_HTTPS=443", ""},
		{"the address of one", "CLERK_PROXY_PORT=tcp://10.0.0.1:80", ""},
		{"the address of a port", "CLERK_PROXY_PORT_443_UDP=udp://10.0.0.1:443", ""},
		{"a part of it", "CLERK_PROXY_PORT_80_TCP_ADDR=10.0.0.1", ""},
		{"a service beside it", "CLERK_PROXY_ADMIN_SERVICE_HOST=10.0.0.1", ""},
		{"the address of a service beside it", "CLERK_PROXY_ADMIN_PORT=tcp://10.0.0.1:25375", ""},
	}
	sites := []config.Site{{SecretKeyEnv: "CLERK_PROXY_SHOP_KEY"}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			if got := unknownVariables(newRootCommand(), []string{"HOME=/", tt.variable}, sites); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

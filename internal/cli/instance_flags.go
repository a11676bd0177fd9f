package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/config"
	"github.com/clerkproxy/clerkproxy/internal/domains"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// instanceFlags are those of a command that asks Clerk about an instance.
type instanceFlags struct {
	publishableKey string
	secretKeyFile  string
	apiURL         string
	fapiCA         string
}

func (f *instanceFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.publishableKey, "publishable-key", "", "the instance's publishable `key`, pk_live_…")
	flags.StringVar(&f.secretKeyFile, "secret-key-file", "", "`file` that holds the secret key, instead of CLERK_SECRET_KEY")
	flags.StringVar(&f.apiURL, "api-url", "", "`URL` of the Backend API (default https://api.clerk.com)")
	flags.StringVar(&f.fapiCA, "fapi-ca", "", "PEM `file` with the authorities to trust for both of Clerk's APIs (default the system's)")
}

// instanceVariables are Clerk's own names for these flags, and for those that go
// with them.
func instanceVariables() map[string][]string {
	return map[string][]string{
		"publishable-key": {"CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"},
		"secret-key-file": {"CLERK_SECRET_KEY_FILE"},
		"api-url":         {"CLERK_API_URL"},
		"fapi-url":        {"CLERK_FAPI_URL"},
		"proxy-url":       {"CLERK_PROXY_URL", "NEXT_PUBLIC_CLERK_PROXY_URL"},
	}
}

// clerkInstance is what these flags say, and the files that they name.
type clerkInstance struct {
	publishableKey string
	secretKey      string
	apiURL         string
	roots          *x509.CertPool // nil: the system's
}

// read reads the files. Whether what it returns is valid is for others to say.
func (f *instanceFlags) read(flags *pflag.FlagSet, warn func(string)) (i clerkInstance, problems []error) {
	i = clerkInstance{publishableKey: f.publishableKey, apiURL: f.apiURL}
	var err error
	if i.secretKey, err = secretKey(f.secretKeyFile, warn); err != nil {
		problems = append(problems, problem(flags.Lookup("secret-key-file"), err.Error()))
	}
	if f.fapiCA != "" {
		if i.roots, err = config.ReadCertificates(f.fapiCA); err != nil {
			problems = append(problems, problem(flags.Lookup("fapi-ca"), fmt.Sprintf("%s %v", f.fapiCA, err)))
		}
	}
	return i, problems
}

// readKeys is read for a command that cannot do without the secret key. It needs
// no publishable key, but one that belongs to it.
func (f *instanceFlags) readKeys(flags *pflag.FlagSet, warn func(string)) (i clerkInstance, problems []error) {
	i, problems = f.read(flags, warn)
	const secret = "CLERK_SECRET_KEY (or --secret-key-file): "
	live, err := instance.ParseSecretKey(i.secretKey)
	switch {
	case i.secretKey == "" && f.secretKeyFile != "": // and read has said why
	case i.secretKey == "":
		problems = append(problems, errors.New(secret+"is missing; copy it from the Clerk Dashboard, page API keys"))
	case err != nil:
		problems = append(problems, errors.New(secret+err.Error()))
	}
	if i.publishableKey == "" {
		return i, problems
	}
	published, publishedErr := instance.ParsePublishableKey(i.publishableKey)
	switch {
	case publishedErr != nil:
		problems = append(problems, problem(flags.Lookup("publishable-key"), publishedErr.Error()))
	case err == nil && published.Live != live:
		problems = append(problems, problem(flags.Lookup("publishable-key"), instance.ErrMismatch.Error()))
	}
	return i, problems
}

// productionOnly refuses the keys of a development instance.
func (i clerkInstance) productionOnly() []error {
	if live, err := instance.ParseSecretKey(i.secretKey); live || err != nil {
		return nil
	}
	return []error{errors.New("CLERK_SECRET_KEY (or --secret-key-file): is that of a development instance (sk_test_), and Clerk proxies production instances only; use the production instance's keys (sk_live_)")}
}

// domains is the Backend API of the instance.
func (i clerkInstance) domains(flags *pflag.FlagSet) (*domains.Clerk, []error) {
	clerk, err := domains.NewClerk(i.apiURL, i.secretKey, i.transport())
	if err != nil {
		return nil, []error{problem(flags.Lookup("api-url"), err.Error())}
	}
	return clerk, nil
}

// transport reaches Clerk's APIs. HTTPS_PROXY and NO_PROXY count.
func (i clerkInstance) transport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: i.roots, MinVersion: tls.VersionTLS12}
	return transport
}

// warnTo returns what tells a person what they should know.
func warnTo(w io.Writer) func(string) {
	return func(text string) { fmt.Fprintln(w, "clerk-proxy: warning:", text) }
}

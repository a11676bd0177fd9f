package cli

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/demo"
)

func TestDemoWithoutPackagesSaysWhatToType(t *testing.T) {
	var out strings.Builder
	root := newRootCommand()
	root.SetOut(&out)
	root.SetArgs([]string{"demo", "--listen", "127.0.0.1:0", "--npm", t.TempDir()})
	err := root.ExecuteContext(t.Context())
	if !errors.Is(err, demo.ErrNoPackages) {
		t.Fatalf("the error is %v", err)
	}
	var said strings.Builder
	printErrors(&said, err)
	if got := said.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "make npm") || !strings.Contains(got, "make demo") {
		t.Errorf("it says %q, want one line with what to type", got)
	}
	if out.Len() > 0 {
		t.Errorf("it says %q as if it had started", out.String())
	}
}

func TestDemoIsNotConfiguredByTheEnvironment(t *testing.T) {
	for _, name := range []string{"CLERK_IS_SATELLITE", "CLERK_JWT_KEY", "NEXT_PUBLIC_CLERK_SIGN_IN_URL"} {
		t.Setenv(name, "of another instance")
	}
	t.Setenv("CLERKS_OWN", "kept")
	if err := forgetClerk(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"CLERK_IS_SATELLITE", "CLERK_JWT_KEY", "NEXT_PUBLIC_CLERK_SIGN_IN_URL"} {
		if value, ok := os.LookupEnv(name); ok {
			t.Errorf("%s is %q", name, value)
		}
	}
	if os.Getenv("CLERKS_OWN") != "kept" {
		t.Error("a variable that is not Clerk's was unset")
	}
}

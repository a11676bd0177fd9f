package cli

import (
	"errors"
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

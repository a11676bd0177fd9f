package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  noArguments,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), buildVersion())
		},
	}
}

// What make build says with -ldflags -X: nothing in a binary of go build or go
// install, where Go itself knows.
var releaseVersion, releaseRevision string

// version says what the running binary was built from.
type version struct {
	module   string // v1.2.3, or (devel) when it was not built from a release
	revision string // empty when it was not built from a checkout
	modified bool
	platform string
}

func buildVersion() version {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	v := versionOf(info)
	if releaseVersion != "" {
		v.module = releaseVersion
	}
	if revision, modified := strings.CutSuffix(releaseRevision, "+dirty"); revision != "" {
		v.revision, v.modified = revision, modified
	}
	return v
}

func versionOf(info *debug.BuildInfo) version {
	v := version{
		module:   info.Main.Version,
		platform: fmt.Sprintf("%s %s/%s", info.GoVersion, runtime.GOOS, runtime.GOARCH),
	}
	if v.module == "" {
		v.module = "(devel)"
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.revision = setting.Value
		case "vcs.modified":
			v.modified = setting.Value == "true"
		}
	}
	return v
}

// String is one line: clerk-proxy v1.2.3 (revision 0123456789ab) go1.26 linux/amd64.
func (v version) String() string {
	parts := []string{"clerk-proxy", v.module}
	if v.revision != "" {
		revision := v.revision[:min(12, len(v.revision))]
		if v.modified {
			revision += ", modified"
		}
		parts = append(parts, "(revision "+revision+")")
	}
	return strings.Join(append(parts, v.platform), " ")
}

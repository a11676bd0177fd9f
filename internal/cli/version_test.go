package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	platform := fmt.Sprintf("go1.26.8 %s/%s", runtime.GOOS, runtime.GOARCH)
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	tests := []struct {
		name, module string
		settings     []debug.BuildSetting
		want         string
	}{
		{"a release", "v1.2.3", nil, "clerk-proxy v1.2.3 " + platform},
		{"built from a checkout", "(devel)", []debug.BuildSetting{revision}, "clerk-proxy (devel) (revision 0123456789ab) " + platform},
		{"built from a changed checkout", "(devel)", []debug.BuildSetting{revision, modified}, "clerk-proxy (devel) (revision 0123456789ab, modified) " + platform},
		{"without information", "", nil, "clerk-proxy (devel) " + platform},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := versionOf(&debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: tt.module}, Settings: tt.settings})
			if got.String() != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

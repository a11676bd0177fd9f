package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// profile is where the time goes, as make profile has found it. The compiler makes
// that faster, and takes twice as long; so it is not default.pgo, with which tests
// would be built too.
const profile = "cmd/clerk-proxy/profile.pgo"

func host() string { return runtime.GOOS + "/" + runtime.GOARCH }

// build builds the binary from a directory for a platform such as linux/amd64.
// What Go would say of the checkout by itself is left out, as an archive of the
// source could not say it too.
func build(dir string, v version, platform, binary string) error {
	system, processor, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("%q is no platform; write one such as linux/amd64", platform)
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	flags := "-s -w"
	if v.name != "" {
		flags += " -X " + module + "/internal/cli.releaseVersion=" + v.name
	}
	if v.revision != "" {
		flags += " -X " + module + "/internal/cli.releaseRevision=" + v.revision
	}
	command := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-pgo", profile, "-o", binary, "./cmd/clerk-proxy")
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=", "GOARM64=", "GOOS="+system, "GOARCH="+processor)
	command.Stderr = os.Stderr
	return command.Run()
}

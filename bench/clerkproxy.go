package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

func clerkproxy() peer {
	return peer{
		name: "clerkproxy", title: "clerk-proxy", verifies: true, toUpstream: "as it chooses",
		prepare: prepareClerkproxy,
		command: func(s setting) (*exec.Cmd, error) {
			return serve(s, publishableKey, secretKey)
		},
		note: "clerk-proxy serve with its defaults, --log-level warn for want of an access log",
	}
}

// serve is clerk-proxy serve.
func serve(s setting, publishable, secret string, extra ...string) (*exec.Cmd, error) {
	admin, err := s.freePort()
	if err != nil {
		return nil, err
	}
	args := []string{"serve",
		"--listen", s.listen(), "--proxy-url", proxyURL, "--fapi-url", "https://" + s.upstream, "--fapi-ca", s.certs.CA,
		"--log-level", "warn", "--admin-listen", fmt.Sprintf("127.0.0.1:%d", admin)}
	if s.profile != "" {
		args = append(args, "--admin-pprof")
	}
	if s.http2 {
		args = append(args, "--tls-cert", s.certs.Cert, "--tls-key", s.certs.Key)
	}
	cmd := exec.Command(s.clerkproxy(), append(args, extra...)...)
	cmd.Env = []string{"CLERK_PUBLISHABLE_KEY=" + publishable, "CLERK_SECRET_KEY=" + secret}
	return cmd, nil
}

func (e *environment) clerkproxy() string {
	if e.binary != "" {
		return e.binary
	}
	return filepath.Join(e.cache, "clerk-proxy")
}

// prepareClerkproxy builds what is released: the Makefile says how.
func prepareClerkproxy(ctx context.Context, e *environment) (string, error) {
	binary := e.clerkproxy()
	if e.binary == "" {
		if _, err := output(ctx, e.root, "make", "-s", "build", "BIN="+binary); err != nil {
			return "", err
		}
	}
	version, err := output(ctx, "", binary, "version")
	return firstLine(version), err
}

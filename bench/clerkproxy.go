package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
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

// serve is clerk-proxy serve. Until it has TLS of its own, tlsserve has it for
// HTTP/2.
func serve(s setting, publishable, secret string, extra ...string) (*exec.Cmd, error) {
	binary, args := s.clerkproxy(), []string{"serve"}
	if s.http2 {
		help, err := output(context.Background(), "", binary, "serve", "--help")
		if err != nil {
			return nil, err
		}
		if strings.Contains(help, "--tls-cert") {
			args = append(args, "--tls-cert", s.certs.Cert, "--tls-key", s.certs.Key)
		} else {
			binary, args = s.tlsserve(), []string{"--cert", s.certs.Cert, "--key", s.certs.Key}
			if _, err := output(context.Background(), s.root, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./bench/tlsserve"); err != nil {
				return nil, err
			}
		}
	}
	args = append(args,
		"--listen", s.listen(), "--proxy-url", proxyURL, "--fapi-url", "https://"+s.upstream,
		"--fapi-ca", s.certs.CA, "--log-level", "warn")
	cmd := exec.Command(binary, append(args, extra...)...)
	cmd.Env = []string{"CLERK_PUBLISHABLE_KEY=" + publishable, "CLERK_SECRET_KEY=" + secret}
	return cmd, nil
}

func (e *environment) tlsserve() string { return filepath.Join(e.cache, "tlsserve") }

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

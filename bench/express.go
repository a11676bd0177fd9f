package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func express() peer {
	return peer{
		name: "express", title: "@clerk/express", verifies: true, toUpstream: "HTTP/1.1, kept alive", noHTTP2: true,
		prepare: func(ctx context.Context, e *environment) (string, error) {
			node, err := output(ctx, "", "node", "--version")
			if err != nil {
				return "", fmt.Errorf("node is not installed: %w", err)
			}
			content, err := os.ReadFile(filepath.Join(e.root, "npm/node_modules/@clerk/express/package.json"))
			if errors.Is(err, os.ErrNotExist) {
				return "", errors.New("not installed; type: make npm")
			}
			var manifest struct{ Version string }
			if err := json.Unmarshal(content, &manifest); err != nil {
				return "", err
			}
			return "@clerk/express " + manifest.Version + ", Node.js " + node, nil
		},
		command: func(s setting) (*exec.Cmd, error) {
			if s.http2 {
				return nil, errNoHTTP2
			}
			cmd := exec.Command("node", filepath.Join(s.root, "bench/testdata/express.cjs"), fmt.Sprint(s.port))
			cmd.Env = []string{
				"NODE_ENV=production",
				"NODE_EXTRA_CA_CERTS=" + s.certs.CA,
				"CLERK_FAPI_URL=https://" + s.upstream,
				"CLERK_PUBLISHABLE_KEY=" + publishableKey,
				"CLERK_SECRET_KEY=" + secretKey,
				"CLERK_TELEMETRY_DISABLED=1",
			}
			return cmd, nil
		},
		note: "clerkMiddleware with frontendApiProxy, one process, as the guide shows it; Node.js keeps an unused upstream connection for 4 s; asks the upstream for uncompressed answers; takes the client's address from headers only, so that a proxy in front has to set it",
	}
}

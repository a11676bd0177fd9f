package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const caddyVersion = "v2.11.9"

func caddy() peer {
	binary := func(e *environment) string { return filepath.Join(e.cache, "caddy-"+caddyVersion, "caddy") }
	return peer{
		name: "caddy", title: "Caddy", verifies: true, toUpstream: "HTTP/1.1, kept alive",
		prepare: func(ctx context.Context, e *environment) (string, error) {
			path := binary(e)
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags", "-s -w", "github.com/caddyserver/caddy/v2/cmd/caddy@"+caddyVersion)
				cmd.Dir = e.cache // outside of any module's influence
				cmd.Env = append(os.Environ(), "GOBIN="+filepath.Dir(path), "GOFLAGS=", "CGO_ENABLED=0")
				if out, err := cmd.CombinedOutput(); err != nil {
					return "", fmt.Errorf("go install: %w: %s", err, out)
				}
			}
			return "Caddy " + caddyVersion, nil
		},
		command: func(s setting) (*exec.Cmd, error) {
			site, tls := "http://"+appHost, ""
			if s.http2 {
				site, tls = "https://"+appHost, fmt.Sprintf("tls %s %s", s.certs.Cert, s.certs.Key)
			}
			conf := strings.NewReplacer(
				"{site}", fmt.Sprintf("%s:%d", site, s.port),
				"{tls}", tls,
				"{upstream}", s.upstream,
				"{ca}", s.certs.CA,
				"{fapi}", fapiHost,
				"{proxy-url}", proxyURL,
				"{secret-key}", secretKey,
				"{path}", proxyPath,
				"{idle}", idleTimeout.String(),
			).Replace(caddyfile)
			file, err := s.file("Caddyfile", conf)
			if err != nil {
				return nil, err
			}
			cmd := exec.Command(binary(s.environment), "run", "--config", file, "--adapter", "caddyfile")
			cmd.Env = []string{"XDG_DATA_HOME=" + s.dir, "XDG_CONFIG_HOME=" + s.dir}
			return cmd, nil
		},
		note: "access log off, HTTP/1.1 to the upstream, where its default is HTTP/2, which costs it more; no cache without a plug-in",
	}
}

const caddyfile = `
{
	admin off
	persist_config off
	auto_https off
	log {
		level ERROR
	}
	servers {
		protocols h1 h2
		timeouts {
			idle 15m
		}
	}
}

{site} {
	bind 127.0.0.1
	{tls}
	handle_path {path}/* {
		reverse_proxy https://{upstream} {
			header_up Host {fapi}
			header_up Clerk-Proxy-Url {proxy-url}
			header_up Clerk-Secret-Key {secret-key}
			header_up X-Forwarded-For {remote_host}
			transport http {
				versions 1.1
				tls_trust_pool file {ca}
				tls_server_name {fapi}
				keepalive {idle}
				keepalive_idle_conns 256
				keepalive_idle_conns_per_host 256
			}
		}
	}
}
`

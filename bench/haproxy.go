package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

func haproxy() peer {
	return peer{
		name: "haproxy", title: "HAProxy", verifies: true, toUpstream: "HTTP/1.1, kept alive",
		prepare: func(ctx context.Context, e *environment) (string, error) {
			path, err := fromDebian(ctx, e, "haproxy")
			if err != nil {
				return "", err
			}
			version, err := output(ctx, "", path, "-v")
			return firstLine(version), err
		},
		command: func(s setting) (*exec.Cmd, error) {
			path, err := fromDebian(context.Background(), s.environment, "haproxy")
			if err != nil {
				return nil, err
			}
			tls := ""
			if s.http2 {
				tls = " ssl crt " + s.certs.Both + " alpn h2,http/1.1"
			}
			conf := strings.NewReplacer(
				"{threads}", fmt.Sprint(s.cores),
				"{listen}", s.listen()+tls,
				"{upstream}", s.upstream,
				"{ca}", s.certs.CA,
				"{fapi}", fapiHost,
				"{proxy-url}", proxyURL,
				"{secret-key}", secretKey,
				"{path}", proxyPath,
				"{idle}", fmt.Sprintf("%.0fs", idleTimeout.Seconds()),
			).Replace(haproxyConf)
			file, err := s.file("haproxy.cfg", conf)
			if err != nil {
				return nil, err
			}
			return exec.Command(path, "-db", "-f", file), nil
		},
		note: "http-reuse always, a pool of unused connections; no cache: its own takes no answer with Vary: Accept-Encoding by default, nor one so large",
	}
}

const haproxyConf = `
global
  nbthread {threads}
  maxconn 12000
  no strict-limits
  tune.pool-high-fd-ratio 90
  tune.pool-low-fd-ratio 80

defaults
  mode http
  timeout connect 10s
  timeout client 900s
  timeout server 120s
  timeout http-keep-alive 900s
  timeout http-request 30s
  http-reuse always

frontend clients
  bind {listen}
  use_backend fapi if { path_beg {path}/ }

backend fapi
  http-request set-path %[path,regsub(^{path},)]
  http-request set-header Host {fapi}
  http-request set-header Clerk-Proxy-Url {proxy-url}
  http-request set-header Clerk-Secret-Key {secret-key}
  http-request set-header X-Forwarded-For %[src]
  server fapi {upstream} ssl verify required ca-file {ca} verifyhost {fapi} sni str({fapi}) ssl-min-ver TLSv1.3 pool-max-conn 256 pool-purge-delay {idle}
`

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

func nginxAsInGuide() peer {
	return peer{
		name: "nginx-guide", title: "nginx, as in guides", toUpstream: "HTTP/1.0, a connection a request",
		prepare: prepareNginx,
		command: func(s setting) (*exec.Cmd, error) { return nginx(s, nginxGuideServer) },
		note:    "a proxy_pass and the three headers, nothing else changed: a TLS handshake a request (sessions are resumed), the certificate unverified",
	}
}

func nginxTuned() peer {
	return peer{
		name: "nginx", title: "nginx, tuned", verifies: true, toUpstream: "HTTP/1.1, kept alive",
		prepare: prepareNginx,
		command: func(s setting) (*exec.Cmd, error) { return nginx(s, nginxTunedServer) },
		note:    "upstream keepalive 256, TLS sessions reused, unbuffered uploads, no temporary files, buffers of the size that serves it best, proxy_cache for /npm/ with a lock",
	}
}

func prepareNginx(ctx context.Context, e *environment) (string, error) {
	path, err := fromDebian(ctx, e, "nginx")
	if err != nil {
		return "", err
	}
	return output(ctx, "", path, "-v")
}

func nginx(s setting, server string) (*exec.Cmd, error) {
	path, err := fromDebian(context.Background(), s.environment, "nginx")
	if err != nil {
		return nil, err
	}
	http2 := ""
	if s.http2 {
		http2 = fmt.Sprintf(" ssl http2;\n    ssl_certificate %s;\n    ssl_certificate_key %s;\n    ssl_protocols TLSv1.2 TLSv1.3", s.certs.Cert, s.certs.Key)
	}
	conf := strings.NewReplacer(
		"{server}", server,
	).Replace(nginxConf)
	conf = strings.NewReplacer(
		"{workers}", fmt.Sprint(s.cores),
		"{dir}", s.dir,
		"{listen}", s.listen()+http2,
		"{upstream}", s.upstream,
		"{ca}", s.certs.CA,
		"{fapi}", fapiHost,
		"{proxy-url}", proxyURL,
		"{secret-key}", secretKey,
		"{path}", proxyPath,
		"{idle}", fmt.Sprintf("%.0fs", idleTimeout.Seconds()),
	).Replace(conf)
	file, err := s.file("nginx.conf", conf)
	if err != nil {
		return nil, err
	}
	return exec.Command(path, "-p", s.dir, "-c", file, "-e", "stderr"), nil
}

// Clients may stay, and each worker may take them all: workers do not share
// them evenly.
const nginxConf = `
daemon off;
worker_processes {workers};
worker_rlimit_nofile 20000;
pid {dir}/pid;
events { worker_connections 12000; }
http {
  access_log off;
  error_log stderr error;
  keepalive_timeout 900s;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  {server}
}
`

const nginxGuideServer = `
  server {
    listen {listen};
    location {path}/ {
      proxy_pass https://{upstream}/;
      proxy_ssl_server_name on;
      proxy_ssl_name {fapi};
      proxy_set_header Host {fapi};
      proxy_set_header Clerk-Proxy-Url {proxy-url};
      proxy_set_header Clerk-Secret-Key {secret-key};
      proxy_set_header X-Forwarded-For $remote_addr;
    }
  }
`

// Without tcp_nopush: cached answers then wait for the client's delayed
// acknowledgement, 40 ms each.
const nginxTunedServer = `
  sendfile on;
  client_max_body_size 0;
  upstream fapi {
    server {upstream};
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_time 1d;
    keepalive_timeout {idle};
  }
  proxy_cache_path {dir}/cache levels=1:2 keys_zone=npm:1m max_size=64m inactive=1h use_temp_path=off;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  client_body_buffer_size 64k;
  proxy_max_temp_file_size 0;
  proxy_buffer_size 64k;
  proxy_buffers 4 128k;
  proxy_busy_buffers_size 256k;
  proxy_ssl_server_name on;
  proxy_ssl_name {fapi};
  proxy_ssl_session_reuse on;
  proxy_ssl_protocols TLSv1.3;
  proxy_ssl_verify on;
  proxy_ssl_verify_depth 2;
  proxy_ssl_trusted_certificate {ca};
  proxy_set_header Connection "";
  proxy_set_header Host {fapi};
  proxy_set_header Clerk-Proxy-Url {proxy-url};
  proxy_set_header Clerk-Secret-Key {secret-key};
  proxy_set_header X-Forwarded-For $remote_addr;
  open_file_cache max=1000 inactive=60s;
  server {
    listen {listen};
    location {path}/ {
      proxy_pass https://fapi/;
    }
    location {path}/npm/ {
      proxy_pass https://fapi/npm/;
      proxy_cache npm;
      proxy_cache_lock on;
      proxy_cache_use_stale error timeout updating;
      proxy_cache_revalidate on;
    }
  }
`

package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

func reverseProxy() peer {
	return peer{
		name: "reverseproxy", title: "httputil.ReverseProxy", verifies: true, toUpstream: "HTTP/1.1, kept alive",
		prepare: func(context.Context, *environment) (string, error) { return runtime.Version(), nil },
		command: func(s setting) (*exec.Cmd, error) {
			return role("reverseproxy", reverseProxyConfig{s.listen(), s.upstream, s.http2, s.certs})
		},
		note: "what a Go developer would write who knows http.Transport: 256 unused connections, pooled buffers",
	}
}

// reverseProxyConfig is the argument of the role reverseproxy.
type reverseProxyConfig struct {
	Listen, Upstream string
	HTTP2            bool
	Certificates     certificates
}

func runReverseProxy(ctx context.Context, arg string) error {
	var c reverseProxyConfig
	if err := json.Unmarshal([]byte(arg), &c); err != nil {
		return err
	}
	config, err := c.Certificates.client()
	if err != nil {
		return err
	}
	config.ServerName = fapiHost
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: c.Upstream})
			r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, proxyPath)
			r.Out.URL.RawPath = strings.TrimPrefix(r.In.URL.RawPath, proxyPath)
			r.Out.Host = fapiHost
			r.Out.Header["Clerk-Proxy-Url"] = []string{proxyURL}
			r.Out.Header["Clerk-Secret-Key"] = []string{secretKey}
			host, _, _ := net.SplitHostPort(r.In.RemoteAddr)
			r.Out.Header["X-Forwarded-For"] = []string{host}
		},
		Transport: &http.Transport{
			TLSClientConfig:     config, // and no HTTP/2, which costs more
			DisableCompression:  true,
			MaxIdleConns:        256,
			MaxIdleConnsPerHost: 256,
			IdleConnTimeout:     idleTimeout,
		},
		BufferPool: new(bufferPool),
		ErrorLog:   log.Default(),
	}
	srv := &http.Server{Addr: c.Listen, Handler: proxy, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 15 * time.Minute}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if c.HTTP2 {
		err = srv.ListenAndServeTLS(c.Certificates.Cert, c.Certificates.Key)
	} else {
		err = srv.ListenAndServe()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type bufferPool struct{ pool sync.Pool }

func (b *bufferPool) Get() []byte {
	if buf, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return buf[:]
	}
	return make([]byte, 32<<10)
}

func (b *bufferPool) Put(buf []byte) { b.pool.Put((*[32 << 10]byte)(buf)) }

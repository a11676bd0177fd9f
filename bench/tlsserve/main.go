// Command tlsserve is clerk-proxy serve with TLS and HTTP/2 for its clients, as
// long as serve itself has none: the same handler in net/http's server.
package main

import (
	"crypto/x509"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

func main() {
	cert := flag.String("cert", "", "certificate")
	key := flag.String("key", "", "its key")
	listen := flag.String("listen", "", "address")
	proxyURL := flag.String("proxy-url", "", "as serve's")
	fapiURL := flag.String("fapi-url", "", "as serve's")
	fapiCA := flag.String("fapi-ca", "", "as serve's")
	app := flag.String("app", "", "as serve's")
	_ = flag.String("log-level", "", "always warn")
	flag.Parse()

	pem, err := os.ReadFile(*fapiCA)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	site := server.Site{Proxy: clerkproxy.Config{ProxyURL: *proxyURL, FrontendAPIURL: *fapiURL, RootCAs: pool}}
	if *app != "" {
		if site.AppURL, err = url.Parse(*app); err != nil {
			log.Fatal(err)
		}
	}
	s, err := server.New(server.Config{
		Sites:  []server.Site{site},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Addr: *listen, Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.Fatal(srv.ListenAndServeTLS(*cert, *key))
}

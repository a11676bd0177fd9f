package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// An authority obtains certificates for hosts and renews them.
type authority struct {
	*settings
	hosts       []string
	log         *slog.Logger
	cache       *certmagic.Cache
	magic       *certmagic.Config
	issuer      *certmagic.ACMEIssuer
	placeholder net.Listener // nil: there is none to be had
	failed      func(error)  // told instead of the log; nil: nobody is

	mu       sync.Mutex
	failures map[string]failure // by host
}

// A failure is why a host has no newer certificate than the one in force then.
type failure struct {
	text string
	hash string // the certificate's; empty: none
}

// newAuthority returns an authority that is to be run. All that certmagic has a
// default for in its package's variables is set, so that nothing is shared.
func newAuthority(s *settings, hosts []string, log *slog.Logger) *authority {
	a := &authority{settings: s, hosts: hosts, log: log, failures: make(map[string]failure)}
	theirs := bridge(log)
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return a.magic, nil },
		RenewCheckInterval: s.interval,
		Logger:             theirs,
	})
	a.magic = certmagic.New(a.cache, certmagic.Config{
		RenewalWindowRatio: certmagic.DefaultRenewalWindowRatio,
		KeySource:          certmagic.DefaultKeyGenerator,
		Issuers:            []certmagic.Issuer{}, // set below, as it needs the Config
		Storage:            s.storage,
		OnEvent:            a.onEvent,
		Logger:             theirs,
	})
	template := certmagic.ACMEIssuer{
		CA:                      s.directory,
		TestCA:                  s.testDirectory,
		Email:                   s.email,
		Agreed:                  true,
		ExternalAccount:         s.binding,
		TrustedRoots:            s.roots,
		DisableHTTPChallenge:    !s.http01,
		DisableTLSALPNChallenge: !s.tlsALPN01,
		HTTPProxy:               http.ProxyFromEnvironment,
		Logger:                  theirs,
	}
	if a.placeholder = listenAsPlaceholder(); a.placeholder != nil {
		address := a.placeholder.Addr().(*net.TCPAddr)
		template.ListenHost = address.IP.String()
		template.AltHTTPPort, template.AltTLSALPNPort = address.Port, address.Port
	}
	a.issuer = certmagic.NewACMEIssuer(a.magic, template)
	a.magic.Issuers = []certmagic.Issuer{a.issuer}
	return a
}

// listenAsPlaceholder listens on loopback for nobody. To answer a challenge,
// certmagic opens a port of its own unless somebody listens there already. Here
// the server's own listeners answer, whatever their ports are and whichever way
// the authority's requests come to them, so certmagic is told to look here.
func listenAsPlaceholder() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil // then it finds the server's if that has the usual ports
	}
	go func() { // ends when the listener is closed
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return listener
}

// run keeps a certificate for each host until ctx is done, and looks now and then
// whether others have had one issued.
func (a *authority) run(ctx context.Context, poll time.Duration) {
	defer a.close()
	var keeping sync.WaitGroup
	for _, host := range a.hosts {
		keeping.Go(func() { a.keep(ctx, host) })
	}
	keeping.Go(func() { every(ctx, poll, func() { a.takeOver(ctx) }) })
	keeping.Wait()
}

// close ends what belongs to it.
func (a *authority) close() {
	if a.placeholder != nil {
		a.placeholder.Close()
	}
	go a.cache.Stop() // it waits for what the cache is at; nobody here needs to
}

// keep has a certificate for a host. Once there is one, the cache renews it.
// certmagic tries again itself when the authority does not issue, but gives up
// where trying seems useless, and when the storage fails.
func (a *authority) keep(ctx context.Context, host string) {
	for wait := time.Minute; ; wait = min(2*wait, time.Hour) {
		cert, err := a.obtain(ctx, host)
		if err == nil {
			a.loaded(ctx, host, cert)
			return
		}
		if ctx.Err() != nil {
			return
		}
		a.setFailure(host, err)
		a.log.Error("no certificate could be obtained or loaded; it is tried anew", slog.String("host", host),
			slog.String("retry_in", wait.String()), slog.String("error", a.failure(host)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// obtain has the certificate in the cache, from the storage if it is there.
func (a *authority) obtain(ctx context.Context, host string) (certmagic.Certificate, error) {
	if err := a.magic.ObtainCertAsync(ctx, host); err != nil {
		return certmagic.Certificate{}, err
	}
	cert, err := a.magic.CacheManagedCertificate(ctx, host)
	if err != nil {
		return certmagic.Certificate{}, fmt.Errorf("load what was issued from the storage: %w", err)
	}
	return cert, nil
}

func (a *authority) loaded(ctx context.Context, host string, cert certmagic.Certificate) {
	a.setFailure(host, nil)
	a.log.Info("certificate loaded", slog.String("host", host), slog.Time("not_after", cert.Leaf.NotAfter))
	if !cert.NeedsRenewal(a.magic) {
		return
	}
	// What was stored may have expired while nothing ran: that does not wait for
	// the cache's next look.
	if err := a.cache.RenewManagedCertificates(ctx); err != nil {
		a.log.Error("certificates could not be renewed", slog.String("error", err.Error()))
	}
}

// onEvent is told by certmagic of what it does.
func (a *authority) onEvent(_ context.Context, event string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	renewal, _ := data["renewal"].(bool)
	switch event {
	case "cert_obtained":
		a.setFailure(host, nil)
		a.log.Info("certificate issued", slog.String("host", host), slog.Bool("renewal", renewal))
	case "cert_failed":
		err, _ := data["error"].(error)
		if errors.Is(err, context.Canceled) {
			break // that was us
		}
		a.setFailure(host, err)
		if a.failed != nil {
			a.failed(err)
			break
		}
		a.log.Error("the authority issued no certificate", slog.String("host", host), slog.Bool("renewal", renewal),
			slog.String("error", a.failure(host)))
	}
	return nil
}

// maxFailure bounds what an authority may say at length.
const maxFailure = 500

func (a *authority) setFailure(host string, err error) {
	f := failure{hash: a.hash(host)}
	if err != nil {
		f.text = err.Error()
		var problem acme.Problem // what the authority said, without what was done then
		if errors.As(err, &problem) {
			f.text = problem.Error()
		}
		f.text = strings.ToValidUTF8(f.text[:min(len(f.text), maxFailure)], "")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failures[host] = f
}

// failure is empty once there is a newer certificate, which may have come from
// another machine.
func (a *authority) failure(host string) string {
	hash := a.hash(host)
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.failures[host]; f.hash == hash {
		return f.text
	}
	return ""
}

func (a *authority) hash(host string) string {
	if cert := a.newest(host); cert != nil {
		return cert.Hash()
	}
	return ""
}

// newest is the newest certificate for a host in the cache, or nil.
func (a *authority) newest(host string) *certmagic.Certificate {
	var newest *certmagic.Certificate
	for _, cert := range a.cache.AllMatchingCertificates(host) {
		if newest == nil || cert.Leaf.NotBefore.After(newest.Leaf.NotBefore) {
			newest = &cert
		}
	}
	return newest
}

// stored is the certificate for a host that was issued to be kept, or nil.
func (s *settings) stored(host string) *tls.Certificate {
	issuer := (&certmagic.ACMEIssuer{CA: s.directory}).IssuerKey()
	ctx := context.Background() // it is New's and Reload's, which have none
	cert, certErr := s.storage.Load(ctx, certmagic.StorageKeys.SiteCert(issuer, host))
	key, keyErr := s.storage.Load(ctx, certmagic.StorageKeys.SitePrivateKey(issuer, host))
	if certErr != nil || keyErr != nil {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil // Run says so, and tries again
	}
	return &pair
}

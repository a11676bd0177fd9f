package certificate

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// Reasons for a certificate to be revoked, RFC 5280 §5.3.1.
const (
	Unspecified   = 0
	KeyCompromise = 1 // somebody else has the key
	Superseded    = 4
)

// Revoke has the authority revoke the certificate that it issued for a host, with
// a reason such as [KeyCompromise]. First it has another one issued, with another
// key, so the host is never without. It takes part in what [Manager.Run] does, and
// tries until ctx is done.
func (m *Manager) Revoke(ctx context.Context, host string, reason int) error {
	host = strings.ToLower(host)
	a := m.authority.Load()
	if a == nil || !slices.Contains(m.state.Load().hosts, host) {
		return fmt.Errorf("%s has no certificate by ACME", host)
	}
	return a.replace(ctx, host, reason)
}

// Revoke does what [Manager.Revoke] does from beside the servers that share the
// storage of a Config. They answer the authority's questions meanwhile, and take
// over the new certificate, which is described. When the authority issues none,
// that is an error at once, and nothing is revoked.
func Revoke(ctx context.Context, c Config, host string, reason int, log *slog.Logger) (Info, error) {
	host = strings.ToLower(host)
	acme, err := c.canRevoke(host)
	if err != nil {
		return Info{}, err
	}
	a := newAuthority(acme, []string{host}, log)
	defer a.close()
	if _, err := a.magic.CacheManagedCertificate(ctx, host); err != nil {
		return Info{}, fmt.Errorf("load the certificate for %s: %w", host, err)
	}
	ctx, refused := context.WithCancelCause(ctx)
	defer refused(nil)
	a.failed = refused
	if err := a.replace(ctx, host, reason); err != nil {
		if why := a.failure(host); why != "" {
			err = fmt.Errorf("nothing is revoked, as the authority issued no new certificate; do the servers run? %s", why)
		}
		return Info{}, err
	}
	info := Info{Source: SourceACME}
	info.describe(a.newest(host).Leaf)
	return info, nil
}

// CanRevoke reports what keeps [Revoke] from revoking the certificate for a host,
// as far as can be told without the authority.
func (c Config) CanRevoke(host string) error {
	_, err := c.canRevoke(strings.ToLower(host))
	return err
}

func (c Config) canRevoke(host string) (*settings, error) {
	if c.ACME == nil {
		return nil, errors.New("there is no ACME in the configuration; a certificate in a file is for its own authority to revoke")
	}
	files, acme, _, err := c.check(false)
	switch {
	case err != nil:
		return nil, err
	case files.cover(host):
		return nil, fmt.Errorf("the certificate for %s is in a file; have its authority revoke it, and put in a new one", host)
	case !slices.Contains(acme.names, host):
		return nil, fmt.Errorf("%s is none of the hosts with certificates by ACME: %s", host, strings.Join(acme.names, ", "))
	case acme.stored(host) == nil:
		return nil, fmt.Errorf("there is no certificate for %s in %s", host, acme.storageDir)
	}
	return acme, acme.checkOwner()
}

// replace has another certificate issued for a host, with another key, and
// revokes the one in force.
func (a *authority) replace(ctx context.Context, host string, reason int) error {
	old := a.newest(host)
	if old == nil {
		return fmt.Errorf("no certificate has been issued for %s", host)
	}
	if err := a.magic.RenewCertAsync(ctx, host, true); err != nil {
		return fmt.Errorf("replace the certificate, before it is revoked: %w", err)
	}
	if _, err := a.magic.CacheManagedCertificate(ctx, host); err != nil {
		return fmt.Errorf("load the new certificate: %w", err)
	}
	a.cache.Remove([]string{old.Hash()})
	if err := a.revoke(ctx, old, reason); err != nil {
		return fmt.Errorf("the certificate has been replaced, but the former one, with the serial number %x, is not revoked: %w", old.Leaf.SerialNumber, err)
	}
	return nil
}

// revoke tries until the authority has said something to it: the certificate is
// in no storage any more, to be tried later.
func (a *authority) revoke(ctx context.Context, cert *certmagic.Certificate, reason int) error {
	resource := certmagic.CertificateResource{
		CertificatePEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Leaf.Raw}),
	}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := a.issuer.Revoke(ctx, resource, reason)
		var said acme.Problem
		switch {
		case err == nil, errors.As(err, &said) && said.Type == acme.ProblemTypeAlreadyRevoked:
			return nil
		case errors.As(err, &said) && said.Status < 500 && said.Type != acme.ProblemTypeRateLimited:
			return err
		}
		a.log.Warn("the former certificate could not be revoked; it is tried again", slog.String("retry_in", wait.String()), slog.String("error", err.Error()))
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
	}
}

package certificate

import (
	"context"
	"log/slog"
)

// takeOver loads what others that share the storage have had issued in place of
// what is in force.
func (a *authority) takeOver(ctx context.Context) {
	for _, host := range a.hosts {
		former, stored := a.newest(host), a.stored(host)
		if former == nil || stored == nil || stored.Leaf.Equal(former.Leaf) || stored.Leaf.NotBefore.Before(former.Leaf.NotBefore) {
			continue
		}
		cert, err := a.magic.CacheManagedCertificate(ctx, host)
		if err != nil || cert.Hash() == former.Hash() {
			continue // another look will follow
		}
		a.cache.Remove([]string{former.Hash()})
		a.log.Info("certificate loaded", slog.String("host", host), slog.Time("not_after", cert.Leaf.NotAfter),
			slog.String("because", "it has been replaced in the storage"))
	}
}

package domains

import (
	"context"
	"errors"
	"fmt"
)

// Enable makes the domain with that id or name use the proxy at an absolute URL.
// It does nothing when the domain uses it already and signing in works. When it
// returns an error, the domain is as it was, or the error says how it is. A
// [*NotAskedError] says that it did not come to a change.
func (s *Switch) Enable(ctx context.Context, domain, proxyURL string) error {
	d, err := s.find(ctx, domain)
	if err != nil {
		return err
	}
	already := d.ProxyURL == proxyURL
	problems, err := s.CheckProxy(ctx, proxyURL, d.ID, already)
	switch {
	case err != nil:
		return &NotAskedError{fmt.Errorf("nothing was changed: checking %s: %w", proxyURL, err)}
	case len(problems) > 0:
		return errors.Join(joined(problems), fmt.Errorf("nothing was changed: %s uses %s", d.Name, named(d.ProxyURL)))
	case already:
		s.Tell(fmt.Sprintf("Nothing to do: %s uses %s already, and signing in works.", d.Name, named(proxyURL)))
		return nil
	}
	s.Tell(fmt.Sprintf("Checked: Clerk is reached through %s.", proxyURL))

	err = s.change(ctx, Change{Domain: d, ProxyURL: proxyURL}, func(ctx context.Context, now Domain) error {
		problems, err := s.CheckProxy(ctx, now.ProxyURL, now.ID, true)
		return errors.Join(joined(problems), err)
	})
	if err != nil {
		return err
	}
	s.Tell(fmt.Sprintf("Done: signing in on %s works through %s.", d.Name, proxyURL))
	return nil
}

func joined(problems []string) error {
	var errs []error
	for _, problem := range problems {
		errs = append(errs, errors.New(problem))
	}
	return errors.Join(errs...)
}

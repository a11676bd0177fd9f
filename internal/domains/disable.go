package domains

import (
	"context"
	"errors"
	"fmt"
)

// Disable makes the domain with that id or name use DNS again. It asks for the
// record that the Frontend API needs, and complains about further ones. It does
// nothing when the domain uses DNS already and the Frontend API answers. Its
// errors are those of [Switch.Enable].
func (s *Switch) Disable(ctx context.Context, domain string) error {
	d, err := s.find(ctx, domain)
	if err != nil {
		return err
	}
	if d.ProxyURL == "" {
		if err := s.CheckDirect(ctx, d.FrontendAPIURL, true); err != nil {
			return errors.Join(err, fmt.Errorf("nothing was changed: %s uses DNS already", d.Name))
		}
		s.Tell(fmt.Sprintf("Nothing to do: %s uses DNS already, and the Frontend API answers at %s.", d.Name, d.FrontendAPIURL))
		return nil
	}
	if err := s.checkRecords(ctx, d); err != nil {
		return err
	}
	// Clerk may not serve this host before it is told to: no reason to refuse.
	direct := "https://" + d.frontendAPIRecord().Host
	if err := s.CheckDirect(ctx, direct, false); err != nil {
		s.Tell(fmt.Sprintf("Note: %v. If it is so after the change too, the proxy is put back.", err))
	}

	err = s.change(ctx, Change{Domain: d}, func(ctx context.Context, now Domain) error {
		return s.CheckDirect(ctx, now.FrontendAPIURL, true)
	})
	if err != nil {
		return err
	}
	s.Tell(fmt.Sprintf("Done: the Frontend API of %s answers without a proxy.", d.Name))
	return nil
}

// checkRecords wants the record of the Frontend API, and says what else Clerk
// misses. Those for mail are required with a proxy and without.
func (s *Switch) checkRecords(ctx context.Context, d Domain) error {
	needed := d.frontendAPIRecord()
	problem, err := needed.problem(ctx, s.Resolver)
	switch {
	case err != nil:
		return &NotAskedError{fmt.Errorf("nothing was changed: looking for the record of %s: %w", needed.Host, err)}
	case problem != "":
		return fmt.Errorf("nothing was changed, %s uses %s: %s", d.Name, named(d.ProxyURL), problem)
	}
	s.Tell("Checked: " + needed.String() + ".")
	for _, record := range d.CNAMEs {
		if record == needed || !record.Required {
			continue
		}
		if problem, err := record.problem(ctx, s.Resolver); err == nil && problem != "" {
			s.Tell("Note: " + problem + ".")
		}
	}
	return nil
}

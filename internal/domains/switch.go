package domains

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Switch moves domains between DNS and a proxy. All its fields are required, but
// that [Switch.Enable] needs no CheckDirect and no Resolver, and [Switch.Disable]
// no CheckProxy.
type Switch struct {
	Clerk *Clerk

	// CheckProxy tries a proxy. Until Clerk has been told of it, enabled is
	// false, and the Frontend API answers nothing but questions about the proxy
	// itself; from then on signing in has to work. It returns what is wrong with
	// the proxy, or an error when it could not find out.
	CheckProxy func(ctx context.Context, proxyURL, domainID string, enabled bool) (problems []string, err error)

	// CheckDirect tries the Frontend API without a proxy, at its own URL. While
	// the domain has a proxy, enabled is false, and any answer will do.
	CheckDirect func(ctx context.Context, frontendAPIURL string, enabled bool) error

	// Resolver finds the domain's CNAMEs.
	Resolver Resolver

	// Confirm asks whether to make a change. Its error stops it, with nothing
	// changed, and is returned as it is.
	Confirm func(context.Context, Change) error

	// Tell is told what was found and done, a line at a time.
	Tell func(line string)

	// Patience is how long signing in may take to work after a change, before
	// the change is undone. Zero: it is tried once.
	Patience time.Duration
}

// A Change is what a person is asked about: a domain as it is, and the proxy URL
// that it shall have, empty for DNS.
type Change struct {
	Domain   Domain
	ProxyURL string
}

// A NotAskedError says that it did not come to a change, because Clerk, or what
// was to be checked first, could not be asked.
type NotAskedError struct{ Err error }

func (e *NotAskedError) Error() string { return e.Err.Error() }
func (e *NotAskedError) Unwrap() error { return e.Err }

// find returns the domain with that id or name, as Clerk has it.
func (s *Switch) find(ctx context.Context, wanted string) (Domain, error) {
	all, err := s.Clerk.List(ctx)
	if err != nil {
		return Domain{}, &NotAskedError{err}
	}
	d, err := Find(all, wanted)
	if err != nil {
		return Domain{}, &NotAskedError{err}
	}
	return d, nil
}

// change makes a change, once it is confirmed. It stays when works, given the
// domain as it has become, says that signing in does. Otherwise, or when the
// context ends before that is known, the domain gets its former value back.
func (s *Switch) change(ctx context.Context, change Change, works func(context.Context, Domain) error) error {
	if err := s.Confirm(ctx, change); err != nil {
		return err
	}
	// The person may have taken a while.
	before := change.Domain
	now, err := s.Clerk.current(ctx, before.ID)
	switch {
	case err != nil:
		return &NotAskedError{fmt.Errorf("nothing was changed: %w", err)}
	case now.ProxyURL == change.ProxyURL:
		s.Tell("Somebody else has just changed it.")
		return s.patiently(ctx, now, works)
	case now.ProxyURL != before.ProxyURL:
		return fmt.Errorf("nothing was changed: somebody else has changed %s meanwhile, and it uses %s", before.Name, named(now.ProxyURL))
	}

	// An interrupt does not cut a change short: nobody would know how it ended.
	lasting := context.WithoutCancel(ctx)
	changed, err := s.set(lasting, change)
	if err != nil {
		return err
	}
	s.Tell(fmt.Sprintf("Changed: %s uses %s. Checking again.", changed.Name, named(changed.ProxyURL)))
	err = s.patiently(ctx, changed, works)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted before it was known whether signing in works")
	}
	return errors.Join(err, s.restore(lasting, before, changed.ProxyURL))
}

// set makes the change, and returns the domain as it has become.
func (s *Switch) set(ctx context.Context, change Change) (Domain, error) {
	before := change.Domain
	changed, err := s.Clerk.setProxyURL(ctx, before.ID, change.ProxyURL)
	switch {
	case certain(err):
		return Domain{}, fmt.Errorf("nothing was changed, %s still uses %s: %w", before.Name, named(before.ProxyURL), err)
	case err != nil:
		return s.lookAfter(ctx, change, err)
	case changed.ProxyURL == before.ProxyURL:
		return Domain{}, fmt.Errorf("Clerk agreed, but %s still uses %s", before.Name, named(before.ProxyURL))
	}
	return changed, nil
}

var errUnchanged = errors.New("unchanged")

// lookAfter finds out what came of a change that was not answered: the request
// may have arrived. It looks for as long as a change may take to work: what has
// lost the answer may lose the next ones too.
func (s *Switch) lookAfter(ctx context.Context, change Change, failed error) (Domain, error) {
	before := change.Domain
	var now Domain
	err := s.patiently(ctx, before, func(ctx context.Context, _ Domain) (err error) {
		if now, err = s.Clerk.current(ctx, before.ID); err == nil && now.ProxyURL == before.ProxyURL {
			err = errUnchanged // yet: a gateway may have given up on Clerk before Clerk was done
		}
		return err
	})
	switch {
	case errors.Is(err, errUnchanged):
		return Domain{}, errors.Join(failed, fmt.Errorf("%s still uses %s; look again in a minute with: clerk-proxy domains", before.Name, named(now.ProxyURL)))
	case err != nil:
		return Domain{}, errors.Join(failed, fmt.Errorf("it is not known whether %s still uses %s or already %s; look with: clerk-proxy domains; to have it as it was, type: %s",
			before.Name, named(before.ProxyURL), named(change.ProxyURL), command(before)))
	case now.ProxyURL == change.ProxyURL:
		return now, nil
	}
	return Domain{}, errors.Join(failed, fmt.Errorf("somebody else has changed %s meanwhile, and it uses %s", before.Name, named(now.ProxyURL)))
}

// patiently tries whether signing in works until it does, or until Patience has
// run out: a change takes a while to be known everywhere.
func (s *Switch) patiently(ctx context.Context, d Domain, works func(context.Context, Domain) error) error {
	until := time.Now().Add(s.Patience)
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := works(ctx, d)
		if err == nil || ctx.Err() != nil || time.Now().Add(wait).After(until) {
			return err
		}
		if sleep(ctx, wait) != nil {
			return err
		}
	}
}

// restoreTimeout is how long a former value may take to come back. What breaks a
// check may keep Clerk away as well, or keep it from accepting a former proxy.
const restoreTimeout = 2 * time.Minute

// restore gives the domain its former value back, unless it no longer has ours:
// then it is somebody else's to say. Its error says what became of the domain.
func (s *Switch) restore(ctx context.Context, before Domain, ours string) error {
	s.Tell(fmt.Sprintf("Putting back %s.", named(before.ProxyURL)))
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	for wait := time.Second; ; wait = min(2*wait, 10*time.Second) {
		now, err := s.putBack(ctx, before, ours)
		switch {
		case err == nil && now.ProxyURL == before.ProxyURL:
			return fmt.Errorf("%s uses %s again, as before", before.Name, named(before.ProxyURL))
		case err == nil:
			return fmt.Errorf("somebody else has changed %s meanwhile; it uses %s, and was left so", before.Name, named(now.ProxyURL))
		}
		if wait == time.Second {
			s.Tell(fmt.Sprintf("That failed: %v. Trying on, for two minutes at most.", err))
		}
		if sleep(ctx, wait) != nil {
			return errors.Join(
				fmt.Errorf("putting back %s failed: %w", named(before.ProxyURL), err),
				fmt.Errorf("%s is left using %s, as far as is known; to have it as it was, type: %s", before.Name, named(ours), command(before)))
		}
	}
}

// putBack sets the former value if the domain still has ours, and returns the
// domain as it then is. Between the look and the change somebody else may come:
// Clerk's API has nothing that would shut them out.
func (s *Switch) putBack(ctx context.Context, before Domain, ours string) (Domain, error) {
	now, err := s.Clerk.current(ctx, before.ID)
	if err != nil || now.ProxyURL != ours {
		return now, err
	}
	now, err = s.Clerk.setProxyURL(ctx, before.ID, before.ProxyURL)
	if err == nil && now.ProxyURL == ours {
		err = errors.New("Clerk agreed, but changed nothing")
	}
	return now, err
}

func certain(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal) && refusal.certain()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// named is what a domain with that proxy URL uses.
func named(proxyURL string) string {
	if proxyURL == "" {
		return "DNS"
	}
	return "the proxy " + proxyURL
}

// command is what a person types to have the domain as it was.
func command(before Domain) string {
	if before.ProxyURL == "" {
		return "clerk-proxy disable " + before.ID
	}
	return "clerk-proxy enable " + before.ID + " " + before.ProxyURL
}

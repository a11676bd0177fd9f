package auth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysFresh is how long a set of keys is used without asking for a newer
	// one.
	keysFresh = 5 * time.Minute

	// keysKept is how long the last good set is used while the Backend API
	// cannot be reached. Session tokens live for a minute and are issued by
	// another API, so a failure of this one need not sign everybody out.
	keysKept = 6 * time.Hour

	// A key that is not in the set makes us ask for a newer one: five times in a
	// row at most, and then once in unknownKeyInterval. Anyone can make up the
	// name of a key.
	unknownKeyInterval = 10 * time.Second
	unknownKeyBurst    = 5

	// A fetch that failed is not repeated before failureInterval, which
	// doubles up to maxFailureInterval while it goes on failing.
	failureInterval    = time.Second
	maxFailureInterval = 30 * time.Second
)

// A keyStore holds the public keys that an instance signs its tokens with. They
// come from the Backend API, or are one key from the configuration, and then
// the network is never used.
//
// A fetch is done by a goroutine of its own, which ends with the fetch; there is
// never more than one.
type keyStore struct {
	static  *rsa.PublicKey
	backend *backend
	now     func() time.Time
	log     *slog.Logger

	current atomic.Pointer[keySet]

	mu       sync.Mutex
	fetching *keyFetch // nil: none
	failures int
	notUntil time.Time   // after a failure
	failed   *tokenError // the last fetch's, or nil
	unknown  time.Time   // until when fetches for unknown keys are paid for
}

// A keySet is one answer of the Backend API. It does not change.
type keySet struct {
	keys    map[string]*rsa.PublicKey
	fetched time.Time
}

// A keyFetch is a fetch that is under way.
type keyFetch struct {
	done chan struct{}
	err  *tokenError // to be read once done is closed
}

// known is the key of that name as it is known now, or nil.
func (s *keyStore) known(kid string, now time.Time) *rsa.PublicKey {
	if s.static != nil {
		return s.static
	}
	set := s.current.Load()
	if set == nil {
		return nil
	}
	age := now.Sub(set.fetched)
	if age >= keysFresh {
		s.refresh(now)
	}
	if age >= keysKept {
		return nil
	}
	return set.keys[kid]
}

// lookup is the key of that name. It waits for the Backend API only when there
// is no key to go on with.
func (s *keyStore) lookup(ctx context.Context, kid string, now time.Time) (*rsa.PublicKey, *tokenError) {
	// A fetch that was under way already may have missed a key that is newer.
	for range 2 {
		if key := s.known(kid, now); key != nil {
			return key, nil
		}
		fetch, began, err := s.fetchUnknown(now)
		if err != nil {
			return nil, err
		}
		if fetch == nil {
			break
		}
		select {
		case <-fetch.done:
			if fetch.err != nil {
				return nil, fetch.err
			}
		case <-ctx.Done():
			return nil, &tokenError{reason: "jwk-remote-failed-to-load", message: "The request ended before Clerk's keys were loaded."}
		}
		now = s.now()
		if began {
			break
		}
	}
	if key := s.known(kid, now); key != nil {
		return key, nil
	}
	// Which keys there are is left out: they are named after instances.
	return nil, &tokenError{
		"jwk-kid-mismatch",
		"Unable to find a signing key in JWKS that matches the kid='" + kid + "' of the provided session token. Please make sure that the __session cookie or the HTTP authorization header contain a Clerk-generated session JWT.",
		"Go to your Dashboard and validate your secret and public keys are correct. " + actionContact + " if the issue persists.",
	}
}

// fetchUnknown joins the fetch that is under way, or begins one for a key that
// is not known. It returns none when it is too early to ask again.
func (s *keyStore) fetchUnknown(now time.Time) (fetch *keyFetch, began bool, err *tokenError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.current.Load()
	usable := set != nil && now.Sub(set.fetched) < keysKept
	switch {
	case s.fetching != nil:
		return s.fetching, false, nil
	case now.Before(s.notUntil) && !usable:
		return nil, false, s.failed
	case now.Before(s.notUntil), usable && !s.payForUnknown(now):
		return nil, false, nil
	}
	return s.start(), true, nil
}

// payForUnknown reports whether one more fetch is allowed for a key that is not
// known. The caller holds the lock.
func (s *keyStore) payForUnknown(now time.Time) bool {
	if s.unknown.Before(now) {
		s.unknown = now
	}
	if s.unknown.Sub(now) >= unknownKeyBurst*unknownKeyInterval {
		return false
	}
	s.unknown = s.unknown.Add(unknownKeyInterval)
	return true
}

// refresh fetches in the background, unless that is under way or has just
// failed.
func (s *keyStore) refresh(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.current.Load()
	if s.fetching != nil || now.Before(s.notUntil) || now.Sub(set.fetched) < keysFresh {
		return
	}
	s.start()
}

// start begins a fetch. The caller holds the lock, and there is no other.
func (s *keyStore) start() *keyFetch {
	fetch := &keyFetch{done: make(chan struct{})}
	s.fetching = fetch
	// The fetch is for all who wait, so it does not end with the request that
	// happened to begin it; it ends by the backend's timeout.
	go func() {
		keys, err := s.fetch(context.Background())
		s.finish(fetch, keys, err)
	}()
	return fetch
}

func (s *keyStore) finish(fetch *keyFetch, keys map[string]*rsa.PublicKey, err error) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetching, s.failed = nil, nil
	if err == nil {
		s.failures, s.notUntil = 0, time.Time{}
		s.current.Store(&keySet{keys: keepEqual(keys, s.current.Load()), fetched: now})
	} else {
		s.notUntil = now.Add(min(failureInterval<<min(s.failures, 10), maxFailureInterval))
		s.failures++
		s.failed = loadError(err)
		fetch.err = s.failed
		s.log.Warn("Clerk's keys could not be loaded; tokens are verified with the last good ones, if there are any",
			"error", err, "failures", s.failures, "again_in", s.notUntil.Sub(now))
	}
	close(fetch.done)
}

// keepEqual replaces keys by those of the set before where nothing has changed,
// so that tokens which were verified with them need not be verified again.
func keepEqual(keys map[string]*rsa.PublicKey, before *keySet) map[string]*rsa.PublicKey {
	if before == nil {
		return keys
	}
	for kid, key := range keys {
		if old := before.keys[kid]; old != nil && old.Equal(key) {
			keys[kid] = old
		}
	}
	return keys
}

// loadError is what a request is told when there are no keys. It names neither
// the host nor the cause, which may be of our network; the log has them.
func loadError(err error) *tokenError {
	if e, ok := errors.AsType[*backendError](err); ok && e.code == "clerk_key_invalid" {
		return &tokenError{"secret-key-invalid", "The Clerk secret key is not valid.", actionContact}
	}
	return &tokenError{"jwk-remote-failed-to-load", "Clerk's keys could not be loaded.", actionContact}
}

var errNoKeys = errors.New("the Backend API's answer holds no signing key")

// fetch asks the Backend API for the instance's keys, RFC 7517 §5. What is not
// an RSA key for RS256 is of no use here and passed over.
func (s *keyStore) fetch(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	var answer struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := s.backend.call(ctx, http.MethodGet, "/v1/jwks", nil, &answer); err != nil {
		return nil, err
	}
	keys := make(map[string]*rsa.PublicKey, len(answer.Keys))
	for _, raw := range answer.Keys {
		var jwk jose.JSONWebKey
		if jwk.UnmarshalJSON(raw) != nil {
			continue
		}
		key, ok := jwk.Key.(*rsa.PublicKey)
		if ok && (jwk.Algorithm == "" || jwk.Algorithm == "RS256") && (jwk.Use == "" || jwk.Use == "sig") && acceptable(key) {
			keys[jwk.KeyID] = key
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

// acceptable refuses keys shorter than RFC 7518 §3.3 asks for.
func acceptable(key *rsa.PublicKey) bool { return key.N.BitLen() >= 2048 }

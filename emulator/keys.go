package emulator

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// The classes of token that Clerk writes into the JOSE header as cat.
const (
	classSession  = "cl_B7d4PD111AAA"
	classTemplate = "cl_B7d4PD222AAA"
)

// signingKey is one of the instance's key pairs, and a signer for each class of
// token.
type signingKey struct {
	id       string
	private  *rsa.PrivateKey
	session  jose.Signer // handshake tokens too
	template jose.Signer
	client   jose.Signer
}

func newSigningKey() (*signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	k := &signingKey{id: newID("ins"), private: private}
	signer := func(class string) jose.Signer {
		options := new(jose.SignerOptions).WithType("JWT")
		if class != "" {
			options = options.WithHeader("cat", class)
		}
		key := jose.JSONWebKey{Key: private, KeyID: k.id}
		made, signerErr := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, options)
		if signerErr != nil {
			err = signerErr
		}
		return made
	}
	k.session, k.template, k.client = signer(classSession), signer(classTemplate), signer("")
	return k, err
}

func (k *signingKey) publicPEM() string {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		panic(err) // an RSA key always has this form
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// keyRing is every key whose tokens are valid. It has a lock of its own because
// keys are asked for with Server.mu held and without.
type keyRing struct {
	mu   sync.RWMutex
	keys []*signingKey // the newest, which signs, first
}

func (r *keyRing) add(k *signingKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = slices.Insert(r.keys, 0, k)
}

func (r *keyRing) dropOld() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = []*signingKey{r.keys[0]}
}

func (r *keyRing) current() *signingKey {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[0]
}

// jwks is the JSON Web Key Set of the instance.
func (r *keyRing) jwks() jose.JSONWebKeySet {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var set jose.JSONWebKeySet
	for _, k := range r.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: k.private.Public(), KeyID: k.id, Algorithm: string(jose.RS256), Use: "sig",
		})
	}
	return set
}

// RotateKeys makes a new signing key, as the Clerk dashboard's rotation does.
// What is signed from now on bears its key id. What older keys have signed goes
// on being valid, and they stay in the JSON Web Key Set, until
// [Server.DropOldKeys]. Browsers stay signed in.
func (s *Server) RotateKeys() error {
	k, err := newSigningKey()
	if err != nil {
		return fmt.Errorf("emulator: making a signing key: %w", err)
	}
	s.keys.add(k)
	return nil
}

// DropOldKeys takes every key but the newest out of the JSON Web Key Set. Tokens
// that they have signed are worth nothing from then on; browsers stay signed in
// and get new ones.
func (s *Server) DropOldKeys() { s.keys.dropOld() }

package emulator

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// tokenLifetime is how long a session token is valid.
const tokenLifetime = time.Minute

// The classes of token that Clerk writes into the JOSE header as cat.
const (
	classSession  = "cl_B7d4PD111AAA"
	classTemplate = "cl_B7d4PD222AAA"
)

// signingKeys is the instance's key pair, and a signer for each class of token.
type signingKeys struct {
	id       string
	private  *rsa.PrivateKey
	session  jose.Signer
	template jose.Signer
	client   jose.Signer
}

func newSigningKeys() (*signingKeys, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	// Clerk's key id is the instance's id.
	k := &signingKeys{id: newID("ins"), private: private}
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

// jwks is the JSON Web Key Set of the instance.
func (k *signingKeys) jwks() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: k.private.Public(), KeyID: k.id, Algorithm: string(jose.RS256), Use: "sig"},
	}}
}

func (k *signingKeys) publicPEM() string {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		panic(err) // an RSA key always has this form
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// sessionToken is a version 2 session token.
// https://clerk.com/docs/guides/sessions/session-tokens
func (c *call) sessionToken(s *session) (string, error) {
	claims := c.timeClaims()
	maps.Copy(claims, object{
		"azp": c.origin(),
		"fva": []int{int(c.now.Sub(s.verifiedAt) / time.Minute), -1},
		"iss": c.proxyURL,
		"sid": s.id,
		"sts": s.status,
		"sub": s.user.id,
		"v":   2,
	})
	return jwt.Signed(c.server.keys.session).Claims(claims).Serialize()
}

// templateToken is a token from a JWT template. It has no session id.
func (c *call) templateToken(s *session, template map[string]any) (string, error) {
	claims := maps.Clone(template)
	if claims == nil {
		claims = object{}
	}
	maps.Copy(claims, c.timeClaims())
	maps.Copy(claims, object{"azp": c.origin(), "iss": c.proxyURL, "sub": s.user.id})
	return jwt.Signed(c.server.keys.template).Claims(claims).Serialize()
}

func (c *call) timeClaims() object {
	id := make([]byte, 10)
	rand.Read(id)
	return object{
		"jti": hex.EncodeToString(id),
		"iat": c.now.Unix(),
		"exp": c.now.Add(tokenLifetime).Unix(),
		// Clerk leaves room for servers whose clock is behind.
		"nbf": c.now.Add(-10 * time.Second).Unix(),
	}
}

package emulator

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func keySet(t *testing.T, s *Server) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(backendCall(t, s, http.MethodGet, "/v1/jwks", "").body, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestRotatingKeys(t *testing.T) {
	s, b, _ := signInServer(t)
	id := b.signIn(ada)
	token := func() string { return b.post("/v1/client/sessions/"+id+"/tokens", nil).at("jwt").(string) }
	verifies := func(token string) bool {
		_, ok := s.readSessionToken(token)
		return ok
	}
	before, instance := token(), s.instanceID
	if err := s.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	after := token()

	set := keySet(t, s)
	if len(set.Keys) != 2 || set.Keys[0].KeyID == set.Keys[1].KeyID || !set.Keys[0].IsPublic() {
		t.Fatalf("keys %+v", set)
	}
	header, _ := claims(t, after, set.Keys[0])
	if header["kid"] != set.Keys[0].KeyID {
		t.Errorf("it signs with %v", header["kid"])
	}
	claims(t, before, set.Keys[1])
	if !verifies(before) || !verifies(after) {
		t.Error("a token is not accepted")
	}

	s.DropOldKeys()
	if set := keySet(t, s); len(set.Keys) != 1 || set.Keys[0].KeyID != header["kid"] {
		t.Errorf("keys %+v", set)
	}
	if verifies(before) || !verifies(after) {
		t.Error("the old key should be gone, and the new one not")
	}
	// The browser stays signed in.
	if !verifies(token()) {
		t.Error("a new token is not accepted")
	}
	if a := backendCall(t, s, http.MethodGet, "/v1/instance", ""); a.at("id") != instance {
		t.Errorf("the instance became %v", a.at("id"))
	}
	s.DropOldKeys()
	if len(keySet(t, s).Keys) != 1 {
		t.Error("dropping again left no key")
	}
}

func TestKeysRotateUnderLoad(t *testing.T) {
	s, b, _ := signInServer(t)
	id := b.signIn(ada)
	done := make(chan error, 1)
	go func() { done <- s.RotateKeys() }()
	for rotated := false; !rotated; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			rotated = true
		default:
		}
		token := b.post("/v1/client/sessions/"+id+"/tokens", nil).at("jwt").(string)
		if _, ok := s.readSessionToken(token); !ok {
			t.Fatal("a token is not accepted")
		}
	}
}

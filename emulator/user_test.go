package emulator

import (
	"strings"
	"testing"
)

func TestUsersThatAreNotAdded(t *testing.T) {
	s := start(t, Config{Users: []User{{ID: "user_1", Email: "ada@example.com"}}})
	for name, tt := range map[string]struct {
		user User
		says string
	}{
		"no address":                  {User{}, "form_param_format_invalid"},
		"an address without a domain": {User{Email: "ada@localhost"}, "form_param_format_invalid"},
		"an address with a name":      {User{Email: "Ada <a@example.com>"}, "form_param_format_invalid"},
		"an address that is taken":    {User{Email: "ADA@EXAMPLE.COM"}, "form_identifier_exists"},
		"a short password":            {User{Email: "b@example.com", Password: "1234567"}, "form_password_length_too_short"},
		"a long password":             {User{Email: "b@example.com", Password: strings.Repeat("é", 73)}, "form_password_length_too_long"},
		"an ID that is taken":         {User{ID: "user_1", Email: "b@example.com"}, "taken"},
	} {
		if _, err := s.AddUser(tt.user); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := len(s.Users()); got != 1 {
		t.Errorf("there are %d users", got)
	}
}

func TestPasswordsAreNeitherKeptNorTold(t *testing.T) {
	s := start(t, Config{})
	added, err := s.AddUser(User{Email: "ada@example.com", Password: strings.Repeat("é", 72)})
	if err != nil || added.Password != "" || !strings.HasPrefix(added.ID, "user_") || len(added.ID) != len("user_")+27 {
		t.Errorf("got %+v, %v", added, err)
	}
	if s.Users()[0] != added {
		t.Errorf("listed %+v", s.Users())
	}
	if one, other := newPassword("same"), newPassword("same"); one.hash == other.hash {
		t.Error("equal passwords have equal hashes")
	}
}

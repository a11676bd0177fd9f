package instance

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePublishableKey(t *testing.T) {
	tests := []struct {
		name, key string
		want      Instance
	}{
		{"live", "pk_live_Y2xlcmsuYXBwLmRldiQ", Instance{FrontendAPI: "clerk.app.dev", Live: true}},
		{"padded", "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k", Instance{FrontendAPI: "clerk.example.com", Live: true}},
		{"padding present", "pk_live_Y2xlcmsuYXBwLmRldiQ=", Instance{FrontendAPI: "clerk.app.dev", Live: true}},
		{"test", PublishableKey("foo-bar-13.clerk.accounts.dev", false), Instance{FrontendAPI: "foo-bar-13.clerk.accounts.dev"}},
		{"host with a port", PublishableKey("clerk.app.dev:8443", true), Instance{FrontendAPI: "clerk.app.dev:8443", Live: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.PublishableKey = tt.key
			got, err := ParsePublishableKey(tt.key)
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParsePublishableKeyRefuses(t *testing.T) {
	for name, key := range map[string]string{
		"nothing":                  "",
		"a secret key":             "sk_live_Y2xlcmsuYXBwLmRldiQ",
		"the prefix alone":         "pk_live_",
		"not base64":               "pk_live_!!!",
		"no dollar sign":           "pk_live_Y2xlcmsuYXBwLmRldg",
		"two dollar signs":         PublishableKey("clerk.app.dev$", true),
		"no dot":                   PublishableKey("localhost", true),
		"a leading dot":            PublishableKey(".dev", true),
		"a path":                   PublishableKey("clerk.app.dev/x", true),
		"credentials":              PublishableKey("user@clerk.app.dev", true),
		"markup":                   PublishableKey("<script>.dev", true),
		"white space":              PublishableKey("clerk .dev", true),
		"bytes that are not text":  PublishableKey("\xff.dev", true),
		"an unknown kind of key":   "pk_demo_Y2xlcmsuYXBwLmRldiQ",
		"white space around a key": " pk_live_Y2xlcmsuYXBwLmRldiQ",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParsePublishableKey(key); !errors.Is(err, ErrPublishableKey) {
				t.Errorf("got %+v, %v; want ErrPublishableKey", got, err)
			}
		})
	}
}

func TestParseSecretKey(t *testing.T) {
	for key, want := range map[string]bool{"sk_live_abc": true, "sk_test_abc": false} {
		if live, err := ParseSecretKey(key); err != nil || live != want {
			t.Errorf("%s: got %v, %v; want %v", key, live, err, want)
		}
	}
	for _, key := range []string{"", "sk_live_", "sk_test_", "pk_live_abc", "abc", "sk_live_a\nb", "sk_live_a b", "sk_live_é"} {
		if _, err := ParseSecretKey(key); !errors.Is(err, ErrSecretKey) {
			t.Errorf("%q: got %v, want ErrSecretKey", key, err)
		}
	}
}

func TestFrontendAPIURL(t *testing.T) {
	for host, want := range map[string]string{
		"clerk.app.dev":                productionFrontendAPI,
		"foo-bar-1.clerk.accounts.dev": productionFrontendAPI,
		"clerk.foo.lcl.dev":            productionFrontendAPI,
		"clerk.foo.lclstage.dev":       productionFrontendAPI,
		"clerk.foo.lclclerk.com":       productionFrontendAPI,
		"foo.lcl.dev":                  localFrontendAPI,
		"foo.lclstage.dev":             localFrontendAPI,
		"foo.accounts.lclclerk.com":    localFrontendAPI,
		"foo.accountsstage.dev":        stagingFrontendAPI,
		"":                             productionFrontendAPI,
	} {
		if got := (Instance{FrontendAPI: host}).FrontendAPIURL(); got != want {
			t.Errorf("%q: got %s, want %s", host, got, want)
		}
	}
}

// The expected value was computed with getCookieSuffix of @clerk/shared.
func TestCookieSuffix(t *testing.T) {
	i := Instance{PublishableKey: "pk_live_Y2xlcmsuYXBwLmRldiQ"}
	if got := i.CookieSuffix(); got != "NaFojUJW" {
		t.Errorf("got %s", got)
	}
}

func FuzzParsePublishableKey(f *testing.F) {
	f.Add("pk_live_Y2xlcmsuYXBwLmRldiQ")
	f.Add("pk_test_")
	f.Fuzz(func(t *testing.T, key string) {
		i, err := ParsePublishableKey(key)
		if err != nil {
			if strings.TrimSpace(key) != "" && len(key) > 8 && strings.Contains(err.Error(), key) {
				t.Errorf("the error holds the key: %v", err)
			}
			return
		}
		again, err := ParsePublishableKey(PublishableKey(i.FrontendAPI, i.Live))
		if err != nil || again.FrontendAPI != i.FrontendAPI || again.Live != i.Live {
			t.Errorf("%q does not survive a round trip: %+v, %v", key, again, err)
		}
	})
}

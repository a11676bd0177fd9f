package domains

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

const (
	defaultAPI = "https://api.clerk.com"

	// callTimeout leaves Clerk time to call a proxy before it answers.
	callTimeout = 30 * time.Second

	// maxAnswer is how much of an answer is read.
	maxAnswer = 1 << 20
)

// Clerk is the Backend API of one instance, as far as it is about domains.
type Clerk struct {
	url     string
	backend clerk.Backend
}

// NewClerk returns the Backend API at an origin, or at that with /v1, for the
// instance of the secret key. An empty origin means https://api.clerk.com; http is
// for loopback only. The transport makes the requests; nil means
// [http.DefaultTransport]. The error says what is wrong with the origin, and does
// not quote it: it may hold a password.
func NewClerk(origin, secretKey string, transport http.RoundTripper) (*Clerk, error) {
	base := strings.TrimSuffix(strings.TrimRight(cmp.Or(origin, defaultAPI), "/"), "/v1") + "/v1"
	if problem := forwarded.APIURLProblem(base, defaultAPI); problem != "" {
		return nil, errors.New(problem)
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &Clerk{url: base, backend: clerk.NewBackend(&clerk.BackendConfig{
		URL:        &base,
		Key:        &secretKey,
		HTTPClient: &http.Client{Transport: answers{transport, secretKey}},
	})}, nil
}

// List returns the instance's domains, the primary one first.
func (c *Clerk) List(ctx context.Context) ([]Domain, error) {
	var answer struct {
		clerk.APIResource
		Data []domainAnswer `json:"data"`
	}
	if err := c.call(ctx, clerk.NewAPIRequest(http.MethodGet, "/domains"), &answer); err != nil {
		return nil, err
	}
	if answer.Data == nil {
		return nil, c.strange()
	}
	var domains []Domain
	for _, each := range answer.Data {
		d, err := each.domain()
		switch {
		case err != nil:
			return nil, err
		case d.Satellite:
			domains = append(domains, d)
		default:
			domains = append([]Domain{d}, domains...)
		}
	}
	return domains, nil
}

// current returns the domain as it is. The Backend API has no call for one.
func (c *Clerk) current(ctx context.Context, id string) (Domain, error) {
	domains, err := c.List(ctx)
	if err != nil {
		return Domain{}, err
	}
	for _, d := range domains {
		if d.ID == id {
			return d, nil
		}
	}
	return Domain{}, fmt.Errorf("the instance has no domain %s any more", id)
}

// setProxyURL sets a domain's proxy URL, or with an empty one goes back to DNS.
// Clerk calls the proxy before it accepts its URL. With an error that is certain
// nothing has changed; with any other it may have.
func (c *Clerk) setProxyURL(ctx context.Context, id, proxyURL string) (Domain, error) {
	request := update(id, proxyURL)
	var answer domainAnswer
	if err := c.call(ctx, request, &answer); err != nil {
		return Domain{}, err
	}
	return answer.domain()
}

// Request is the request that sets the proxy URL of a domain, as text, its key
// masked.
func (c *Clerk) Request(id, proxyURL string) string {
	request := update(id, proxyURL)
	body, _ := json.Marshal(request.Params)
	return fmt.Sprintf("%s %s%s\nAuthorization: Bearer sk_live_…\nContent-Type: application/json\n\n%s\n", request.Method, c.url, request.Path, body)
}

// updateParams is the SDK's domain.UpdateParams with a proxy URL that can be null,
// which means DNS: the SDK leaves out a nil, which means no change.
type updateParams struct {
	clerk.APIParams
	ProxyURL *string `json:"proxy_url"`
}

func update(id, proxyURL string) *clerk.APIRequest {
	params := &updateParams{}
	if proxyURL != "" {
		params.ProxyURL = &proxyURL
	}
	request := clerk.NewAPIRequest(http.MethodPatch, "/domains/"+url.PathEscape(id))
	request.SetParams(params)
	return request
}

func (c *Clerk) call(ctx context.Context, request *clerk.APIRequest, answer clerk.ResponseReader) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := c.backend.Call(ctx, request, answer)
	var refusal *Refusal
	var failed *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s ended the connection without an answer; try again", c.url)
	case errors.As(err, &failed):
		return fmt.Errorf("asking Clerk's Backend API at %s: %w", c.url, failed.Err)
	}
	return c.strange()
}

func (c *Clerk) strange() error {
	return fmt.Errorf("%s does not answer as Clerk's Backend API does; look at CLERK_API_URL", c.url)
}

// domainAnswer is the SDK's domain, with what it leaves out of the records.
type domainAnswer struct {
	clerk.Domain
	CNAMETargets []struct {
		Host     string `json:"host"`
		Value    string `json:"value"`
		Required bool   `json:"required"`
	} `json:"cname_targets"`
}

func (a *domainAnswer) domain() (Domain, error) {
	if a.ID == "" || a.Name == "" {
		return Domain{}, errors.New("the Backend API answered something that is not a domain")
	}
	d := Domain{
		ID:             shown(a.ID),
		Name:           shown(a.Name),
		Satellite:      a.IsSatellite,
		FrontendAPIURL: shown(a.FrontendAPIURL),
	}
	if a.ProxyURL != nil {
		d.ProxyURL = shown(*a.ProxyURL)
	}
	for _, record := range a.CNAMETargets {
		d.CNAMEs = append(d.CNAMEs, CNAME{Host: shown(record.Host), Target: shown(record.Value), Required: record.Required})
	}
	return d, nil
}

// answers lets only answers through that the SDK can do something with. By itself
// it takes a redirect for success, quotes whatever page it gets as an error, and
// reads without end.
type answers struct {
	next      http.RoundTripper
	secretKey string
}

func (t answers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, newRefusal(resp.StatusCode, resp.Header, bytes.ReplaceAll(body, []byte(t.secretKey), []byte("sk_…")))
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

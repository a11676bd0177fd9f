package domains

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// directTimeout limits one question to the Frontend API.
const directTimeout = 10 * time.Second

// Direct reaches the Frontend API without a proxy.
type Direct struct {
	// Transport makes the requests.
	Transport http.RoundTripper
}

// Check asks the Frontend API at its own URL for what every page needs first. It
// is a [Switch.CheckDirect].
func (d Direct) Check(ctx context.Context, frontendAPIURL string, enabled bool) error {
	ctx, cancel := context.WithTimeout(ctx, directTimeout)
	defer cancel()
	asked := frontendAPIURL + "/v1/environment"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, asked, nil)
	if err != nil {
		return fmt.Errorf("%s is not the URL of a Frontend API", frontendAPIURL)
	}
	resp, err := d.Transport.RoundTrip(request) // which follows no redirect
	if err != nil {
		return fmt.Errorf("the Frontend API does not answer at %s: %w", frontendAPIURL, err)
	}
	defer resp.Body.Close()
	if !enabled {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("the answer of %s broke off: %w", asked, err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s", asked, strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", newRefusal(resp.StatusCode, resp.Header, body).Code)))
	case !json.Valid(body):
		return fmt.Errorf("%s answers something that is not Clerk's", asked)
	}
	return nil
}

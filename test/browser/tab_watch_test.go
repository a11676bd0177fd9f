package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestTheWatchSeesWhatItWatchesFor makes sure that a page that does what no
// page should is found out: a watch that sees nothing would pass every test.
func TestTheWatchSeesWhatItWatchesFor(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><link rel=icon href="data:,">
			<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
			<img src="%[1]s/pixel.gif">
			<script>
				console.error("said", "aloud", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyIn0.c2ln");
				addEventListener("unhandledrejection", () => setTimeout(() => { document.title = "done"; }));
				fetch("%[1]s/fetched?secret=1", {mode: "no-cors"}).finally(() => undefinedFunction());
			</script>`, elsewhere.URL)
	}))
	defer page.Close()

	b := launch(t, page.URL)
	b.visit(page.URL)
	b.until("the page is done", `document.title === "done"`)
	foreign := b.foreignRequests()
	slices.Sort(foreign)
	if want := []string{elsewhere.URL + "/fetched?secret=1", elsewhere.URL + "/pixel.gif"}; !slices.Equal(foreign, want) {
		t.Errorf("requests to other origins: %q, want %q", foreign, want)
	}
	errors := strings.Join(b.unexpectedErrors(), "\n")
	for _, want := range []string{"said aloud <token>", "404 (Not Found)", "undefinedFunction is not defined"} {
		if !strings.Contains(errors, want) {
			t.Errorf("the errors lack %q:\n%s", want, errors)
		}
	}
	if strings.Contains(errors, "eyJ") || strings.Contains(errors, "secret") {
		t.Error("the errors hold a token or a query")
	}
}

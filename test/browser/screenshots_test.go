package browser

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// maxScreenshot is what a picture in the documentation may weigh.
const maxScreenshot = 200_000

// TestScreenshots writes the pictures of the documentation. Without the flag it
// only makes sure that they are there.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	if !*updateScreenshots {
		for _, name := range []string{"sign-in.png", "signed-in.png", "satellite.png", "status.png", "status-dark.png"} {
			picture, err := os.Stat(filepath.Join(imagesDir, name))
			switch {
			case err != nil:
				t.Errorf("%v; run this test with -update-screenshots", err)
			case picture.Size() > maxScreenshot:
				t.Errorf("%s has %d bytes, more than %d", name, picture.Size(), maxScreenshot)
			}
		}
		return
	}

	// The addresses are those that readers will see.
	t.Run("demo", func(t *testing.T) {
		b := open(t, runDemo(t, "127.0.0.1:8080").says(`Open +(http://\S+)`))
		b.setScene()
		b.until("the card is there", `document.querySelector("`+continueButton+`")`)
		b.keepScreenshot("sign-in.png")

		b.signIn()
		b.untilServer("signed-in")
		b.untilPictured()
		b.keepScreenshot("signed-in.png")
	})
	t.Run("demo --satellite", func(t *testing.T) {
		demo := runDemo(t, "127.0.0.1:8080", "--satellite")
		primary, satellite := demo.says(`Open +(http://\S+)`), demo.says(`Satellite +(http://\S+)`)
		b := open(t, satellite, primary)
		b.setScene()
		b.press("#sign-in-link")
		b.signIn()
		b.untilAt(satellite, "signed-in")
		b.untilPictured()
		b.keepScreenshot("satellite.png")
	})
	t.Run("the status page", func(t *testing.T) {
		i := install(t, "--admin-listen", "127.0.0.1:25375")
		go i.beBusy(t.Context()) // as long as the test
		b := open(t, "http://127.0.0.1:25375/")
		b.untilWithin(6*time.Minute, "the lines have their full length", `document.querySelector("#requests .stroke").getAttribute("d")?.split("L").length >= 150`)
		b.until("all is well", `document.querySelector("#verdict").dataset.state === "good"`)
		b.keepStatusScreenshot("status.png", "light")
		b.keepStatusScreenshot("status-dark.png", "dark")
	})
}

func (b *tab) setScene() {
	b.t.Helper()
	b.call("setting the scene", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: "light"},
				{Name: "prefers-reduced-motion", Value: "reduce"},
			},
		})
		return err
	})
	b.do("sizing the window", chromedp.EmulateViewport(1280, 900))
}

// untilPictured waits for Clerk's user button, and for its picture in the list.
func (b *tab) untilPictured() {
	b.t.Helper()
	b.until("Clerk's user button is there", `document.querySelector(".cl-userButtonAvatarImage")?.complete`)
	b.until("its picture is in the list", `[...document.querySelectorAll("#requests .path")].some((path) => path.title.includes("/avatars/"))`)
}

// keepScreenshot writes a picture for the documentation.
func (b *tab) keepScreenshot(name string) {
	b.t.Helper()
	b.call("taking "+name, func(ctx context.Context) error {
		picture, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
		if err != nil {
			return err
		}
		if err := os.MkdirAll(imagesDir, 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(imagesDir, name), picture.Data, 0o644)
	})
}

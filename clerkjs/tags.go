package clerkjs

import (
	_ "embed"
	"html"
	"html/template"
	"net/http"
	"strings"
)

// bootstrap is a function that takes the options for Clerk.load. It is in front
// of the scripts that it waits for, and listens at the document, so that no
// script can load or fail before it listens.
//
//go:embed bootstrap.js
var bootstrap string

// Tags are the script elements that load ClerkJS and Clerk's components for a
// page, with the attributes that ClerkJS reads its configuration from. They go
// into the head of the page that answers the request.
//
// The scripts are async. window.clerkReady is a promise of the loaded Clerk. Of
// several Tags on a page, the first counts.
func (p *Provider) Tags(r *http.Request) template.HTML {
	nonce := p.Nonce(r)
	proxyURL := p.proxyURLFor(r)
	var b strings.Builder
	b.WriteString("<script")
	attribute(&b, "nonce", nonce)
	b.WriteString(">" + p.bootstrap + "</script>\n")
	script := func(src, marker string) {
		b.WriteString("<script")
		attribute(&b, "src", src)
		b.WriteString(" " + marker + " async")
		attribute(&b, "crossorigin", "anonymous")
		attribute(&b, "data-clerk-publishable-key", p.instance.PublishableKey)
		attribute(&b, "data-clerk-proxy-url", proxyURL)
		attribute(&b, "data-clerk-domain", p.domain)
		attribute(&b, "nonce", nonce)
		b.WriteString("></script>\n")
	}
	npm := p.base(r) + "/npm/@clerk/"
	script(npm+"clerk-js@"+p.jsVersion+"/dist/clerk.browser.js", "data-clerk-js-script")
	script(npm+"ui@"+p.uiVersion+"/dist/ui.browser.js", "data-clerk-ui-script")
	return template.HTML(b.String())
}

// attribute writes an attribute unless it is empty.
func attribute(b *strings.Builder, name, value string) {
	if value == "" {
		return
	}
	b.WriteString(" " + name + `="` + html.EscapeString(value) + `"`)
}

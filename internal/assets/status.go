package assets

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cacheStatus tells what came of a request, RFC 9211.
const cacheStatus = "Cache-Status"

// Why a request went forward, RFC 9211 §2.2.
const (
	fwdBypass   = "bypass"
	fwdMethod   = "method"
	fwdURIMiss  = "uri-miss"
	fwdVaryMiss = "vary-miss"
	fwdRequest  = "request"
	fwdStale    = "stale"
)

const (
	detailStaleWhileRevalidate = "stale-while-revalidate"
	detailStaleIfError         = "stale-if-error"
	detailFollowed             = "redirect-followed"
)

const hit = "clerkproxy; hit"

// status is what Cache-Status says of an answer that is served from the store, in
// place of a redirect if to is another entry than e.
func (u use) status(e, to *entry, now time.Time) []string {
	switch {
	case u.detail == "" && e == to:
		return e.hitStatus
	case u.detail == "":
		return to.followedStatus
	}
	ttl := int64(e.left(now) / time.Second)
	return append(slices.Clip(e.status), hit+"; ttl="+strconv.FormatInt(ttl, 10)+"; detail="+u.detail)
}

// An outcome is what came of a request that went forward.
type outcome struct {
	fwd               string
	code              int // of the answer to the fetch, if it is not the request's
	stored, collapsed bool
	detail            string
}

// append adds the outcome behind those of the caches before.
func (o outcome) append(before []string) []string {
	var b strings.Builder
	b.WriteString("clerkproxy; fwd=")
	b.WriteString(o.fwd)
	if o.code != 0 {
		b.WriteString("; fwd-status=")
		b.WriteString(strconv.Itoa(o.code))
	}
	if o.stored {
		b.WriteString("; stored")
	}
	if o.collapsed {
		b.WriteString("; collapsed")
	}
	if o.detail != "" {
		b.WriteString("; detail=")
		b.WriteString(o.detail)
	}
	return append(slices.Clip(before), b.String())
}

// notCached answers a request that wants nothing fetched, RFC 9111 §5.2.1.7.
func notCached(req *http.Request) *http.Response {
	const body = `{"errors":[{"code":"proxy_request_failed","message":"The request asks for a cached answer only, and there is none."}]}`
	resp := &http.Response{
		Status: "504 Gateway Timeout", StatusCode: http.StatusGatewayTimeout,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Content-Type":   {"application/json"},
			"Content-Length": {strconv.Itoa(len(body))},
			"Cache-Control":  {"no-store"},
			cacheStatus:      {"clerkproxy; detail=only-if-cached"},
		},
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(strings.NewReader(body)),
		Request:       req,
	}
	if req.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp
}

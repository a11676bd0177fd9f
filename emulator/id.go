package emulator

import "crypto/rand"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID is an identifier as Clerk's look: a prefix that tells the kind, and 27
// letters and digits.
func newID(prefix string) string { return prefix + "_" + randomText(27) }

func randomText(n int) string {
	text := make([]byte, 0, n)
	buf := make([]byte, n)
	for len(text) < n {
		rand.Read(buf)
		for _, b := range buf {
			// 248 is the largest multiple of 62 in a byte: above it, some
			// letters would come up more often than others.
			if b < 248 && len(text) < n {
				text = append(text, base62[b%62])
			}
		}
	}
	return string(text)
}

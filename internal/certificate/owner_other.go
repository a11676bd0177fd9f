//go:build !unix

package certificate

func (s *settings) checkOwner() error { return nil }

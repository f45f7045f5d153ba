package login

import (
	"context"
	"errors"

	"golang.org/x/oauth2"
)

// Device shows a code, which somebody types in on any device, and waits until they have signed in
// there.
func Device(ctx context.Context, o Options) (string, error) {
	ctx, stop, s, err := begin(ctx, o)
	if err != nil {
		return "", err
	}
	defer stop()
	if s.config.Endpoint.DeviceAuthURL == "" {
		return "", s.failed("it offers no sign-in by a code on another device; --login browser may work")
	}
	if err := s.address("its device endpoint", s.config.Endpoint.DeviceAuthURL); err != nil {
		return "", err
	}
	secret := oauth2.GenerateVerifier()
	d, err := s.config.DeviceAuth(ctx, oauth2.S256ChallengeOption(secret))
	if err != nil {
		return "", s.reason(ctx, "asking for a code", err)
	}
	if err := s.address("the page where the code is typed in", d.VerificationURI); err != nil {
		return "", err
	}
	if !code.MatchString(d.UserCode) || d.DeviceCode == "" {
		return "", s.failed("the code that it gave is none: %s", shown(d.UserCode))
	}
	if d.Interval < 1 || d.Interval > 60 {
		d.Interval = 5 // seconds: RFC 8628, 3.2
	}
	s.Say("to sign in, open %s on any device and type in %s", d.VerificationURI, d.UserCode)
	t, err := s.config.DeviceAccessToken(ctx, d, oauth2.VerifierOption(secret))
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) { // the code's own end
			return "", s.failed("the code was not used in time")
		}
		return "", s.reason(ctx, "waiting for the sign-in", err)
	}
	return s.identity(ctx, t, "")
}

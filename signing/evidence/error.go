package evidence

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/forge-build/forge/recipes/registry"
)

// The ids of what may be wrong with a registry. signing A33.
const (
	Unreachable = "registry-unreachable" // no connection, or it broke off
	Timeout     = "registry-timeout"     // too slow for the deadline
	TLS         = "registry-tls"         // its certificate does not hold
	Denied      = "registry-denied"      // 401, 403, or a sign-in that failed
	NotFound    = "registry-not-found"   // 404: no such repository, tag or digest
	Broken      = "registry-broken"      // 5xx and other answers that make no sense
	Refused     = "registry-refused"     // it led where forge does not go, or sent what it must not
)

// RegistryError is a failure for which a registry, or the way to it, is the reason.
type RegistryError struct {
	ID       string
	Registry string
	Reason   string
	cause    error
}

func (e *RegistryError) Error() string {
	s := fmt.Sprintf("registry %s: %s", e.Registry, e.Reason)
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *RegistryError) Unwrap() error { return e.cause }

// Hint is what to try.
func (e *RegistryError) Hint() string {
	if e.ID == Denied {
		return fmt.Sprintf("docker login %s or podman login %s, or a credential helper, lets forge in (DOCKER_CONFIG)", e.Registry, e.Registry)
	}
	return ""
}

// reason turns what a request came back with into an [*RegistryError]; nil stays nil. doing is
// what was being done, in words. Cancellation by the caller stays what it is.
func reason(err error, host, doing string) error {
	var own *RegistryError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &own):
		return own
	}
	e := &RegistryError{Registry: host, Reason: doing, cause: registry.WithoutAddress(err)}
	var (
		denied *registry.DeniedError
		busy   *registry.BusyError
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		slow   net.Error
	)
	switch {
	case errors.As(err, &denied):
		e.ID = Denied
	case errors.As(err, &busy):
		e.ID = status(busy.Code)
	case errors.As(err, &cert), errors.As(err, &record):
		e.ID = TLS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		e.ID = Timeout
	default:
		e.ID = Unreachable
	}
	return e
}

// status is the id for an HTTP status that is no success.
func status(code int) string {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Denied
	case http.StatusNotFound, http.StatusGone:
		return NotFound
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return Timeout
	}
	return Broken
}

// failed is an [*RegistryError] for an answer with that status.
func failed(code int, host, doing string) *RegistryError {
	return &RegistryError{ID: status(code), Registry: host, Reason: fmt.Sprintf("%s: it answers %d %s", doing, code, http.StatusText(code))}
}

// refuse is an [*RegistryError] for content that is not what it must be.
func refuse(host, format string, args ...any) *RegistryError {
	return &RegistryError{ID: Refused, Registry: host, Reason: fmt.Sprintf(format, args...)}
}

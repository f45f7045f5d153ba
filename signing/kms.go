package signing

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"

	// Each of these makes one scheme known to kms.Get.
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
)

// patience is how long a key service may take for one answer, its library's own retries included.
const patience = 2 * time.Minute

// service is a key service's signer that ends when its caller does: some of the libraries look
// at no context, and have no limit of time.
type service struct{ signature.SignerVerifier }

func openService(ctx context.Context, ref string) (service, error) {
	sv, err := within(ctx, func() (signature.SignerVerifier, error) { return kms.Get(ctx, ref, crypto.SHA256) })
	return service{sv}, err
}

// PublicKey asks for the public key.
func (s service) PublicKey(opts ...signature.PublicKeyOption) (crypto.PublicKey, error) {
	ctx := context.Background()
	for _, o := range opts {
		o.ApplyContext(&ctx)
	}
	return within(ctx, func() (crypto.PublicKey, error) { return s.SignerVerifier.PublicKey(opts...) })
}

// SignMessage asks for a signature.
func (s service) SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error) {
	ctx := context.Background()
	for _, o := range opts {
		o.ApplyContext(&ctx)
	}
	return within(ctx, func() ([]byte, error) { return s.SignerVerifier.SignMessage(message, opts...) })
}

// serviceError is what a service's library says, on one line: some put whole answers into theirs.
type serviceError struct{ error }

func (e serviceError) Error() string {
	words := slices.DeleteFunc(strings.Fields(e.error.Error()), func(w string) bool { return strings.Trim(w, "-") == "" })
	s := strings.Join(words, " ")
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + "…"
	}
	return s
}

func (e serviceError) Unwrap() error { return e.error }

// within waits for a call until ctx ends or patience does. What the call began is left to itself.
func within[T any](ctx context.Context, call func() (T, error)) (T, error) {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the service has not answered for %s", patience))
	defer stop()
	type answer struct {
		of  T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		of, err := call()
		done <- answer{of, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			a.err = serviceError{a.err}
		}
		return a.of, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

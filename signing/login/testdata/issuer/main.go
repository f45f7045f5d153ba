// An OpenID issuer for the tests, made of a library that others run in earnest. Its example server
// has a user, test-user@localhost with the password verysecure. usage: issuer HOST:PORT
package main

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// public is a client without a secret, for both ways to sign in.
type public struct{ op.Client }

func (public) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodNone }
func (public) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeDeviceCode}
}

type store struct{ *storage.Storage }

func (s store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	return public{c}, err
}

// CompleteDeviceAuthorization notes who signed in: the example's page has the name, its tokens want
// the number.
func (s store) CompleteDeviceAuthorization(ctx context.Context, code, _ string) error {
	return s.Storage.CompleteDeviceAuthorization(ctx, code, "id1")
}

func main() {
	at := os.Args[1]
	storage.RegisterClients(storage.NativeClient("sigstore", "http://localhost/auth/callback"))
	users := storage.NewUserStore("http://" + at + "/")
	log.Fatal(http.ListenAndServe(at, exampleop.SetupServer("http://"+at+"/", store{storage.NewStorage(users)}, slog.New(slog.DiscardHandler), false)))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/ambient"
	"github.com/forge-build/forge/signing/login"
)

// signOptions say who signs. What a flag does not say, the recipe's sign block does.
type signOptions struct {
	key       string
	identity  string
	issuer    string
	token     string
	login     string // "browser" or "device": a person signs in
	services  string
	trustRoot string
	legacy    bool
	noSign    bool
}

func (o *signOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.key, "key", "", "sign with this `KEY`: a file, or awskms://, azurekms://, gcpkms://, hashivault://")
	f.StringVar(&o.identity, "identity", "", "sign as this `IDENTITY` (keyless); with --issuer")
	f.StringVar(&o.issuer, "issuer", "", "`URL` of the issuer that vouches for the identity, exactly")
	f.StringVar(&o.token, "identity-token", "", "`FILE` of the identity token; else the pipeline's own, or SIGSTORE_ID_TOKEN")
	f.StringVar(&o.login, "login", "", "sign in as yourself, `HOW`: browser, or device (a code for another device)")
	f.StringVar(&o.services, "services", "", "signing config of a private Sigstore, a `FILE`")
	f.StringVar(&o.trustRoot, "trusted-root", "", "`FILE` of the trust root by which signing services are judged")
	f.BoolVar(&o.legacy, "legacy-signature", false, "write cosign's older tags too, for consumers that know no bundle")
	f.BoolVar(&o.noSign, "no-sign", false, "push by digest and sign nothing; no tag is possible")
}

// over is what a recipe says, with what the flags say in its place. Paths of the recipe are
// made relative to its folder.
func (o signOptions) over(s *recipes.Sign, dir string) signOptions {
	if s == nil {
		return o
	}
	in := func(p string) string {
		if p == "" {
			return ""
		}
		return filepath.Join(dir, filepath.FromSlash(p))
	}
	if o.key == "" && o.identity == "" && o.issuer == "" {
		o.identity, o.issuer, o.key = s.Identity, s.Issuer, s.Key
		if scheme, _ := recipes.KeyService(s.Key); scheme == "" {
			o.key = in(s.Key)
		}
	}
	if o.services == "" {
		o.services = in(s.Services)
	}
	if o.trustRoot == "" {
		o.trustRoot = in(s.TrustRoot)
	}
	o.legacy = o.legacy || s.Legacy
	return o
}

// signer makes what signs; nil with --no-sign.
func (o signOptions) signer(ctx context.Context, t *terminal) (*signing.Signer, error) {
	keyless := o.identity != "" || o.issuer != ""
	switch {
	case o.noSign && (o.key != "" || keyless || o.legacy):
		return nil, usageError{errors.New("--no-sign and a signer contradict each other")}
	case o.noSign:
		return nil, nil
	case o.key == "" && !keyless:
		return nil, usageError{errors.New("nobody is named to sign: write a sign block into the recipe, give --key, or --identity with --issuer; --no-sign pushes by digest only")}
	case o.key != "" && keyless:
		return nil, usageError{errors.New("--key and --identity: an image has one signer")}
	case keyless && (o.identity == "" || o.issuer == ""):
		return nil, usageError{errors.New("--identity and --issuer belong together")}
	case o.login != "" && o.login != "browser" && o.login != "device":
		return nil, usageError{fmt.Errorf("--login %q: it must be browser or device", o.login)}
	case o.login != "" && (!keyless || o.token != ""):
		return nil, usageError{errors.New("--login gives an identity its token; a key needs none, and --identity-token is another way to one")}
	}
	with := signing.SignWith{Key: o.key, Passphrase: passphrase}
	var err error
	if o.services != "" {
		if with.Services, err = signing.LoadServices(o.services, time.Now()); err != nil {
			return nil, err
		}
	}
	if keyless {
		if o.services == "" {
			with.Services = signing.Public
			t.say("the public Sigstore vouches: its log shows this identity and the digests of what it signs to everybody, and is sent the statements, of which it keeps the hashes; --services names a private one") // A46
		}
		src, err := o.source(t, with.Services.OpenID)
		if err != nil {
			return nil, err
		}
		with.Token, with.Expect = src.Token, signing.Identity{Name: o.identity, Issuer: o.issuer}
		t.say("signing as %s, with the token of %s", o.identity, src.Name)
	}
	if o.trustRoot == "" && keyless { // the root that forge keeps, if it keeps one
		if path, err := keptRoot(); err == nil {
			if _, err := os.Lstat(path); err == nil {
				o.trustRoot = path
			}
		}
	}
	if o.trustRoot != "" {
		if with.Root, err = signing.LoadRoot(o.trustRoot); err != nil {
			return nil, err
		}
	}
	return signing.NewSigner(ctx, with)
}

// source is where identity tokens come from: a file, a person who signs in, a pipeline.
func (o signOptions) source(t *terminal, issuer string) (ambient.Source, error) {
	if o.token != "" {
		return ambient.FromFile(o.token), nil
	}
	if o.login == "" {
		src, err := ambient.Find(ambient.Host{})
		if err != nil {
			return src, hinted{usageError{err}, "--login browser, or --login device, signs in as a person"}
		}
		return src, nil
	}
	if issuer == "" {
		return ambient.Source{}, usageError{errors.New("--login: the signing config names no OpenID issuer (oidcUrls)")}
	}
	with := login.Options{Issuer: issuer, Say: t.say}
	flow := login.Device
	if o.login == "browser" {
		flow, with.Open = login.Browser, browse
	}
	return ambient.Source{Name: "whoever signs in at " + issuer, Token: func(ctx context.Context) (string, error) { return flow(ctx, with) }}, nil
}

// browse opens an address with the desktop's own program, which outlives forge.
func browse(address string) error {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	cmd := exec.Command(program, address)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // the page says what came of it
	return nil
}

// passphrase is that of an encrypted key: of a variable, or typed in.
func passphrase() ([]byte, error) {
	for _, name := range []string{"FORGE_KEY_PASSPHRASE", "COSIGN_PASSWORD"} {
		if v, ok := os.LookupEnv(name); ok {
			return []byte(v), nil
		}
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil, errors.New("the key is encrypted: set FORGE_KEY_PASSPHRASE (or COSIGN_PASSWORD), or run forge on a terminal")
	}
	fmt.Fprint(os.Stderr, "Passphrase of the key: ")
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(fd)
}

package ambient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Source gives identity tokens.
type Source struct {
	Name  string // for people: "GitHub Actions"
	Token func(context.Context) (string, error)
}

// Host is what a Source may use of this machine. The zero value is the machine itself.
type Host struct {
	Getenv func(string) string
	// Client asks pipelines' services; their addresses are the environment's word.
	Client *http.Client
	Root   string // before fixed paths, for tests
}

// audience is whom a token must be for. Source: Fulcio, docs/oidc.md.
const audience = "sigstore"

const maxToken = 64 << 10

// ErrNone says that this is no place that gives tokens.
var ErrNone = errors.New("there is no identity token: neither SIGSTORE_ID_TOKEN, nor GitHub Actions (permissions: id-token: write), GitLab CI (id_tokens), Buildkite, Google Cloud or Kubernetes offers one; --identity-token names a file")

// FromFile reads tokens from a file, anew each time: whoever keeps it may renew it.
func FromFile(path string) Source {
	return Source{"file " + path, func(context.Context) (string, error) { return readFile(path) }}
}

// Find finds where tokens come from, or ErrNone. No token is asked for yet.
func Find(h Host) (Source, error) {
	getenv := h.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	client := h.Client
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	switch {
	case getenv("SIGSTORE_ID_TOKEN") != "":
		return Source{"SIGSTORE_ID_TOKEN", func(context.Context) (string, error) { return plausible(getenv("SIGSTORE_ID_TOKEN")) }}, nil
	case getenv("ACTIONS_ID_TOKEN_REQUEST_URL") != "" && getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN") != "":
		return Source{"GitHub Actions", func(ctx context.Context) (string, error) {
			return github(ctx, client, getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
		}}, nil
	case getenv("BUILDKITE_AGENT_ACCESS_TOKEN") != "":
		return Source{"Buildkite", buildkite}, nil
	}
	mounted := h.Root + "/var/run/sigstore/cosign/oidc-token" // into a pod of Kubernetes
	if _, err := os.Stat(mounted); err == nil {
		return FromFile(mounted), nil
	}
	if at := getenv("GCE_METADATA_HOST"); at != "" || google(h.Root) {
		if at == "" {
			at = "metadata.google.internal"
		}
		return Source{"Google Cloud", func(ctx context.Context) (string, error) {
			u := "http://" + at + "/computeMetadata/v1/instance/service-accounts/default/identity?audience=" + audience + "&format=full"
			return ask(ctx, client, u, http.Header{"Metadata-Flavor": {"Google"}}, false)
		}}, nil
	}
	return Source{}, ErrNone
}

// google says whether this is a machine of Google's. Source: cloud.google.com/compute/docs,
// "Detect if a VM is running in Compute Engine".
func google(root string) bool {
	raw, err := os.ReadFile(root + "/sys/class/dmi/id/product_name")
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(raw)), "Google")
}

// github asks for a token. Source: docs.github.com, "OpenID Connect reference".
func github(ctx context.Context, client *http.Client, address, bearer string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Hostname() != "127.0.0.1") {
		return "", errors.New("ACTIONS_ID_TOKEN_REQUEST_URL is no https address")
	}
	q := u.Query()
	q.Set("audience", audience)
	u.RawQuery = q.Encode()
	return ask(ctx, client, u.String(), http.Header{"Authorization": {"Bearer " + bearer}}, true)
}

// buildkite asks the agent. Source: buildkite.com/docs/agent/v3/cli-oidc.
func buildkite(ctx context.Context) (string, error) {
	var out, messages bytes.Buffer
	cmd := exec.CommandContext(ctx, "buildkite-agent", "oidc", "request-token", "--audience", audience)
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("asking buildkite-agent: %w: %s", err, strings.TrimSpace(messages.String()))
	}
	return plausible(out.String())
}

func ask(ctx context.Context, client *http.Client, address string, header http.Header, wrapped bool) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", errors.New("the token service has no address that can be asked")
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		for errors.As(err, &ue) { // the address may hold what is secret
			err = ue.Err
		}
		return "", fmt.Errorf("asking the token service: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	if err != nil {
		return "", fmt.Errorf("asking the token service: %w", err)
	}
	if resp.StatusCode != 200 {
		return "", fmt.Errorf("the token service answers %d", resp.StatusCode)
	}
	if !wrapped {
		return plausible(string(raw))
	}
	var answer struct{ Value string }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return "", errors.New("the token service's answer is no JSON")
	}
	return plausible(answer.Value)
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the identity token: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return "", fmt.Errorf("reading the identity token: %w", err)
	}
	return plausible(string(raw))
}

// plausible is a text that looks like a token (RFC 7515: three parts).
func plausible(s string) (string, error) {
	s = strings.TrimSpace(s)
	if strings.Count(s, ".") != 2 || strings.ContainsAny(s, " \t\r\n") {
		return "", errors.New("what was given as identity token is none: three parts with dots are due")
	}
	return s, nil
}

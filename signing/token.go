package signing

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// promised is the identity that an identity token promises: whom the certificate for it must
// be for. The token's own signature is for the certificate authority to check. Source:
// Fulcio, docs/oidc.md.
func promised(token string) (Identity, error) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return Identity{}, errors.New("it is no JSON web token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Identity{}, errors.New("it is no JSON web token")
	}
	var c struct {
		Issuer    string `json:"iss"`
		Subject   string `json:"sub"`
		Email     string `json:"email"`
		Workflow  string `json:"job_workflow_ref"`  // GitHub
		ConfigRef string `json:"ci_config_ref_uri"` // GitLab
		Federated *struct {
			Connector string `json:"connector_id"`
		} `json:"federated_claims"` // dex, which speaks for another issuer
	}
	if json.Unmarshal(raw, &c) != nil || c.Issuer == "" {
		return Identity{}, errors.New("it names no issuer")
	}
	id := Identity{Issuer: c.Issuer}
	if c.Federated != nil && strings.HasPrefix(c.Federated.Connector, "https://") {
		id.Issuer = c.Federated.Connector
	}
	switch {
	case c.Workflow != "":
		id.Name = "https://github.com/" + c.Workflow
	case c.ConfigRef != "":
		id.Name = "https://" + c.ConfigRef
	case c.Email != "":
		id.Name = c.Email
	case strings.Contains(c.Subject, "://"), strings.Contains(c.Subject, "@"):
		id.Name = c.Subject
	default:
		return Identity{}, errors.New("it promises no name that forge knows how to find in a certificate; state the identity that is expected")
	}
	return id, nil
}

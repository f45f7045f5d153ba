// Package login lets a person sign in where an identity is kept, and gives the identity token
// (OpenID Connect) that a certificate authority wants.
//
// [Browser] opens a page of the issuer and waits on a port of this machine for the answer
// (authorization code with PKCE: RFC 6749, 7636, 8252). [Device] shows a code that is typed in on
// another device (RFC 8628), for a host without a browser. Both end after a while, and at once
// when the context does.
//
// An answer counts when it bears the state that was sent, and the token when the issuer's key
// signed it for this client, and in a browser for this very request (nonce). No token, code or
// secret is in any message or error. What the issuer says is shown quoted and cut.
//
// The package keeps no token and knows no certificate.
package login

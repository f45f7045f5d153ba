package signing

import (
	"cmp"
	"fmt"
	"strings"
)

// Status says what became of a check.
type Status string

// A check that was not asked for and one that could not be made are both Skipped; Why says
// which.
const (
	Done    Status = "done"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// The checks, in the order in which they are made. The ids are stable.
const (
	CheckManifest   = "manifest"   // the image's own document is what its digest and type say
	CheckContents   = "contents"   // the bytes below the manifest
	CheckIndex      = "index"      // the children of an index
	CheckPresent    = "present"    // a statement of the required type
	CheckFormat     = "format"     // the document's form
	CheckSigner     = "signer"     // who signed, and by whom the name was confirmed
	CheckCert       = "cert"       // the certificate's chain, at the verified times
	CheckSCT        = "sct"        // the certificate's entry in a certificate log
	CheckLog        = "log"        // the signature's entry in a transparency log
	CheckTime       = "time"       // when it was signed, as others confirm
	CheckKey        = "key"        // the key's window
	CheckSignature  = "signature"  // the signature over the bytes
	CheckSubject    = "subject"    // the digest that the statement is about
	CheckRepository = "repository" // the repository that the statement is about
	CheckStatement  = "statement"  // the statement's form and predicate type
	CheckDocument   = "document"   // the document that lies beside a statement
	CheckCandidates = "candidates" // what else lay beside the image
)

// Check is one row of the table.
type Check struct {
	ID       string `json:"id"`
	Digest   string `json:"digest"`             // of the image that it is about
	Type     string `json:"type,omitempty"`     // predicate type of the statement that it is about
	Status   Status `json:"status"`             //
	Expected string `json:"expected,omitempty"` //
	Found    string `json:"found,omitempty"`    //
	Why      string `json:"why,omitempty"`      // of a skipped one
	Evidence string `json:"evidence,omitempty"` // digest of the bundle or signature
}

// String is the row as a line for people.
func (c Check) String() string {
	s := fmt.Sprintf("%-7s %-10s", c.Status, c.ID)
	switch {
	case c.Status == Failed:
		s += fmt.Sprintf(" expected %s, found %s", cmp.Or(c.Expected, "nothing"), cmp.Or(c.Found, "nothing"))
	case c.Status == Skipped:
		s += " " + c.Why
	default:
		s += " " + c.Found
	}
	return strings.TrimRight(s, " ")
}

// Rejected is a candidate that does not count, and the first check that it failed.
type Rejected struct {
	Where    string `json:"where"`            // how it was found
	Digest   string `json:"digest,omitempty"` // of its bytes, or of the manifest that named it
	Type     string `json:"type,omitempty"`   // the predicate type that it claims
	Check    string `json:"check"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found"`
}

func (r Rejected) String() string {
	s := fmt.Sprintf("%s %s: %s: ", r.Where, short(r.Digest), r.Check)
	if r.Expected != "" {
		s += "expected " + r.Expected + ", "
	}
	return s + "found " + r.Found
}

// NotVerifiedError says that an image does not fulfil a policy: what failed first, and the
// whole table.
type NotVerifiedError struct {
	Image    string     `json:"image"` // repository@digest
	Checks   []Check    `json:"checks"`
	Rejected []Rejected `json:"rejected,omitempty"`
}

// ID names the first failed check, for programs: "signature", "signer", "present" and so on.
func (e *NotVerifiedError) ID() string {
	for _, c := range e.Checks {
		if c.Status == Failed {
			return c.ID
		}
	}
	return CheckPresent
}

// Error is the first failed check; [NotVerifiedError.Checks] has all.
func (e *NotVerifiedError) Error() string {
	for _, c := range e.Checks {
		if c.Status == Failed {
			return fmt.Sprintf("%s is not verified: %s: expected %s, found %s", e.Image, c.ID, cmp.Or(c.Expected, "nothing"), cmp.Or(c.Found, "nothing"))
		}
	}
	return e.Image + " is not verified"
}

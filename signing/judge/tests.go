package judge

import (
	"fmt"

	"github.com/forge-build/forge/signing/strictjson"
)

func (j *judgement) tests() {
	want := j.Rule.Tests
	statements := j.of(want.SignedBy, TypeTests)
	if len(statements) == 0 {
		j.missing("tests", want.SignedBy, TypeTests)
		return
	}
	// The newest counts: what failed once may have been put right, and the reverse. Of those whose
	// order nobody proves each does.
	newest := statements[0]
	for _, s := range statements {
		if !s.Time.Equal(newest.Time) {
			break
		}
		passed, err := readTests(s.Document())
		if err != nil {
			j.failed("tests", s, "tests that have all passed", "%v", err)
			return
		}
		if s == newest {
			j.done("tests", s, "%d passed", passed)
		}
	}
}

// readTests counts what passed; anything else is an error. Source:
// github.com/in-toto/attestation/spec/predicates/test-result.md.
func readTests(raw []byte) (int, error) {
	o, err := open(raw)
	if err != nil {
		return 0, err
	}
	result, err := o.text("result")
	if err != nil {
		return 0, err
	}
	failed, err := o.texts("failedTests")
	if err != nil {
		return 0, err
	}
	passed, err := o.texts("passedTests")
	switch {
	case err != nil:
		return 0, err
	case len(failed) > 0:
		return 0, fmt.Errorf("%d failed: %s", len(failed), some(failed))
	case result != "PASSED":
		return 0, fmt.Errorf("the result %s", strictjson.Quote(result))
	case len(passed) == 0:
		return 0, fmt.Errorf("no test")
	}
	return len(passed), nil
}

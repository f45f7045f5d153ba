package debian

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// index parses lines of "name version; Field: value; …".
func index(lines ...string) []Package {
	var b strings.Builder
	for _, l := range lines {
		f := strings.Split(l, "; ")
		name, version, _ := strings.Cut(f[0], " ")
		arch := "amd64"
		fmt.Fprintf(&b, "Package: %s\nVersion: %s\nFilename: pool/%s_%s.deb\nSize: 1\n", name, version, name, strings.ReplaceAll(version, ":", "_"))
		sum := sumA
		for _, x := range f[1:] {
			switch {
			case strings.HasPrefix(x, "Architecture: "):
				arch = x[14:]
			case strings.HasPrefix(x, "SHA256: "):
				sum = strings.Repeat(x[8:9], 64)
			default:
				fmt.Fprintln(&b, x)
			}
		}
		fmt.Fprintf(&b, "Architecture: %s\nSHA256: %s\n\n", arch, sum)
	}
	all, err := ParsePackages(strings.NewReader(b.String()))
	if err != nil {
		panic(err)
	}
	return all
}

func describe(s *Selection) string {
	var out []string
	for _, p := range s.Packages {
		line := p.Name + " " + p.Version
		if p.Requested {
			line += " wanted"
		}
		if len(p.RequiredBy) > 0 {
			line += " by " + strings.Join(p.RequiredBy, ",")
		}
		if p.Choice != "" {
			line += " as " + p.Choice
		}
		out = append(out, line)
	}
	for _, d := range s.Dropped {
		out = append(out, "dropped "+d.Package+": "+d.Dependency+": "+d.Reason)
	}
	return strings.Join(out, "\n")
}

func TestClosure(t *testing.T) {
	for _, row := range []struct {
		name  string
		index []Package
		req   Request
		want  string
	}{
		{"dependencies and theirs, recommendations never",
			index("aa 1; Depends: bb; Pre-Depends: cc; Recommends: zz", "bb 1; Depends: cc", "cc 1", "zz 1"), Request{Want: []string{"aa"}},
			"aa 1 wanted\nbb 1 by aa\ncc 1 by aa,bb"},
		{"a circle", index("aa 1; Depends: bb", "bb 1; Depends: aa"), Request{Want: []string{"bb"}}, "aa 1 by bb\nbb 1 wanted by aa"},
		{"alternatives from left to right", index("aa 1; Depends: bb | cc", "bb 1", "cc 1"), Request{Want: []string{"aa"}}, "aa 1 wanted\nbb 1 by aa as bb for bb | cc"},
		{"the second alternative where the first is denied", index("aa 1; Depends: bb | cc", "bb 1", "cc 1"), Request{Want: []string{"aa"}, Deny: []string{"bb"}}, "aa 1 wanted\ncc 1 by aa as cc for bb | cc"},
		{"the second alternative where it is wanted anyway", index("aa 1; Depends: bb | cc", "bb 1", "cc 1"), Request{Want: []string{"cc", "aa"}}, "aa 1 wanted\ncc 1 wanted by aa"},
		{"an alternative whose version fits", index("aa 1; Depends: bb (>= 2) | cc", "bb 1", "cc 1"), Request{Want: []string{"aa"}}, "aa 1 wanted\ncc 1 by aa as cc for bb (>= 2) | cc"},
		{"the provider with the highest priority", index("aa 1; Depends: awk", "gawk 1; Provides: awk; Priority: optional", "mawk 1; Provides: awk; Priority: required", "original-awk 1; Provides: awk; Priority: optional"),
			Request{Want: []string{"aa"}}, "aa 1 wanted\nmawk 1 by aa as mawk for awk (of gawk, mawk, original-awk)"},
		{"the provider that is not denied", index("aa 1; Depends: awk", "gawk 1; Provides: awk", "mawk 1; Provides: awk; Priority: required"), Request{Want: []string{"aa"}, Deny: []string{"mawk"}}, "aa 1 wanted\ngawk 1 by aa"},
		{"the provider that is wanted anyway", index("aa 1; Depends: awk", "gawk 1; Provides: awk", "mawk 1; Provides: awk"), Request{Want: []string{"aa", "mawk"}}, "aa 1 wanted\nmawk 1 wanted by aa"},
		{"a provided version", index("aa 1; Depends: awk (>= 2)", "gawk 1; Provides: awk", "mawk 1; Provides: awk (= 1)", "nawk 1; Provides: awk (= 2)"), Request{Want: []string{"aa"}}, "aa 1 wanted\nnawk 1 by aa"},
		{"the highest version over the archives", index("aa 1:1", "aa 2", "aa 1:1+deb13u1"), Request{Want: []string{"aa"}}, "aa 1:1+deb13u1 wanted"},
		{"a lower version where a bound asks for it", index("aa 1; Depends: bb (<< 2)", "bb 1", "bb 2"), Request{Want: []string{"aa"}}, "aa 1 wanted\nbb 1 by aa"},
		{"a lower version where a bound asks for it later", index("aa 1; Depends: bb", "bb 1", "bb 2", "cc 1; Depends: bb (<< 2)"), Request{Want: []string{"aa", "cc"}}, "aa 1 wanted\nbb 1 by aa,cc\ncc 1 wanted"},
		{"the kept version", index("aa 1", "aa 2"), Request{Want: []string{"aa"}, Keep: map[string]string{"aa": "1"}}, "aa 1 wanted"},
		{"not the kept version where it fits no more", index("aa 1; Depends: bb (>= 2)", "bb 1", "bb 2", "bb 3"), Request{Want: []string{"aa", "bb"}, Keep: map[string]string{"bb": "1"}}, "aa 1 wanted\nbb 3 wanted by aa"},
		{"only packages for the architecture", index("aa 2; Architecture: arm64", "aa 1; Depends: bb:any", "bb 1; Architecture: all"), Request{Want: []string{"aa"}}, "aa 1 wanted\nbb 1 by aa"},
		{"nothing for scripts alone", index("ca-certificates 1; Depends: openssl (>= 1), debconf (>= 0.5) | debconf-2.0", "openssl 1", "debconf 1"), Request{Want: []string{"ca-certificates"}},
			"ca-certificates 1 wanted\ndropped ca-certificates: debconf (>= 0.5) | debconf-2.0: debconf asks questions in maintainer scripts\ndropped ca-certificates: openssl (>= 1): openssl hashes names in update-ca-certificates, whose work forge does"},
		{"what is for scripts alone, if it is wanted", index("ca-certificates 1; Depends: openssl", "openssl 1"), Request{Want: []string{"ca-certificates", "openssl"}}, "ca-certificates 1 wanted\nopenssl 1 wanted by ca-certificates"},
		{"what Debian takes for granted", index("git 1", "dash 1", "bash 1"), Request{Want: []string{"git"}}, "dash 1 by git\ngit 1 wanted"},
		{"a conflict with what is not chosen", index("aa 1; Conflicts: bb, cc (<< 1)", "bb 1", "cc 1"), Request{Want: []string{"aa", "cc"}}, "aa 1 wanted\ncc 1 wanted"},
		{"a conflict with a name that one provides itself", index("aa 1; Provides: mta; Conflicts: mta"), Request{Want: []string{"aa"}}, "aa 1 wanted"},
		{"the same package in two archives", index("aa 1", "aa 1"), Request{Want: []string{"aa"}}, "aa 1 wanted"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.req.Architecture = "amd64"
			s, err := Closure(row.index, row.req)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(s); got != row.want {
				t.Errorf("got\n%s\nwant\n%s", got, row.want)
			}
			for i := range row.index { // the order of the index does not matter
				turned := append(append([]Package{}, row.index[i:]...), row.index[:i]...)
				if again, err := Closure(turned, row.req); err != nil || !reflect.DeepEqual(again, s) {
					t.Fatalf("turned by %d: %v\n%s", i, err, describe(again))
				}
			}
		})
	}
}

func TestUnmet(t *testing.T) {
	for _, row := range []struct {
		name  string
		index []Package
		req   Request
		want  string
	}{
		{"a name that no archive has", index("libgomp1 1"), Request{Want: []string{"libgomp2"}}, "the recipe asks for libgomp2: no archive has libgomp2 for amd64, the nearest name is libgomp1"},
		{"a name of the suite before", index("libglib2.0-0t64 1"), Request{Want: []string{"libglib2.0-0"}}, "the nearest name is libglib2.0-0t64"},
		{"a dependency that no archive has", index("aa 1; Depends: bb", "bb 1; Depends: xyz (>= 1)"), Request{Want: []string{"aa"}}, "bb 1, which aa asks for, depends on xyz (>= 1): no archive has xyz for amd64"},
		{"a version that no archive has", index("aa 1; Depends: bb (>= 2)", "bb 1"), Request{Want: []string{"aa"}}, "aa 1 depends on bb (>= 2): the archives have bb 1"},
		{"a version that nobody provides", index("aa 1; Depends: awk (>= 2)", "mawk 1; Provides: awk"), Request{Want: []string{"aa"}}, "aa 1 depends on awk (>= 2): mawk 1 provides awk"},
		{"a denied dependency", index("aa 1; Depends: bb", "bb 1"), Request{Want: []string{"aa"}, Deny: []string{"bb"}}, "aa 1 depends on bb: bb is denied"},
		{"denied providers", index("aa 1; Depends: awk", "mawk 1; Provides: awk"), Request{Want: []string{"aa"}, Deny: []string{"mawk"}}, "mawk provides it and is denied"},
		{"two bounds that exclude each other", index("aa 1; Depends: bb (= 1)", "bb 1", "bb 2", "cc 1; Depends: bb (= 2)"), Request{Want: []string{"aa", "cc"}}, "depends on bb (= "},
		{"a conflict", index("aa 1; Conflicts: bb (<< 2)", "bb 1"), Request{Want: []string{"aa", "bb"}}, "aa 1 conflicts with bb (<< 2), and bb 1 was chosen"},
		{"a conflict with a provider", index("aa 1; Breaks: mta", "bb 1; Provides: mta"), Request{Want: []string{"aa", "bb"}}, "aa 1 breaks mta, and bb 1 was chosen"},
		{"one version with two contents", index("aa 1", "aa 1; SHA256: b"), Request{Want: []string{"aa"}}, "is in the archives twice"},
		{"a name that is none", index("aa 1"), Request{Want: []string{"aa=1"}}, "no package's name"},
		{"all at once", index("aa 1; Depends: xx, yy"), Request{Want: []string{"aa", "zz"}}, "3 packages cannot be had together"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.req.Architecture = "amd64"
			_, err := Closure(row.index, row.req)
			var unmet *UnmetError
			if !errors.As(err, &unmet) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
	_, err := Closure(index("aa 1; Depends: b/b"), Request{Architecture: "amd64", Want: []string{"aa"}})
	refused(t, err, "DEB-05", "field Depends: relation \"b/b\"")
	_, err = Closure(index("aa 1; Provides: bb (>= 1)"), Request{Architecture: "amd64", Want: []string{"aa"}})
	refused(t, err, "DEB-05", "field Provides")
}

func TestEachSuiteHasItsPython(t *testing.T) {
	for suite, want := range map[string]string{"trixie": "3.13 /usr/bin/python3.13", "bookworm": "3.11 /usr/bin/python3.11"} {
		v, p, err := SuitePython(suite)
		names, err2 := PythonPackages(suite)
		if err != nil || err2 != nil || v+" "+p != want || !strings.Contains(strings.Join(names, " "), "python"+v) {
			t.Error(suite, v, p, err, err2, names)
		}
	}
	if _, err := PythonPackages("woody"); err == nil || !strings.Contains(err.Error(), "trixie (Python 3.13)") {
		t.Error(err)
	}
}

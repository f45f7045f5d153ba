package debian

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// The cases of Debian policy 5.6.12, of dpkg's own tests and of deb-version(7).
func TestCompareVersions(t *testing.T) {
	ordered := []string{"~~", "~~a", "~", "", "a"}
	for i := range ordered {
		for j := range ordered {
			if got := comparePart(ordered[i], ordered[j]); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%q and %q: %d", ordered[i], ordered[j], got)
			}
		}
	}
	for _, row := range []struct {
		a, op, b string
	}{
		{"0", "=", "0:0"}, {"0:0-0", "=", "0"}, {"0.0-0.0", "=", "0:0.0-0.0"}, {"1.0", "=", "1.0-0"}, {"1.00", "=", "1.0"},
		{"1.0~beta1~svn1245", "<", "1.0~beta1"}, {"1.0~beta1", "<", "1.0"}, {"1.0", "<", "1.0a"}, {"1.0a", "<", "1.0+b"},
		{"0:1", "<", "1:0"}, {"9", "<", "1:0"}, {"2:1", ">", "1:2"}, {"1.2", "<", "1.10"}, {"1.0-1", "<", "1.0-2"}, {"1.0-9", "<", "1.0-10"},
		{"1.0", "<", "1.0-1"}, {"1.0-1~bpo1", "<", "1.0-1"}, {"1.0-1+deb13u1", ">", "1.0-1"}, {"2.7.4+reloaded2-13ubuntu1", "<", "2.7.4+reloaded2-13+deb9u1"},
		{"1a", "<", "1b"}, {"1.a", ">", "1a"}, {"a.b", ">", "a1"}, {"1-1-1", ">", "1-1"}, {"99999999999999999999", ">", "9999999999999999999"},
		{"3.13.5-2", "<", "3.13.5-2+deb13u5"}, {"1:1.3.dfsg+really1.3.1-1+b1", ">", "1:1.3.dfsg-1"},
	} {
		c := CompareVersions(row.a, row.b)
		if got := map[bool]string{true: "<", false: ">"}[c < 0]; c == 0 && row.op != "=" || c != 0 && got != row.op {
			t.Errorf("%s against %s is %d, want %s", row.a, row.b, c, row.op)
		}
		if back := CompareVersions(row.b, row.a); (back < 0) != (c > 0) || (back == 0) != (c == 0) {
			t.Errorf("%s and %s: %d one way, %d the other", row.a, row.b, c, back)
		}
	}
}

func TestParseRelations(t *testing.T) {
	got, err := ParseRelations("libc6 (>= 2.38), awk | mawk:any ( << 1:2~3 ),\n perl:any, xx (= 1),")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, g := range got {
		lines = append(lines, write(g))
	}
	if want := "libc6 (>= 2.38); awk | mawk:any (<< 1:2~3); perl:any; xx (= 1)"; strings.Join(lines, "; ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(lines, "; "), want)
	}
	for in, words := range map[string]string{
		"libc6 (2.38)": "no operator", "libc6 (>= )": "version", "libc6 >= 2": "ends with", "libc6 (>= 2.38": "ends with", "a/b": "no package's name",
		"x": "no package's name", "xx |": "no package's name", "xx (>= a b)": "version", "xx:": "architecture", "xx [amd64]": "ends with", "xx (= 1-)": "version",
		strings.Repeat("xx,", maxRelations+1): "more than",
	} {
		_, err := ParseRelations(in)
		refused(t, err, "DEB-05", words)
	}
	for op, want := range map[string]string{"<<": "yes no no", "<=": "yes yes no", "=": "no yes no", ">=": "no yes yes", ">>": "no no yes"} {
		var out []string
		for _, v := range []string{"1", "2", "3"} {
			out = append(out, map[bool]string{true: "yes", false: "no"}[Relation{Operator: op, Version: "2"}.accepts(v)])
		}
		if strings.Join(out, " ") != want {
			t.Errorf("%s: %v", op, out)
		}
	}
}

const sumA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// stanza is a paragraph of an index.
func stanza(name string, more ...string) string {
	return fmt.Sprintf("Package: %s\nVersion: 1.0\nArchitecture: amd64\nFilename: pool/%s.deb\nSize: 10\nSHA256: %s\n%s\n", name, name, sumA, strings.Join(more, ""))
}

func TestParsePackages(t *testing.T) {
	got, err := ParsePackages(strings.NewReader("\n" + stanza("aa", "Source: src (2.0)\nDepends: bb,\n cc\nDescription: long\n .\n  text: no field\n") + "\n\n" + strings.TrimRight(stanza("bb"), "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "aa" || got[0].Source != "src" || got[0].Depends != "bb,\n cc" || got[0].Path != "pool/aa.deb" || got[0].Size != 10 || got[1].Source != "bb" || got[1].SHA256 != sumA {
		t.Errorf("%+v", got)
	}
	for _, row := range []struct{ name, in, words string }{
		{"a continuation of nothing", " x\n", "continues no field"},
		{"a line that is no field", "Package aa\n", "is no field"},
		{"a field without a name", ": x\n", "is no field"},
		{"a comment", "#: x\n", "is no field"},
		{"a field twice", "Package: aa\npackage: bb\n", "twice"},
		{"a NUL", "Package: a\x00a\n", "control character"},
		{"a carriage return", "Package: aa\r\n", "control character"},
		{"no name", strings.Replace(stanza("aa"), "Package: aa\n", "", 1), "name"},
		{"a name that is a path", stanza("../aa"), "name"},
		{"no version", strings.Replace(stanza("aa"), "Version: 1.0\n", "", 1), "version"},
		{"a version with a blank", strings.Replace(stanza("aa"), "1.0", "1 0", 1), "version"},
		{"no size", strings.Replace(stanza("aa"), "Size: 10\n", "", 1), "no size"},
		{"a negative size", strings.Replace(stanza("aa"), "10", "-1", 1), "no size"},
		{"a size of 2^63", strings.Replace(stanza("aa"), "10", "9223372036854775808", 1), "no size"},
		{"no sum", strings.Replace(stanza("aa"), sumA, "", 1), "sha256"},
		{"an upper-case sum", strings.Replace(stanza("aa"), sumA, strings.ToUpper(sumA), 1), "sha256"},
		{"a path that leaves", strings.Replace(stanza("aa"), "pool/", "../pool/", 1), "path"},
		{"an absolute path", strings.Replace(stanza("aa"), "pool/", "/pool/", 1), "path"},
		{"a path with a query", strings.Replace(stanza("aa"), "pool/", "pool?x=", 1), "path"},
		{"a path with a percent sign", strings.Replace(stanza("aa"), "pool/", "pool/%2e%2e/", 1), "path"},
		{"an architecture with a slash", strings.Replace(stanza("aa"), "amd64", "amd/64", 1), "architecture"},
		{"a long line", "Package: " + strings.Repeat("a", maxLine) + "\n", "longer than"},
		{"a long paragraph", stanza("aa", strings.Repeat("X: y\n "+strings.Repeat("z", 1<<19)+"\n", 9)), "longer than"},
		{"many fields", "Package: aa\n" + manyFields(300), "more than 200"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := ParsePackages(strings.NewReader(row.in))
			refused(t, err, "DEB-04", row.words)
		})
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-%d: y\n", i)
	}
	return b.String()
}

// As many packages as Debian has, each with a description.
func TestParsePackagesIsFast(t *testing.T) {
	var b bytes.Buffer
	for i := range 64_000 {
		b.WriteString(stanza(fmt.Sprintf("package-%d", i), "Depends: libc6 (>= 2.38), libgcc-s1 (>= 4.3)\nDescription: something\n", strings.Repeat(" a line of text that nobody reads\n", 10)))
	}
	start := time.Now()
	got, err := ParsePackages(bytes.NewReader(b.Bytes()))
	if err != nil || len(got) != 64_000 {
		t.Fatal(len(got), err)
	}
	took := time.Since(start)
	t.Logf("%d packages, %d MB, %v", len(got), b.Len()>>20, took)
	if took > 5*time.Second { // an idle machine takes 0.3 s
		t.Errorf("64,000 packages took %v", took)
	}
}

const releaseText = `Origin: Debian
Suite: stable
Codename: trixie
Date: Sat, 21 Nov 2026 09:15:44 UTC
Valid-Until: Sat, 28 Nov 2026 09:15:44 UTC
Acquire-By-Hash: yes
Architectures: all amd64 arm64
Components: main contrib
MD5Sum:
 3e498904a30e240573dac8ddac594e6f 10 main/binary-amd64/Packages
SHA256:
 ` + sumA + ` 10 main/binary-amd64/Packages.xz
`

func TestParseRelease(t *testing.T) {
	r, err := ParseRelease([]byte(releaseText))
	if err != nil {
		t.Fatal(err)
	}
	if r.Suite != "stable" || r.Codename != "trixie" || !r.ByHash || r.Date.Format(time.RFC3339) != "2026-11-21T09:15:44Z" || r.ValidUntil.Sub(r.Date) != 7*24*time.Hour ||
		len(r.Architectures) != 3 || len(r.Files) != 1 || r.Files["main/binary-amd64/Packages.xz"] != (ReleaseFile{sumA, 10}) {
		t.Errorf("%+v", r)
	}
	change := func(old, new string) string { return strings.Replace(releaseText, old, new, 1) }
	for _, row := range []struct{ name, in, words string }{
		{"nothing", "\n", "empty"},
		{"no date", change("Date: Sat, 21 Nov 2026 09:15:44 UTC\n", ""), "no Date"},
		{"a date of no form", change("Sat, 21 Nov 2026 09:15:44 UTC", "2026-11-21"), "cannot be read"},
		{"a date of another zone", change("09:15:44 UTC\nValid", "09:15:44 +0200\nValid"), "not UTC"},
		{"an end of no form", change("Valid-Until: Sat", "Valid-Until: x"), "cannot be read"},
		{"no sums", releaseText[:strings.Index(releaseText, "SHA256")], "no SHA256"},
		{"a short sum", change(sumA, sumA[1:]), "no sum"},
		{"a negative size", change(" 10 main/binary-amd64/Packages.xz", " -1 main/binary-amd64/Packages.xz"), "no size"},
		{"a path that leaves", change("main/binary-amd64/Packages.xz", "../Packages.xz"), "not allowed"},
		{"a file twice", releaseText + " " + sumA + " 10 main/binary-amd64/Packages.xz\n", "twice"},
		{"a second paragraph", releaseText + "\nSuite: x\n", "second paragraph"},
		{"a field twice", releaseText + "Suite: x\n", "twice"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := ParseRelease([]byte(row.in))
			refused(t, err, "DEB-04", row.words)
		})
	}
}

func TestVersionOrderIsTotal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var all []string
	for range 60 {
		b := make([]byte, r.IntN(6))
		for i := range b {
			b[i] = "01a~.-:+"[r.IntN(8)]
		}
		all = append(all, string(b))
	}
	for _, a := range all {
		for _, b := range all {
			for _, c := range all {
				if CompareVersions(a, b) <= 0 && CompareVersions(b, c) <= 0 && CompareVersions(a, c) > 0 {
					t.Fatalf("%q ≤ %q ≤ %q, but not the ends", a, b, c)
				}
			}
		}
	}
}

package debian

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mustUnpack unpacks packages that are right.
func mustUnpack(t *testing.T, debs ...[]byte) *tree {
	t.Helper()
	x, err := unpack(t, debs...)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *tree) link(p string) string { return x.entries[p].Link }

func TestUsrIsMergedFirst(t *testing.T) {
	x := mustUnpack(t, pkg("aa", dir("./bin/"), file("./bin/x", "1"), dir("./lib/"), file("./lib/y", "2"), hardlink("./sbin/z", "./bin/x"), symlink("./lib64", "usr/lib64"), dir("./lib32/"), file("./lib32/w", "3")))
	if got := strings.Join(x.order[:9], " "); got != "usr usr/bin bin usr/lib lib usr/lib64 lib64 usr/sbin sbin" {
		t.Error(got)
	}
	if x.link("bin") != "usr/bin" || x.content["usr/bin/x"] != "1" || x.content["usr/lib/y"] != "2" || x.link("usr/sbin/z") != "usr/bin/x" || x.link("lib32") != "usr/lib32" || x.content["usr/lib32/w"] != "3" {
		t.Errorf("%+v", x.entries)
	}
	_, err := unpack(t, pkg("aa", symlink("./bin", "/tmp")))
	refused(t, err, "TAR-02", "merged /usr's")
	_, err = unpack(t, pkg("aa", file("./lib", "x")))
	refused(t, err, "TAR-02", "merged /usr's")
	_, err = unpack(t, pkg("aa", file("./bin/x", "1"), file("./usr/bin/x", "2")))
	refused(t, err, "TAR-05", "is in deb:aa too")
}

func TestDocumentsAreLeftOutAndRecorded(t *testing.T) {
	x := mustUnpack(t, pkg("aa",
		dir("./usr/share/doc/aa/"), file("./usr/share/doc/aa/copyright", "GPL"), file("./usr/share/doc/aa/changelog.gz", "12345"),
		symlink("./usr/share/doc/bb", "aa"), file("./usr/share/man/man1/x.1", "1"), file("./usr/share/locale/de/x.mo", "12"), file("./usr/lib/locale/C.utf8/LC_CTYPE", "C"),
		file("./usr/share/mandatory", "x")))
	for _, p := range []string{"usr/share/doc/aa/copyright", "usr/share/doc/bb", "usr/lib/locale/C.utf8/LC_CTYPE", "usr/share/mandatory"} {
		if _, ok := x.entries[p]; !ok {
			t.Errorf("%s is missing", p)
		}
	}
	want := []Removed{{"usr/share/doc/aa/changelog.gz", 5, "doc", "deb:aa"}, {"usr/share/locale/de/x.mo", 2, "locale", "deb:aa"}, {"usr/share/man/man1/x.1", 1, "man", "deb:aa"}}
	if got := x.u.Removed(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v", got)
	}
	for _, r := range want {
		if _, ok := x.entries[r.Path]; ok {
			t.Errorf("%s is there", r.Path)
		}
	}
	if _, ok := x.entries["usr/share/man"]; ok {
		t.Error("an empty folder of manuals is there")
	}
}

func TestAHardLinkOutlivesItsFile(t *testing.T) {
	x := mustUnpack(t, pkg("aa", file("./usr/share/man/x", "text"), hardlink("./usr/bin/x", "./usr/share/man/x"), hardlink("./usr/bin/y", "./usr/share/man/x"), hardlink("./usr/share/man/z", "./usr/share/man/x")))
	if x.content["usr/bin/x"] != "text" || x.link("usr/bin/y") != "usr/bin/x" || len(x.u.Removed()) != 2 {
		t.Errorf("%+v %+v", x.entries, x.u.Removed())
	}
	x = mustUnpack(t, pkg("aa", file("./usr/bin/x", "text"), hardlink("./usr/bin/y", "./usr/bin/x"), hardlink("./usr/bin/z", "./usr/bin/y")))
	if x.link("usr/bin/z") != "usr/bin/x" {
		t.Errorf("a link to a link is to %q", x.link("usr/bin/z"))
	}
	_, err := unpack(t, pkg("aa", file("./usr/x", "1")), pkg("bb", hardlink("./usr/y", "./usr/x")))
	refused(t, err, "TAR-02", "no file before it")
}

func TestPackagesDoNotWriteOverEachOther(t *testing.T) {
	_, err := unpack(t, pkg("aa", file("./usr/x", "1")), pkg("bb", file("./usr/x", "1")))
	refused(t, err, "TAR-05", `path "usr/x" is in deb:aa too`)
	_, err = unpack(t, pkg("aa", symlink("./usr/x", "/etc")), pkg("bb", file("./usr/x/passwd", "")))
	refused(t, err, "TAR-02", "below \"usr/x\" of deb:aa")
	_, err = unpack(t, pkg("aa", file("./usr/x", "")), pkg("bb", dir("./usr/x/")))
	refused(t, err, "TAR-05", "something else in deb:aa")
	_, err = unpack(t, pkg("aa", symlink("./usr/x", "/nowhere")), pkg("bb", dir("./usr/x/")))
	refused(t, err, "TAR-05", "something else in deb:aa")
	_, err = unpack(t, pkg("aa", file("./var/lib/dpkg/status.d/aa", "Package: openssl\n")))
	refused(t, err, "TAR-05", "which forge writes")
	_, err = unpack(t, pkg("aa", symlink("./var/lib/dpkg", "/tmp")))
	refused(t, err, "TAR-02", "which forge writes, lies below")
	x := mustUnpack(t, pkg("aa", dir("./usr/d/"), symlink("./usr/x", "d")), pkg("bb", dir("./usr/x/"), dir("./usr/d/")))
	if x.link("usr/x") != "d" {
		t.Error("a link to a folder gave way")
	}
	_, err = unpack(t, pkg("aa"), pkg("aa"))
	refused(t, err, "DEB-02", "is there twice")
	_, err = unpack(t, debOf(tarball(control("aa", "1", "arm64")), tarball()))
	refused(t, err, "DEB-02", `package is for "arm64"`)
	if _, err := NewUnpacker("mips", nil); err == nil {
		t.Error("an architecture that forge does not know is taken")
	}
}

func TestOwnersAndModes(t *testing.T) {
	x := mustUnpack(t, pkg("aa",
		part{name: "./tmp/", flag: TypeDir, mode: 0o1777}, part{name: "./srv/", flag: TypeDir, mode: 0o2775, uid: 5, gid: 50}, part{name: "./root/", flag: TypeDir, mode: 0o700},
		part{name: "./usr/w", mode: 0o666}, part{name: "./usr/x", mode: 0o775, uid: 1000}, part{name: "./usr/s", mode: 0o600}))
	for p, want := range map[string]int64{"tmp": 0o1777, "srv": 0o755, "root": 0o700, "usr/w": 0o644, "usr/x": 0o755, "usr/s": 0o600} {
		if got := x.entries[p].Mode; got != want {
			t.Errorf("%s has mode %o, want %o", p, got, want)
		}
	}
	_, err := unpack(t, pkg("aa", part{name: "./usr/bin/x", mode: 0o4755}))
	refused(t, err, "TAR-05", "no rule says what of aa may have set-id bits")
	x = mustUnpack(t, pkg("mount", part{name: "./usr/bin/mount", mode: 0o4755}))
	if x.entries["usr/bin/mount"].Mode != 0o755 || !strings.Contains(strings.Join(x.u.Notes(), "\n"), "/usr/bin/mount has no set-id bit") {
		t.Errorf("%+v %v", x.entries["usr/bin/mount"], x.u.Notes())
	}
}

func TestScannersFindThePackages(t *testing.T) {
	c := control("aa", "1.0", "amd64")
	x := mustUnpack(t, debOf(tarball(c, file("./md5sums", "abc  bin/x\n")), tarball(file("./bin/x", ""))))
	if x.content["var/lib/dpkg/status.d/aa"] != c.body || x.content["var/lib/dpkg/status.d/aa.md5sums"] != "abc  bin/x\n" {
		t.Errorf("%q", x.content)
	}
	if x.link("etc/os-release") != "../usr/lib/os-release" {
		t.Error("no os-release")
	}
	u, err := NewUnpacker("amd64", func(Entry, io.Reader) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	refused(t, u.Finish(), "DEB-02", "base-files is missing")
}

func TestCertificatesAreJoined(t *testing.T) {
	x := mustUnpack(t, pkg("ca-certificates", file("./usr/share/ca-certificates/mozilla/B.crt", "BBB\n"), file("./usr/share/ca-certificates/mozilla/A.crt", "AAA"), file("./usr/share/ca-certificates/README", "no")))
	if x.content[Bundle] != "AAA\nBBB\n" || x.link("usr/lib/ssl/cert.pem") != "/"+Bundle {
		t.Errorf("%q", x.content[Bundle])
	}
}

// A helper's snippet as debhelper 13 writes it.
const snippet = `#!/bin/sh
set -e
# Automatically added by dh_installsystemd/13.24.2
if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ] || [ "$1" = "abort-deconfigure" ] || [ "$1" = "abort-remove" ] ; then
	# The following line should be removed in trixie or trixie+1
	deb-systemd-helper unmask 'x.service' >/dev/null || true

	if deb-systemd-helper --quiet was-enabled 'x.service'; then
		deb-systemd-helper enable 'x.service' >/dev/null || true
	else
		deb-systemd-helper update-state 'x.service' >/dev/null || true
	fi
fi
if [ "$1" = "configure" ] ; then
	if [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
		if [ -n "$2" ]; then
			_dh_action=restart
		else
			_dh_action=start
		fi
		deb-systemd-invoke $_dh_action 'x.service' >/dev/null || true
	fi
fi
if command -v py3compile >/dev/null 2>&1; then
	py3compile -p python3-x /usr/share/x
fi
dpkg-maintscript-helper rm_conffile /etc/x 1.0\~ x -- "$@"
case "$1" in
    configure)
	ldconfig
    ;;
    abort-upgrade|abort-remove|abort-deconfigure)
    ;;
    *)
	echo "postinst called with unknown argument '$1'" >&2
	exit 1
    ;;
esac
exit 0
`

func TestScripts(t *testing.T) {
	mustUnpack(t, scripted("aa", "postinst", snippet))
	mustUnpack(t, scripted("aa", "postinst", ""))
	mustUnpack(t, scripted("aa", "prerm", "#!/bin/sh\nrm -rf /\n"))
	mustUnpack(t, scripted("aa", "config", "#!/bin/sh\ndb_input\n"))
	mustUnpack(t, scripted("libc6", "postinst", "#!/bin/sh\nanything at all\n"))
	for _, script := range []string{"preinst", "postinst"} {
		for _, line := range []string{
			"useradd x", "ssh-keygen -A", "dpkg-divert --add /bin/sh", "update-ca-certificates", "rm -rf /", "chmod 4755 /bin/x", "setcap cap_net_raw+ep /bin/ping", "systemd-sysusers x.conf",
			"ldconfig; rm -rf /", "ldconfig && useradd x", "echo $(useradd x)", "echo `useradd x`", "if useradd x; then", `if [ "$(useradd x)" = 1 ]; then`, "if [ `useradd x` ]; then",
			"py3compile -p x; useradd x", "dpkg-maintscript-helper rm_conffile /x; useradd x", "update-alternatives --install /usr/bin/x x $Y 1", "update-menus\tx", ". /usr/share/debconf/confmodule",
			`[ -x /bin/x ] && useradd x`, "echo x > /etc/y", "case $(useradd x) in", "exec useradd x", "install-docs -i x; y", "echo \"x\" >&2; useradd x", "cat <<EOF",
		} {
			_, err := unpack(t, scripted("aa", script, "#!/bin/sh\nset -e\n"+line+"\n"))
			var own *Error
			if !errors.As(err, &own) || own.ID != "DEB-02" || own.Entry != script || !strings.Contains(own.Reason, script+" of aa does what forge has no rule for") {
				t.Errorf("%s %q: %v", script, line, err)
			}
		}
	}
	_, err := unpack(t, scripted("aa", "postinst", "#!/usr/bin/perl\n:\n"))
	refused(t, err, "DEB-02", "is no shell script")
	d := open(t, scripted("aa", "postinst", "#!/bin/sh\n"))
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("#!/bin/sh\n"))); len(d.Scripts) != 1 || d.Scripts[0].SHA256 != want {
		t.Errorf("%+v", d.Scripts)
	}
}

func TestAlternatives(t *testing.T) {
	awk := "#!/bin/sh\nset -e\nif [ \"$1\" = \"configure\" ] || [ \"$1\" = \"abort-upgrade\" ]; then\n update-alternatives --install /usr/bin/awk awk /usr/bin/%s %d \\\n  --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/%[1]s.1.gz \\\n  --slave /usr/bin/nawk nawk /usr/bin/%[1]s\nfi\n"
	gawk := scripted("gawk", "postinst", fmt.Sprintf(awk, "gawk", 10), file("./usr/bin/gawk", "g"))
	mawk := scripted("mawk", "postinst", fmt.Sprintf(awk, "mawk", 5), file("./usr/bin/mawk", "m"))
	for _, row := range []struct {
		debs [][]byte
		want string
	}{
		{[][]byte{mawk}, "/usr/bin/mawk"}, {[][]byte{mawk, gawk}, "/usr/bin/gawk"},
		{[][]byte{mawk, scripted("nawk", "postinst", fmt.Sprintf(awk, "missing", 99))}, "/usr/bin/mawk"},
		{[][]byte{mawk, scripted("aawk", "postinst", fmt.Sprintf(awk, "aawk", 5), file("./usr/bin/aawk", ""))}, "/usr/bin/aawk"},
	} {
		x := mustUnpack(t, row.debs...)
		if x.link("usr/bin/awk") != row.want || x.link("usr/bin/nawk") != row.want {
			t.Errorf("awk is %q, nawk %q, want %q", x.link("usr/bin/awk"), x.link("usr/bin/nawk"), row.want)
		}
		if _, ok := x.entries["usr/share/man/man1/awk.1.gz"]; ok {
			t.Error("a link to a manual is there")
		}
	}
	x := mustUnpack(t, mawk, pkg("zz", file("./usr/bin/awk", "own")))
	if x.content["usr/bin/awk"] != "own" || x.link("usr/bin/nawk") != "/usr/bin/mawk" {
		t.Error("an alternative took a file's place")
	}
	x = mustUnpack(t, scripted("cc", "postinst", "#!/bin/sh\nupdate-alternatives --quiet --install /lib/cpp cpp /usr/bin/cpp 10\n", file("./usr/bin/cpp", "")))
	if x.link("usr/lib/cpp") != "/usr/bin/cpp" {
		t.Error("a link below /lib is not below /usr/lib")
	}
	x = mustUnpack(t, scripted("cc", "postinst", "#!/bin/sh\nupdate-alternatives --install /usr/l/x x /usr/bin/cpp 10\n", file("./usr/bin/cpp", ""), symlink("./usr/l", "/etc")))
	if _, ok := x.entries["usr/l/x"]; ok {
		t.Error("an alternative is written through a link")
	}
}

func TestRules(t *testing.T) {
	x := mustUnpack(t, pkg("bash", file("./usr/bin/bash", "")), pkg("readline-common", file("./usr/share/readline/inputrc", "set x\n")), pkg("tzdata", file("./usr/share/zoneinfo/Etc/UTC", "TZif")),
		pkg("python3.13-minimal", file("./usr/bin/python3.13", ""), symlink("./usr/lib/python3.13/sitecustomize.py", "/etc/python3.13/sitecustomize.py")))
	if x.link("usr/bin/sh") != "bash" || x.content["etc/inputrc"] != "set x\n" || x.link("etc/localtime") != "/usr/share/zoneinfo/Etc/UTC" || x.link("usr/bin/python3") != "python3.13" || x.content["etc/python3.13/sitecustomize.py"] == "" {
		t.Errorf("%+v", x.entries)
	}
	x = mustUnpack(t, pkg("bash", file("./usr/bin/bash", "")), pkg("dash", file("./usr/bin/dash", "")))
	if x.link("usr/bin/sh") != "dash" {
		t.Errorf("with both, sh is %q", x.link("usr/bin/sh"))
	}
	for name, r := range rules {
		if r.instead == "" {
			t.Errorf("the rule of %s does not say what forge does instead", name)
		}
		for p := range r.links {
			if checkPath(p) != "" {
				t.Errorf("the rule of %s makes the link %q", name, p)
			}
		}
	}
}

func TestUnpackingTwiceGivesTheSame(t *testing.T) {
	debs := [][]byte{
		pkg("bb", file("./usr/lib/libx.so.1", "no ELF"), file("./usr/share/ca-certificates/b.crt", "B")), pkg("ca-certificates", file("./usr/share/ca-certificates/a.crt", "A")),
		pkg("bash", file("./usr/bin/bash", "")), pkg("xz-utils", file("./usr/bin/xz", ""), file("./usr/bin/unxz", ""), file("./usr/bin/xzcat", "")),
	}
	first := mustUnpack(t, debs...)
	for range 20 {
		again := mustUnpack(t, debs...)
		if strings.Join(first.order, "\n") != strings.Join(again.order, "\n") || fmt.Sprint(first.content) != fmt.Sprint(again.content) || fmt.Sprint(first.entries) != fmt.Sprint(again.entries) {
			t.Fatalf("%v\n%v", first.order, again.order)
		}
	}
}

// The host's own libraries, read by ldconfig and by forge, give the same cache.
func TestLoaderCacheIsLdconfigs(t *testing.T) {
	ldconfig, err := exec.LookPath("ldconfig")
	if err != nil {
		ldconfig = "/sbin/ldconfig"
	}
	if _, err := os.Stat(ldconfig); err != nil {
		t.Skip("this host has no ldconfig")
	}
	const folder = "/usr/lib/x86_64-linux-gnu"
	found, err := filepath.Glob(folder + "/*.so*")
	if err != nil || len(found) == 0 {
		t.Skip("this host has no libraries in " + folder)
	}
	root := t.TempDir()
	parts := []part{dir("./usr/lib/x86_64-linux-gnu/"), file("./etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"),
		file("./etc/ld.so.conf.d/a.conf", "# first\n/opt/first\n"), file("./etc/ld.so.conf.d/b.conf", "/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n"), dir("./opt/first/")}
	total := 0
	for _, p := range found {
		rel := "." + p
		if to, err := os.Readlink(p); err == nil {
			if strings.Contains(to, "/") {
				continue
			}
			parts = append(parts, symlink(rel, to))
			continue
		}
		b, err := os.ReadFile(p)
		if err != nil || total > 60<<20 || len(b) > 8<<20 {
			continue
		}
		total += len(b)
		parts = append(parts, file(rel, string(b)))
		if len(parts)%40 == 0 { // one that is found in an earlier folder, and has no link
			parts = append(parts, file("./opt/first/"+filepath.Base(p)+".9", string(b)))
		}
	}
	// Names whose links the folder does not have are left out by both.
	deb := join([]byte(arMagic), version, arMember("control.tar.gz", gz(tarball(control("libs", "1", "amd64")))), arMember("data.tar", tarball(parts...)))
	x := mustUnpack(t, deb)
	for _, p := range x.order {
		e, at := x.entries[p], filepath.Join(root, p)
		switch e.Type {
		case TypeDir:
			err = os.MkdirAll(at, 0o755)
		case TypeSymlink:
			err = os.Symlink(e.Link, at)
		default:
			err = os.WriteFile(at, []byte(x.content[p]), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	list := func(cache string) string {
		out, err := exec.Command(ldconfig, "-p", "-C", cache).Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return strings.Join(lines[1:len(lines)-1], "\n")
	}
	ours := list(filepath.Join(root, "etc/ld.so.cache"))
	if out, err := exec.Command(ldconfig, "-X", "-r", root).CombinedOutput(); err != nil {
		t.Skipf("ldconfig -r cannot run here: %v %s", err, out)
	}
	if theirs := list(filepath.Join(root, "etc/ld.so.cache")); ours != theirs {
		t.Errorf("forge:\n%s\nldconfig:\n%s", ours, theirs)
	}
	t.Logf("%d libraries", strings.Count(ours, "\n")+1)
}

// update-ca-certificates joins the same certificates.
func TestBundleIsUpdateCACertificates(t *testing.T) {
	tool, err := exec.LookPath("update-ca-certificates")
	if err != nil {
		t.Skip("this host has no update-ca-certificates")
	}
	var parts []part
	var conf []string
	const folder = "/usr/share/ca-certificates"
	err = filepath.WalkDir(folder, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".crt") {
			return err
		}
		b, err := os.ReadFile(p)
		parts = append(parts, file("."+p, string(b)))
		conf = append(conf, strings.TrimPrefix(p, folder+"/"))
		return err
	})
	if err != nil || len(parts) == 0 {
		t.Skip("this host has no certificates in " + folder)
	}
	x := mustUnpack(t, pkg("ca-certificates", parts...))
	dir := t.TempDir()
	for _, sub := range []string{"local", "hooks", "etc"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(strings.Join(conf, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "--certsconf", filepath.Join(dir, "conf"), "--certsdir", folder, "--localcertsdir", filepath.Join(dir, "local"), "--etccertsdir", filepath.Join(dir, "etc"), "--hooksdir", filepath.Join(dir, "hooks")).CombinedOutput()
	if err != nil {
		t.Skipf("update-ca-certificates cannot run here: %v %s", err, out)
	}
	theirs, err := os.ReadFile(filepath.Join(dir, "etc/ca-certificates.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(theirs, []byte(x.content[Bundle])) {
		t.Errorf("the bundles differ: %d and %d bytes", len(theirs), len(x.content[Bundle]))
	}
	t.Logf("%d certificates", len(parts))
}

func TestCompareLibraries(t *testing.T) {
	for _, row := range [][2]string{{"libc.so.6", "libc.so.10"}, {"libc.so", "libc.so.6"}, {"liba.so.1", "libb.so.1"}, {"liba.so.1", "liba1.so"}, {"lib-a.so", "lib1.so"}} {
		if compareLibraries(row[0], row[1]) >= 0 || compareLibraries(row[1], row[0]) <= 0 || compareLibraries(row[0], row[0]) != 0 {
			t.Errorf("%v: %d %d", row, compareLibraries(row[0], row[1]), compareLibraries(row[1], row[0]))
		}
	}
}

func TestAccounts(t *testing.T) {
	passwd, group, shadow, err := Accounts("ml", 1001, []string{"video", "render"})
	if err != nil {
		t.Fatal(err)
	}
	for text, wants := range map[string][]string{
		string(passwd): {"root:x:0:0:root:/root:/usr/sbin/nologin\n", "ml:x:1001:1001:ml:/cache/home:/usr/sbin/nologin\n", "nobody:x:65534:65534:"},
		string(group):  {"root:x:0:\n", "video:x:44:ml\n", "render:x:104:ml\n", "ml:x:1001:\n", "audio:x:29:\n", "nogroup:x:65534:\n"},
		string(shadow): {"root:*:", "ml:*:", "nobody:*:"},
	} {
		for _, want := range wants {
			if !strings.Contains("\n"+text, "\n"+want) {
				t.Errorf("no line %q in\n%s", want, text)
			}
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(string(shadow)), "\n") {
		if f := strings.Split(line, ":"); len(f) != 9 || f[1] != "*" {
			t.Errorf("shadow has %q", line)
		}
	}
	last := -1
	for _, line := range strings.Split(strings.TrimSpace(string(passwd)), "\n") {
		var id int
		fmt.Sscan(strings.Split(line, ":")[2], &id)
		if id <= last {
			t.Errorf("passwd is not in the order of ids at %q", line)
		}
		last = id
	}
	for _, row := range []struct {
		user   string
		uid    int
		groups []string
	}{{"root", 1001, nil}, {"ml", 0, nil}, {"ml", -1, nil}, {"ml", 33, nil}, {"ml", 65534, nil}, {"ml", 1 << 31, nil}, {"a:b", 1001, nil}, {"a\nb", 1001, nil}, {"", 1001, nil}, {"Ml", 1001, nil}, {"video", 1001, nil},
		{"ml", 1001, []string{"wheel"}}, {"ml", 1001, []string{"root"}}, {"ml", 1001, []string{"shadow"}}, {"ml", 44, nil}} {
		if _, _, _, err := Accounts(row.user, row.uid, row.groups); err == nil {
			t.Errorf("%+v is taken", row)
		}
	}
}

package debian

import (
	"fmt"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// verdict is what forge does instead of a package's scripts.
type verdict struct {
	note         string
	alternatives []alternative
	links        map[string]string
	copies       map[string]string
}

// alternative is one "update-alternatives --install".
type alternative struct {
	name     string
	link     string // path that becomes a link
	target   string // absolute, as the link says it
	priority int
	slaves   [][2]string // link, target
	owner    string
}

// judge says what stands in for a package's preinst and postinst. What the other scripts
// do, on removal and to ask questions, never happens to an image.
func judge(d *Deb) (verdict, error) {
	rule, known := rules[d.Name]
	v := verdict{note: rule.instead, links: rule.links, copies: rule.copies}
	for _, name := range []string{"preinst", "postinst"} {
		text := d.script(name)
		if len(strings.TrimSpace(string(text))) == 0 {
			continue
		}
		lines := statements(string(text))
		for _, l := range lines {
			a, ok := parseAlternative(l, d.Name)
			if ok {
				v.alternatives = append(v.alternatives, a)
			}
			if known || ok || harmless(l) {
				continue
			}
			return v, refuse("DEB-02", d.File, name, -1, "the %s of %s does what forge has no rule for: %s", name, d.Name, q(l))
		}
		if !known && strings.HasPrefix(string(text), "#!") && !shell(string(text)) {
			return v, refuse("DEB-02", d.File, name, -1, "the %s of %s is no shell script", name, d.Name)
		}
	}
	if !known {
		v.note = ""
	}
	return v, nil
}

// shell says whether a script is for a shell.
func shell(text string) bool {
	first, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(strings.TrimPrefix(first, "#!"))
	return len(f) > 0 && (path.Base(f[0]) == "sh" || path.Base(f[0]) == "bash" || path.Base(f[0]) == "dash")
}

// statements are a script's logical lines without comments and blanks.
func statements(text string) []string {
	var out []string
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.Join(strings.Fields(line), " ")
		if rest, _, ok := strings.Cut(line, " #"); ok && strings.HasPrefix(line, "update-alternatives ") {
			line = rest // a comment after a continued line
		}
		if line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// harmlessLines are the statements that make no difference to an image: tests without
// effects, messages, and the helpers whose generated snippets debhelper adds (dh_installdeb,
// dh_installsystemd, dh_installinit, dh_installmenu, dh_icons, dh_python3, dh_makeshlibs).
// A line must match as a whole. Variables may stand in tests only, commands in none.
var harmlessLines = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`set -[eu]+`, `exit 0`, `:`, `true`, `fi`, `else`, `then`, `esac`, `;;`, `return 0`,
	`(?:el)?if ` + test + `(?: (?:&&|\|\|) ` + test + `)* ?; ?then`,
	`(?:el)?if ` + test + `(?: (?:&&|\|\|) ` + test + `)*`,
	`case "?\$\{?1(?::-)?\}?"? in`,
	`\(?"?(?:[a-z-]+|\*)"?(?: ?\| ?"?[a-z-]+"?)*\)(?: ?;;)?(?: exit 0 ?;;)?`,
	`echo "[^"$` + "`" + `]*(?:\\?` + "`" + `?'?\$\{?1\}?'?)?[^"$` + "`" + `]*"(?: ?>&2)?`,
	`echo >&2 "[^"` + "`" + `$]*(?:\$1)?[^"` + "`" + `$]*"`,
	`exit 1`, `action="?\$1"?`, `umask 022`,
	`dpkg-maintscript-helper (?:rm_conffile|mv_conffile|symlink_to_dir|dir_to_symlink|supports) [^;|&<>` + "`" + `()]*`,
	`(?:ldconfig|dpkg-trigger (?:--no-await )?ldconfig)(?: \|\| true)?`,
	`update-menus`, `update-icon-caches [\w./+-]+`,
	`py3compile -p [\w.+-]+(?: [\w./+:-]+)*`, `pypy3compile -p [\w.+-]+(?: [\w./+:-]+)*(?: \|\| true)?`, `install-docs [\w./+ -]+`,
	`deb-systemd-(?:helper|invoke) (?:--[a-z-]+ )*[\w-]+(?: '?[\w@.\\-]+'?)* >/dev/null \|\| true`,
	`deb-systemd-invoke \$_dh_action(?: '[\w@.\\-]+')+ >/dev/null \|\| true`,
	`deb-systemd-invoke (?:--user )?daemon-reload >/dev/null \|\| true`,
	`if deb-systemd-helper (?:--[a-z-]+ )*(?:was-enabled|debian-installed) '?[\w@.\\-]+'? ?; then`,
	`systemctl --system daemon-reload >/dev/null \|\| true`,
	`_dh_action=(?:re|try-re)?start`,
	`update-rc\.d [\w.-]+ (?:defaults|remove|defaults-disabled)(?: >/dev/null)?(?: \|\| exit 1)?`,
	`invoke-rc\.d (?:--[a-z-]+ )*[\w.-]+ (?:\$_dh_action|start|restart) \|\| (?:exit 1|true)`,
	`chmod \+x "/etc/init\.d/[\w.-]+" >/dev/null \|\| true`,
	`systemd-tmpfiles (?:\$\{DPKG_ROOT:\+--root="\$DPKG_ROOT"\} )?--create(?: [\w.-]+)+(?: >/dev/null)?(?: \|\| true)?`,
	`update-alternatives (?:--quiet )?--remove [\w.+-]+ [\w./+-]+(?: \|\| true)?`,
}, "|") + `)$`)

// test is a condition without effects.
const test = `(?:!? ?\[ [^;|&<>` + "`" + `()]*(?:` + "`" + `command -v [\w-]+` + "`" + `[^;|&<>` + "`" + `()]*|\$\(command -v [\w-]+\)[^;|&<>` + "`" + `()]*)? \]|(?:command -v|which) [\w.-]+ ?>/dev/null(?: 2>&1)?|dpkg --compare-versions "?\$\{?2(?::-)?\}?"? [a-z-]+ "?[\w.+~:-]+"?)`

func harmless(line string) bool { return harmlessLines.MatchString(line) }

// parseAlternative reads "update-alternatives --install link name path priority", with
// slaves, all written out. Source: update-alternatives(1).
func parseAlternative(line, owner string) (alternative, bool) {
	a := alternative{owner: owner}
	line = strings.TrimSuffix(line, " || true")
	f := strings.Fields(line)
	if len(f) < 2 || f[0] != "update-alternatives" {
		return a, false
	}
	f = f[1:]
	for len(f) > 0 && (f[0] == "--quiet" || f[0] == "--force") {
		f = f[1:]
	}
	if len(f) < 5 || f[0] != "--install" {
		return a, false
	}
	var err error
	if a.priority, err = strconv.Atoi(f[4]); err != nil || !plain(f[1:4]) {
		return a, false
	}
	a.link, a.name, a.target = strings.TrimPrefix(f[1], "/"), f[2], f[3]
	for f = f[5:]; len(f) > 0; f = f[4:] {
		if len(f) < 4 || f[0] != "--slave" || !plain(f[1:4]) {
			return a, false
		}
		a.slaves = append(a.slaves, [2]string{strings.TrimPrefix(f[1], "/"), f[3]})
	}
	return a, checkPath(a.link) == "" && strings.HasPrefix(a.target, "/")
}

// plain says whether words are names and paths without anything a shell would expand.
func plain(words []string) bool {
	for _, w := range words {
		for _, c := range []byte(w) {
			if !digit(c) && !letter(c) && !strings.ContainsRune("/._+-", rune(c)) {
				return false
			}
		}
	}
	return true
}

// writeAlternatives makes a link for the best of each alternative, and for its slaves: the
// highest priority, then the package's name.
func (u *Unpacker) writeAlternatives() error {
	best := map[string]alternative{}
	for _, a := range u.alternatives {
		if u.resolve(a.target) == "" {
			continue
		}
		if old, ok := best[a.name]; !ok || a.priority > old.priority || a.priority == old.priority && a.owner < old.owner {
			best[a.name] = a
		}
	}
	for _, name := range sortedKeys(best) {
		a := best[name]
		links := append([][2]string{{a.link, a.target}}, a.slaves...)
		sort.SliceStable(links[1:], func(i, j int) bool { return links[1:][i][0] < links[1:][j][0] })
		for _, l := range links {
			p, err := u.real(l[0])
			if err != nil {
				return err
			}
			if u.resolve(l[1]) == "" || checkPath(p) != "" || dropRule(Entry{Path: p, Type: TypeFile}) != "" {
				continue
			}
			if n := u.nodes[p]; n != nil {
				u.notes = append(u.notes, fmt.Sprintf("%s: /%s is in %s, and no alternative", a.owner, p, n.owner))
				continue
			}
			if err := u.symlink(p, l[1], "deb:"+a.owner); err != nil {
				return err
			}
		}
	}
	return nil
}

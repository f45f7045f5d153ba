package base

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/forge-build/forge/builder/layer"
)

// Account is a file of accounts with the base's own mode and group.
type Account struct {
	Path    string
	Mode    int64
	GID     int
	Content []byte
}

// numbers are those that forge gives the groups a recipe may name, where the base has none.
// Source: Debian's base-passwd; render is forge's own.
var numbers = map[string]int{"audio": 29, "video": 44, "users": 100, "render": 104}

// Accounts are the base's passwd, group and, where it has one, shadow, with the image's user
// added. A name or number that the base gives to somebody else is an *UnfitError.
func (b *Image) Accounts(user string, uid int, groups []string, home string) ([]Account, error) {
	passwd, err := b.table("etc/passwd", 7, "root:x:0:0:root:/root:/sbin/nologin\n")
	if err != nil {
		return nil, err
	}
	group, err := b.table("etc/group", 4, "root:x:0:\n")
	if err != nil {
		return nil, err
	}
	if err := b.clash("user", passwd, user, uid); err != nil {
		return nil, err
	}
	if err := b.clash("group", group, user, uid); err != nil {
		return nil, err
	}
	passwd.add(fmt.Sprintf("%s:x:%d:%d:%s:%s:/usr/sbin/nologin", user, uid, uid, user, home))
	group.add(fmt.Sprintf("%s:x:%d:", user, uid))
	for _, g := range groups {
		if i, ok := group.names[g]; ok {
			line := group.lines[i]
			if !strings.HasSuffix(line, ":") {
				line += ","
			}
			group.lines[i] = line + user
			continue
		}
		if other, ok := group.ids[numbers[g]]; ok {
			return nil, &UnfitError{b.Lock.Reference, fmt.Sprintf("it has no group %s, and the number %d that forge would give it is that of %s; leave %s out of the user's groups", g, numbers[g], other, g)}
		}
		group.add(fmt.Sprintf("%s:x:%d:%s", g, numbers[g], user))
	}
	out := []Account{passwd.account(), group.account()}
	if e := b.tree.nodes["etc/shadow"]; e != nil && e.Type == layer.Regular {
		text := strings.TrimRight(string(e.Text), "\n")
		out = append(out, Account{"etc/shadow", e.Mode, e.GID, []byte(strings.TrimPrefix(text+"\n", "\n") + user + ":*:::::::\n")})
	}
	return out, nil
}

// table is a file of lines with a name and a number.
type table struct {
	path  string
	mode  int64
	gid   int
	lines []string
	names map[string]int // to the line
	ids   map[int]string // to the name
}

func (b *Image) table(p string, fields int, otherwise string) (*table, error) {
	t := &table{path: p, mode: 0o644, names: map[string]int{}, ids: map[int]string{}}
	text := otherwise
	if e := b.tree.nodes[p]; e != nil {
		if e.Type != layer.Regular {
			return nil, &UnfitError{b.Lock.Reference, fmt.Sprintf("/%s is a %s there; a file is due", p, e.Type)}
		}
		text, t.mode, t.gid = string(e.Text), e.Mode, e.GID
	}
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		f := strings.Split(line, ":")
		id, err := strconv.Atoi(strings.Join(f[min(2, len(f)-1):min(3, len(f))], ""))
		if len(f) != fields || err != nil || id < 0 || f[0] == "" || strings.ContainsAny(line, "\x00\r") {
			return nil, &UnfitError{b.Lock.Reference, fmt.Sprintf("/%s, line %d: %+q has not the %d fields that are due", p, i+1, cut(line), fields)}
		}
		t.names[f[0]] = len(t.lines)
		if _, ok := t.ids[id]; !ok {
			t.ids[id] = f[0]
		}
		t.lines = append(t.lines, line)
	}
	return t, nil
}

func (t *table) add(line string) { t.lines = append(t.lines, line) }

func (t *table) account() Account {
	return Account{t.path, t.mode, t.gid, []byte(strings.Join(t.lines, "\n") + "\n")}
}

func (b *Image) clash(what string, t *table, name string, id int) error {
	if i, ok := t.names[name]; ok {
		return &UnfitError{b.Lock.Reference, fmt.Sprintf("it has a %s %q of its own (%+q); give the recipe's user another name", what, name, cut(t.lines[i]))}
	}
	if other, ok := t.ids[id]; ok {
		return &UnfitError{b.Lock.Reference, fmt.Sprintf("its %s %q has the number %d; give the recipe's user another uid", what, other, id)}
	}
	return nil
}

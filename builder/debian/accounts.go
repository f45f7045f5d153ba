package debian

import (
	"fmt"
	"sort"
	"strings"
)

// account is a user or group that every Debian system has. Source: base-passwd 3.6.7,
// passwd.master and group.master.
type account struct {
	name string
	id   int
}

var systemUsers = []struct {
	account
	group int
	home  string
}{
	{account{"root", 0}, 0, "/root"}, {account{"daemon", 1}, 1, "/usr/sbin"}, {account{"bin", 2}, 2, "/bin"}, {account{"sys", 3}, 3, "/dev"},
	{account{"man", 6}, 12, "/var/cache/man"}, {account{"mail", 8}, 8, "/var/mail"}, {account{"www-data", 33}, 33, "/var/www"},
	{account{"backup", 34}, 34, "/var/backups"}, {account{"_apt", 42}, 65534, "/nonexistent"}, {account{"nobody", 65534}, 65534, "/nonexistent"},
}

var systemGroups = []account{
	{"root", 0}, {"daemon", 1}, {"bin", 2}, {"sys", 3}, {"adm", 4}, {"tty", 5}, {"disk", 6}, {"lp", 7}, {"mail", 8}, {"news", 9}, {"uucp", 10},
	{"man", 12}, {"proxy", 13}, {"kmem", 15}, {"dialout", 20}, {"fax", 21}, {"voice", 22}, {"cdrom", 24}, {"floppy", 25}, {"tape", 26}, {"sudo", 27},
	{"audio", 29}, {"dip", 30}, {"www-data", 33}, {"backup", 34}, {"operator", 37}, {"list", 38}, {"irc", 39}, {"src", 40}, {"shadow", 42},
	{"utmp", 43}, {"video", 44}, {"sasl", 45}, {"plugdev", 46}, {"staff", 50}, {"games", 60}, {"users", 100}, {"render", renderGID}, {"nogroup", 65534},
}

// renderGID is forge's number for the group of render nodes, which Debian gives out at run
// time: that of the host decides who may open them.
const renderGID = 104

const nologin = "/usr/sbin/nologin"

// Accounts returns /etc/passwd, /etc/group and /etc/shadow (0640) of an image: Debian's own
// accounts, and one user with a group of the same name and id, whose home is /cache/home
// and who is a member of groups. Nobody can log in: shadow has no password for anyone.
func Accounts(user string, uid int, groups []string) (passwd, group, shadow []byte, err error) {
	if err := checkUser(user, uid); err != nil {
		return nil, nil, nil, err
	}
	member := map[string]bool{}
	for _, g := range groups {
		known := false
		for _, s := range systemGroups {
			known = known || s.name == g
		}
		if !known || g == "root" || g == "shadow" || g == "sudo" || g == "disk" || g == "kmem" {
			return nil, nil, nil, fmt.Errorf("group %q: %s", g, "it is none of Debian's, or gives power over the system")
		}
		member[g] = true
	}
	var pw, gr, sh strings.Builder
	line := func(name string, uid, gid int, home string) {
		fmt.Fprintf(&pw, "%s:x:%d:%d:%s:%s:%s\n", name, uid, gid, name, home, nologin)
		fmt.Fprintf(&sh, "%s:*:::::::\n", name)
	}
	for _, s := range systemUsers {
		if s.id > uid && !strings.Contains(pw.String(), "\n"+user+":") {
			line(user, uid, uid, "/cache/home")
		}
		line(s.name, s.id, s.group, s.home)
	}
	all := append([]account{{user, uid}}, systemGroups...)
	sort.SliceStable(all, func(i, j int) bool { return all[i].id < all[j].id })
	for _, g := range all {
		in := ""
		if member[g.name] && g.id != uid {
			in = user
		}
		fmt.Fprintf(&gr, "%s:x:%d:%s\n", g.name, g.id, in)
	}
	return []byte(pw.String()), []byte(gr.String()), []byte(sh.String()), nil
}

// checkUser refuses names and ids that others have, and names that shadow cannot hold.
// Source: useradd(8), adduser.conf(5).
func checkUser(user string, uid int) error {
	if user == "" || len(user) > 32 || !(user[0] >= 'a' && user[0] <= 'z' || user[0] == '_') {
		return fmt.Errorf("user %q: a name begins with a small letter and has at most 32 characters", user)
	}
	for _, c := range []byte(user) {
		if !digit(c) && (c < 'a' || c > 'z') && c != '_' && c != '-' {
			return fmt.Errorf("user %q: a name has small letters, digits, - and _", user)
		}
	}
	if uid <= 0 || uid >= 1<<31-1 {
		return fmt.Errorf("user id %d: it must be from 1 to 2147483646", uid)
	}
	for _, s := range systemUsers {
		if s.name == user || s.id == uid {
			return fmt.Errorf("user %q with id %d: Debian's %s has the id %d", user, uid, s.name, s.id)
		}
	}
	for _, g := range systemGroups {
		if g.name == user || g.id == uid {
			return fmt.Errorf("user %q with id %d: Debian's group %s has the id %d", user, uid, g.name, g.id)
		}
	}
	return nil
}

// NSSwitch is /etc/nsswitch.conf: names come from files, hosts from DNS too.
const NSSwitch = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"

// Hosts is a stub of /etc/hosts, for runtimes that write none.
const Hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

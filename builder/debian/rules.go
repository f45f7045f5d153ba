package debian

import (
	"path"
	"slices"
	"strings"
)

// rule says what forge does instead of a package's preinst and postinst. The scripts of
// bookworm and trixie were read. Source of each: the package's own control.tar.
type rule struct {
	instead string
	links   map[string]string // path → target, made where the target is there
	copies  map[string]string // path → the packaged file it is a copy of
}

const (
	oldVersions = "repairs upgrades from versions before the release; nothing to do in a new image"
	byteCode    = "byte-code of the system's Python is not made; forge has its own step for the environment's"
	accounts    = "accounts are written by forge"
	noAuth      = "nothing in the image logs anyone in"
)

// rules is the table of understood packages.
var rules = map[string]rule{
	"adduser":               {instead: accounts},
	"base-files":            {instead: "folders below /usr/local and /var are made when something lies in them; /etc/profile is copied", copies: map[string]string{"etc/profile": "usr/share/base-files/profile"}},
	"base-passwd":           {instead: accounts},
	"bash":                  {instead: "/bin/sh is a link to bash where dash is not chosen", links: map[string]string{"usr/bin/sh": "bash"}},
	"binutils":              {instead: oldVersions},
	"ca-certificates":       {instead: "the bundle is written in the order of paths; the folder of hashed names is not made"},
	"ccache":                {instead: "links named as compilers are not made"},
	"coreutils":             {instead: oldVersions},
	"dash":                  {instead: "/bin/sh is a link to dash", links: map[string]string{"usr/bin/sh": "dash"}},
	"debconf":               {instead: "no question is asked"},
	"debianutils":           {instead: "/etc/shells is copied", copies: map[string]string{"etc/shells": "usr/share/debianutils/shells"}, links: map[string]string{"usr/bin/which": "which.debianutils"}},
	"dpkg":                  {instead: "the package database is status.d, which dpkg does not write to"},
	"fontconfig":            {instead: "the cache of fonts is made by the first program that uses it"},
	"fontconfig-config":     {instead: "the defaults as packaged"},
	"gcc":                   {instead: "the alternatives are links"},
	"git":                   {instead: oldVersions},
	"git-lfs":               {instead: "its filters are not in /etc/gitconfig: git lfs install puts them into a user's"},
	"gzip":                  {instead: oldVersions},
	"hicolor-icon-theme":    {instead: "no cache of icons is made"},
	"imagemagick-7.q16":     {instead: "the programs' names are links", links: programs("-im7.q16", "animate", "compare", "composite", "conjure", "convert", "display", "identify", "import", "magick", "magick-script", "mogrify", "montage", "stream")},
	"init-system-helpers":   {instead: oldVersions},
	"iproute2":              {instead: "no capability is set on ip"},
	"libbpf1":               {instead: oldVersions},
	"libc-bin":              {instead: "the loader's cache is written by forge"},
	"libc6":                 {instead: "no service runs that would have to be restarted"},
	"libdebuginfod-common":  {instead: "no server of debugging information is set"},
	"libgcrypt20":           {instead: oldVersions},
	"libgdk-pixbuf-2.0-0":   {instead: "the list of loadable image formats is not written; those inside the library work"},
	"libglib2.0-0":          {instead: "GSettings schemas are not compiled; modules of GIO are found without a cache"},
	"libglib2.0-0t64":       {instead: "GSettings schemas are not compiled; modules of GIO are found without a cache"},
	"libgssapi-krb5-2":      {instead: oldVersions},
	"libibverbs1":           {instead: "the group rdma is the host's matter"},
	"libopenmpi40":          {instead: oldVersions},
	"libpam-modules":        {instead: noAuth},
	"libpam-runtime":        {instead: noAuth},
	"libpam0g":              {instead: noAuth},
	"libpsm-infinipath1":    {instead: "the alternative is a link"},
	"libpython3.11-minimal": {instead: byteCode},
	"libpython3.13-minimal": {instead: byteCode},
	"libreadline8t64":       {instead: oldVersions},
	"libselinux1":           {instead: oldVersions},
	"libsensors5":           {instead: oldVersions},
	"libtirpc3t64":          {instead: oldVersions},
	"libwrap0":              {instead: "/etc/hosts.allow and hosts.deny are not written: all hosts are allowed"},
	"libwtmpdb0":            {instead: noAuth},
	"libblas3":              {instead: oldVersions},
	"liblapack3":            {instead: oldVersions},
	"login.defs":            {instead: oldVersions},
	"media-types":           {instead: oldVersions},
	"netbase":               {instead: "/etc/hosts is the container runtime's"},
	"openssh-client":        {instead: "ssh-agent has no group of its own"},
	"openssl":               {instead: "/usr/lib/ssl is as packaged"},
	"passwd":                {instead: accounts},
	"pciutils":              {instead: oldVersions},
	"perl":                  {instead: oldVersions},
	"pinentry-curses":       {instead: "the alternative is a link"},
	"pkgconf":               {instead: oldVersions},
	"pkgconf-bin":           {instead: oldVersions},
	"pkg-config":            {instead: oldVersions},
	"procps":                {instead: "no kernel setting is changed"},
	"python3":               {instead: byteCode},
	"python3-distutils":     {instead: byteCode},
	"python3-lib2to3":       {instead: byteCode},
	"python3-minimal":       {instead: byteCode},
	"python3.11":            {instead: byteCode},
	"python3.11-minimal":    {instead: byteCode},
	"python3.13":            {instead: byteCode},
	"python3.13-minimal":    {instead: byteCode},
	"python3.13-venv":       {instead: byteCode},
	"rdma-core":             {instead: "devices are the host's matter"},
	"readline-common":       {instead: "/etc/inputrc is copied", copies: map[string]string{"etc/inputrc": "usr/share/readline/inputrc"}},
	"shared-mime-info":      {instead: "the data base of MIME types is not made"},
	"tar":                   {instead: "the alternative is a link"},
	"tzdata":                {instead: "the time zone is UTC", links: map[string]string{"etc/localtime": "/usr/share/zoneinfo/Etc/UTC"}},
	"ucf":                   {instead: "configuration is as packaged"},
	"usrmerge":              {instead: "/usr is merged from the start"},
	"util-linux":            {instead: "the alternative is a link"},
	"x11-common":            {instead: oldVersions},
	"xz-utils": {instead: "the old names are links", links: map[string]string{"usr/bin/lzma": "xz", "usr/bin/unlzma": "unxz", "usr/bin/lzcat": "xzcat", "usr/bin/lzmore": "xzmore",
		"usr/bin/lzless": "xzless", "usr/bin/lzdiff": "xzdiff", "usr/bin/lzcmp": "xzcmp", "usr/bin/lzgrep": "xzgrep", "usr/bin/lzegrep": "xzegrep", "usr/bin/lzfgrep": "xzfgrep"}},
}

// programs are links from names in /usr/bin to the same names with an ending.
func programs(ending string, names ...string) map[string]string {
	links := map[string]string{}
	for _, n := range names {
		links["usr/bin/"+n] = n + ending
	}
	return links
}

// isCopied says whether a rule copies a file.
func isCopied(p string) bool {
	for _, r := range rules {
		for _, from := range r.copies {
			if from == p {
				return true
			}
		}
	}
	return false
}

// setID are the packages that have files with set-id bits, and why an image does without.
var setID = map[string]string{
	"bsdutils":           "wall writes to other users' terminals",
	"dbus-daemon":        "no system bus runs in the image",
	"libpam-modules-bin": noAuth,
	"login":              noAuth,
	"mount":              "mounting is the runtime's matter",
	"openssh-client":     "ssh-keysign signs with the host's keys, of which there are none",
	"passwd":             noAuth,
	"util-linux":         noAuth,
	"util-linux-extra":   noAuth,
}

// onlyScripts are dependencies that only maintainer scripts, or what has no place in an
// image, need. from "*" is any package but those that except names.
var onlyScripts = []struct {
	from   string
	names  []string
	except []string
	why    string
}{
	{"*", []string{"debconf", "debconf-2.0", "cdebconf"}, []string{"debconf-utils"}, "asks questions in maintainer scripts"},
	{"*", []string{"dpkg", "install-info"}, []string{"dpkg-dev", "libdpkg-perl", "apt", "debootstrap", "mmdebstrap", "dpkg-repack"}, "is used by maintainer scripts"},
	{"*", []string{"adduser", "systemd-sysusers", "systemd-standalone-sysusers"}, nil, "adds accounts in maintainer scripts"},
	{"*", []string{"ucf"}, nil, "merges configuration in maintainer scripts"},
	{"*", []string{"init-system-helpers", "lsb-base", "sysvinit-utils"}, nil, "is for services, which no init system starts here"},
	{"*", []string{"update-inetd", "systemd-standalone-tmpfiles", "systemd-tmpfiles"}, nil, "is for services, which no init system starts here"},
	{"base-files", []string{"awk"}, nil, "is used by its postinst"},
	{"bash", []string{"base-files", "debianutils"}, nil, "keeps the list of shells in maintainer scripts"},
	{"dash", []string{"debianutils"}, nil, "keeps the list of shells in maintainer scripts"},
	{"ca-certificates", []string{"openssl"}, nil, "hashes names in update-ca-certificates, whose work forge does"},
	{"rdma-core", []string{"udev"}, nil, "makes devices, which is the host's matter"},
	{"openssh-client", []string{"passwd"}, nil, "adds a group in its postinst"},
	{"libpython3.11-stdlib", []string{"tzdata"}, nil, "is data for zoneinfo: ask for tzdata, or require the wheel of that name"},
	{"libpython3.13-stdlib", []string{"tzdata"}, nil, "is data for zoneinfo: ask for tzdata, or require the wheel of that name"},
	{"python3.13", []string{"tzdata"}, nil, "is data for zoneinfo: ask for tzdata, or require the wheel of that name"},
	{"python3.11", []string{"tzdata"}, nil, "is data for zoneinfo: ask for tzdata, or require the wheel of that name"},
}

// scriptOnly says why a dependency can be left out, or nothing.
func scriptOnly(from string, alternatives []Relation) string {
	why := ""
	for _, r := range alternatives {
		found := ""
		for _, row := range onlyScripts {
			if row.from != from && row.from != "*" || slices.Contains(row.except, from) || !slices.Contains(row.names, r.Name) {
				continue
			}
			found = r.Name + " " + row.why
		}
		if found == "" {
			return ""
		}
		if why == "" {
			why = found
		}
	}
	return why
}

// alsoNeeded are packages that Debian takes for granted (Essential, or recommended) and that others do not
// work without.
var alsoNeeded = map[string][]string{
	"bash":     {"ncurses-base"},
	"gcc":      {"libc6-dev"}, // only recommended, yet without it no program can be linked
	"git":      {"dash"},      // hooks, aliases, submodules
	"htop":     {"ncurses-base"},
	"less":     {"ncurses-base"},
	"nano":     {"ncurses-base"},
	"procps":   {"ncurses-base"}, // top
	"tmux":     {"ncurses-base"},
	"vim-tiny": {"ncurses-base"},
}

// dropRules are the folders of files that nothing in an image reads. C.UTF-8 lies in
// /usr/lib/locale and stays.
var dropRules = []struct{ rule, dir string }{
	{"man", "usr/share/man"},
	{"info", "usr/share/info"},
	{"doc", "usr/share/doc"},
	{"doc", "usr/share/doc-base"},
	{"doc", "usr/share/gtk-doc"},
	{"doc", "usr/share/help"},
	{"locale", "usr/share/locale"},
	{"lintian", "usr/share/lintian"},
	{"lintian", "usr/share/linda"},
	{"bug", "usr/share/bug"},
	{"menu", "usr/share/menu"},
}

// dropRule names the rule by which an entry is left out, or none. Licences stay: the files
// called copyright, and links between folders of documents, through which they are found.
func dropRule(e Entry) string {
	for _, d := range dropRules {
		if e.Path != d.dir && !strings.HasPrefix(e.Path, d.dir+"/") {
			continue
		}
		if d.dir == "usr/share/doc" {
			depth := strings.Count(e.Path, "/")
			if depth == 4 && path.Base(e.Path) == "copyright" && e.Type != TypeDir || depth == 3 && e.Type == TypeSymlink {
				return ""
			}
		}
		return d.rule
	}
	return ""
}

package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// How much of a list is on the page. The JSON document has all of it.
const (
	openRows   = 25   // shown at once; the rest is folded
	mostRows   = 1000 // of packages, and of findings
	mostLayers = 150
	fewRows    = 200 // of changes, licences, tests
)

func (r *Report) packageParts() []part {
	var out []part
	text := "Every package that was put into the image or found in it. Each can be followed to the file it came from: the JSON document has the sha256 of each."
	switch {
	case r.Inventory.Source != "image":
		text = "Every package that the lock names. The finished image was not searched for more."
	case len(r.Inventory.Files) > 0:
		text = "Every package that was put into the image or found in it. The complete lists for other tools lie beside this page: " + several(r.Inventory.Files, 8) + "."
	}
	out = append(out, part{Text: text})
	sorted := slices.Clone(r.Packages)
	slices.SortStableFunc(sorted, func(a, b Package) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	var most int64
	for _, p := range sorted {
		most = max(most, p.Size)
	}
	head := []column{{"Package", ""}, {"Version", ""}, {"Kind", ""}, {"Licence", ""}, {"On disk", "num"}, {"Share", "bars"}, {"Why it is there", ""}}
	return append(out, folded(len(sorted), openRows, mostRows, "package", "packages", "largest first", head, func(i int) []cell {
		p := sorted[i]
		bytes := ""
		if p.Size > 0 {
			bytes = size(p.Size)
		}
		return []cell{{Text: show(p.Name), Class: keep(p.Name)}, {Text: cmp.Or(show(p.Version), "not known"), Class: keep(p.Version)}, {Text: kind(p), Class: keep(kind(p))}, {Text: cmp.Or(several(p.Licences, 3), "not stated"), Class: "mid"}, {Text: bytes, Class: "num"}, bar(p.Size, most), {Text: why(p), Class: "prose"}}
	})...)
}

// folded are a table's first rows, and the others behind words, as far as a page may hold.
func folded(n, open, most int, one, many, order string, head []column, row func(i int) []cell) []part {
	if n == 0 {
		return nil
	}
	all := min(n, most)
	if n-open < 8 {
		open = n
	}
	rows := func(from, to int) [][]cell {
		var out [][]cell
		for i := from; i < to; i++ {
			out = append(out, row(i))
		}
		return out
	}
	caption := count(n, one, many) + ", " + order
	if open == n {
		return []part{{Table: &table{Caption: caption, Head: head, Rows: rows(0, n)}}}
	}
	out := []part{{Table: &table{Caption: fmt.Sprintf("The first %d of %s, %s", open, count(n, one, many), order), Head: head, Rows: rows(0, open)}},
		{Folded: "Show " + thousands(int64(all-open)) + " more " + many, Table: &table{Caption: fmt.Sprintf("%s from %d to %s", strings.ToUpper(many[:1])+many[1:], open+1, thousands(int64(all))), Head: head, Rows: rows(open, all)}}}
	if all < n {
		out = append(out, part{Tone: "info", Text: fmt.Sprintf("This page shows %s of %s %s; the JSON document beside it has the other %s.", thousands(int64(all)), thousands(int64(n)), many, thousands(int64(n-all)))})
	}
	return out
}

// keep keeps short text on one line.
func keep(s string) string {
	if len(s) <= 24 {
		return "keep"
	}
	return ""
}

func kind(p Package) string {
	switch p.Kind {
	case "python":
		if p.Environment != "" {
			return "Python, environment " + show(p.Environment)
		}
		return "Python"
	case "deb":
		return "Debian"
	}
	return show(p.Kind)
}

func why(p Package) string {
	switch {
	case p.Parent != "":
		return "bundled in " + show(p.Parent)
	case p.Requested && len(p.RequiredBy) > 0:
		return "the recipe asks for it; so does " + several(p.RequiredBy, 3)
	case p.Requested:
		return "the recipe asks for it"
	case len(p.RequiredBy) > 0:
		return "needed by " + several(p.RequiredBy, 3)
	case p.Kind == "deb" && p.SHA256 != "": // locked
		return "every image on Debian has it"
	}
	return ""
}

func (r *Report) licenceParts() []part {
	under := map[string][]string{}
	for _, p := range r.Packages {
		if len(p.Licences) == 0 {
			under[""] = append(under[""], p.Name)
		}
		for _, l := range p.Licences {
			under[l] = append(under[l], p.Name)
		}
	}
	out := []part{{Text: "As the packages state them. Who passes the image on is bound by all of them; whether a statement is true is not checked."}}
	none := under[""]
	delete(under, "")
	names := slices.SortedFunc(maps.Keys(under), func(a, b string) int { return cmp.Or(cmp.Compare(len(under[b]), len(under[a])), strings.Compare(a, b)) })
	head := []column{{"Licence", ""}, {"Packages", "num"}, {"Which", ""}}
	out = append(out, folded(len(names), 15, fewRows, "licence", "licences", "the most frequent first", head, func(i int) []cell {
		n := names[i]
		return []cell{{Text: show(n)}, {Text: thousands(int64(len(under[n]))), Class: "num"}, {Text: several(unique(under[n]), 12), Class: "prose"}}
	})...)
	if len(none) > 0 {
		out = append(out, part{Tone: "info", Text: count(len(none), "package states", "packages state") + " no licence that is known here: " + several(unique(none), 12) + "."})
	}
	return out
}

func unique(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}

func (r *Report) removedParts() []part {
	if r.finished() {
		return []part{{Text: "Not known: this report was made from the finished image."}}
	}
	if len(r.Slim) == 0 {
		return []part{{Text: "Nothing: the recipe names no rule of slim, so every file of every package is in the image."}}
	}
	var total int64
	t := &table{Head: []column{{"Rule", ""}, {"Files", "num"}, {"Saved on disk", "num"}, {"What it leaves out, and why an image can do without", ""}}}
	for i, x := range r.Slim {
		total += x.Bytes
		if i < fewRows {
			what := show(x.What)
			if x.Why != "" {
				what += ": " + sentence(x.Why)
			}
			t.Rows = append(t.Rows, []cell{{Text: show(x.Rule)}, {Text: thousands(int64(x.Files)), Class: "num"}, {Text: size(x.Bytes), Class: "num"}, {Text: what, Class: "prose"}})
		}
	}
	t.Caption = size(total) + " left out by the recipe's rules"
	return []part{{Text: "Files that packages bring and this image does without, by the recipe's own rules. Each file stands in the image itself, in /usr/lib/forge/removed.json; what describes a package stays, so that scanners still see it."}, {Table: t}}
}

func (r *Report) testParts() []part {
	switch r.Tests.State {
	case Passed:
		var names []string
		for i, t := range r.Tests.Results {
			if i == fewRows {
				names = append(names, thousands(int64(len(r.Tests.Results)-fewRows))+" more")
				break
			}
			names = append(names, show(t.Name))
		}
		return []part{{Tone: "good", Text: "The recipe's tests ran in exactly this image, as its user and without network, and passed."}, {Items: names}}
	case NotKnown:
		return []part{{Text: "Not known: whoever built the image knows."}}
	case NotRun:
		return []part{{Tone: "warn", Text: "The recipe has tests, but this build was told not to run them."}}
	}
	return []part{{Text: "The recipe has no tests."}}
}

func (r *Report) runningParts() []part {
	im := r.Image
	facts := []fact{{"User", show(im.User), false}, {"Command", shown(strings.Join(im.Command, " "), maxText), true}}
	if im.Workdir != "" {
		facts = append(facts, fact{"Working folder", show(im.Workdir), true})
	}
	if len(im.Writable) > 0 {
		facts = append(facts, fact{"Writable folders", several(im.Writable, 10), false})
	}
	if len(im.Ports) > 0 {
		var ports []string
		for _, p := range im.Ports {
			ports = append(ports, strconv.Itoa(p))
		}
		facts = append(facts, fact{"Ports", several(ports, 20), false})
	}
	if len(im.Environments) > 0 {
		facts = append(facts, fact{"Further Python environments", several(im.Environments, 20), false})
	}
	start := "Before the command starts, forge-init checks that the container is not root."
	if r.GPU != nil {
		start = "Before the command starts, forge-init checks that there is a GPU that the image has code for, that its driver is new enough, and that the container is not root. If not, it says what is missing and ends with code 78."
	}
	if r.finished() {
		note := part{Text: "As the image states."}
		if r.root() {
			note = part{Tone: "bad", Text: "The command runs as root unless whoever starts the container says otherwise: a break-in has all rights inside."}
		}
		return []part{note, {Facts: facts}}
	}
	out := []part{{Text: start + " The root file system may be read-only; only the writable folders need to be written."}, {Facts: facts}}
	if len(r.Runs) > 0 {
		out = append(out, part{Tone: "warn", Text: "Steps of the recipe executed code while the image was made, and what they wrote is in it: " + several(r.Runs, 20) + "."})
	}
	return out
}

func (r *Report) originParts() []part {
	if r.finished() {
		return []part{{Text: "Not known: this report was made from the finished image, not by the build."}}
	}
	o := r.Origin
	build := "forge build --image " + show(r.Image.Name)
	for i, v := range o.Variables {
		if i < 20 {
			build += " --var " + show(v) + "=…"
		}
	}
	facts := []fact{{"Recipe", show(o.Recipe) + ", sha256 " + show(o.RecipeSHA256), true}, {"Lock", show(o.Lock) + ", sha256 " + show(o.LockSHA256), true},
		{"Time stamp of all files", show(r.Image.Created), false}, {"forge-init", "sha256 " + show(o.Init), true}, {"forge", show(r.Forge) + ", layer format " + strconv.Itoa(o.LayerFormat), false}}
	if o.AsOf != "" {
		facts = append(facts, fact{"Nothing chosen that is newer than", show(o.AsOf), false})
	}
	if len(o.Copies) > 0 {
		facts = append(facts, fact{"Files of the recipe’s folder", several(o.Copies, 20), false})
	}
	return []part{{Text: "The image depends on the recipe, its lock and the copied files, and on nothing else: not on the machine, the time or the user. With these, anybody gets the same digest:"},
		{Commands: []string{build + " " + show(o.Recipe), "# ends with @" + show(r.Image.Digest)}}, {Facts: facts}}
}

func (r *Report) signatureParts() []part {
	var facts []fact
	for i, f := range r.Signature.Facts {
		if i < fewRows {
			facts = append(facts, fact{show(f.Name), sentence(f.Value), false})
		}
	}
	if r.Signature.State == Signed {
		return []part{{Tone: "good", Text: "The image is signed. This page is not proof of it: verify the signature where the image is used."}, {Facts: facts}}
	}
	if r.Signature.State == NotSeen {
		return []part{{Text: "Nobody has looked for a signature. forge verify does, where the image comes from."}}
	}
	return []part{{Text: "When this page was written the image was " + show(r.Signature.State) + "."}, {Facts: facts}}
}

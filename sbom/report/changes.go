package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/cuda"
	"github.com/forge-build/forge/recipes/finding"
)

func (r *Report) previousParts() []part {
	p := r.Previous
	if p == nil && r.finished() {
		return []part{{Text: "Not known: this report was made from the finished image. forge diff compares two images."}}
	}
	if p == nil {
		return []part{{Text: "There is nothing to compare with: no other build of this image lay in the output folder before."}}
	}
	if p.Problem != "" {
		return []part{{Tone: "warn", Text: "Nothing can be said: the report of the build before could not be read. " + sentence(p.Problem)}}
	}
	out := []part{{Text: fmt.Sprintf("The build before, of %s, had the digest %s. A machine that has it needs %s of the %s of this one: %d of %d layers are the same.",
		date(p.Created), short(p.Digest), size(p.Layers.New), size(p.Layers.New+p.Layers.Bytes), p.Layers.Same, p.Layers.Of)}}
	return append(out, p.Changes.parts()...)
}

// changeRow is one difference, in words.
type changeRow struct{ tone, what, name, was, is string }

// line is the difference in the form of forge diff: + is new, - is gone, ~ is another one.
func (x changeRow) line() string {
	about, verdict := "package ", ""
	switch x.what {
	case "worse", "better", "fixed":
		about, verdict = "finding ", " ("+x.what+")"
	case "new finding":
		about = "finding "
	case "licence":
		about = "licence of "
	}
	sign, value := "~ ", ": "+or(show(x.was), "not known")+" → "+or(show(x.is), "not known")
	switch {
	case x.what == "new" || x.what == "new finding":
		sign, value = "+ ", ": "+show(x.is)
	case x.what == "gone" || x.what == "fixed":
		sign, value = "- ", ": "+show(x.was)
	}
	return sign + about + show(x.name) + strings.TrimSuffix(value, ": ") + verdict
}

// changeRows lists what differs in packages and findings.
func changeRows(c Changes) []changeRow {
	var rows []changeRow
	for _, x := range c.Findings.Worse {
		rows = append(rows, changeRow{"bad", "worse", x.ID + " in " + x.Package, x.Was, x.Is})
	}
	for _, x := range c.Findings.New {
		rows = append(rows, changeRow{"bad", "new finding", x.ID + " in " + x.Package, "", x.Is})
	}
	for _, x := range c.Findings.Fixed {
		rows = append(rows, changeRow{"good", "fixed", x.ID + " in " + x.Package, x.Was, ""})
	}
	for _, x := range c.Findings.Better {
		rows = append(rows, changeRow{"good", "better", x.ID + " in " + x.Package, x.Was, x.Is})
	}
	for _, x := range c.Changed {
		rows = append(rows, changeRow{"info", "changed", x.Package, x.Was, x.Is})
	}
	for _, x := range c.New {
		rows = append(rows, changeRow{"info", "new", label(x), "", x.Version})
	}
	for _, x := range c.Gone {
		rows = append(rows, changeRow{"info", "gone", label(x), x.Version, ""})
	}
	for _, x := range c.Licences {
		rows = append(rows, changeRow{"warn", "licence", x.Package, x.Was, x.Is})
	}
	return rows
}

func label(p Package) string { return named{p.Kind, p.Environment, p.Parent, p.Name}.label() }

// parts shows what differs.
func (c Changes) parts() []part {
	var out []part
	rows := changeRows(c)
	if len(rows) == 0 {
		out = append(out, part{Text: "The packages are the same."})
	} else {
		t := &table{Caption: count(len(rows), "change", "changes"), Head: []column{{"What", ""}, {"Change", ""}, {"Before", ""}, {"Now", ""}}}
		if len(rows) > fewRows {
			t.Caption += fmt.Sprintf("; the first %d are shown, the JSON document has all", fewRows)
			rows = rows[:fewRows]
		}
		for _, x := range rows {
			t.Rows = append(t.Rows, []cell{{Text: show(x.name)}, {Tag: x.tone, Text: x.what}, {Text: show(x.was)}, {Text: show(x.is)}})
		}
		out = append(out, part{Table: t})
	}
	if !c.Findings.Compared {
		out = append(out, part{Text: "Vulnerabilities are not compared: one of the two builds was not scanned."})
	}
	return out
}

func (r *Report) gpuParts() []part {
	g := r.GPU
	if g == nil && r.finished() {
		return []part{{Text: "Not known: the image does not state which driver it needs, and nobody has looked into its libraries."}}
	}
	if g == nil {
		return []part{{Text: "The image holds no CUDA. It needs no GPU and no NVIDIA driver."}}
	}
	out := []part{{Text: fmt.Sprintf("The image brings its own CUDA %s; the machine brings the NVIDIA driver. The driver must be %s or newer, and know the GPU. With %s or newer everything in the image runs, also code that the driver translates for newer GPUs.",
		show(g.CUDA), show(g.Driver), orWord(g.Recommended))}}
	t := &table{Caption: "Does this image run on a GPU of that generation?", Head: []column{{"Generation", ""}, {"Runs?", ""}, {"GPUs", ""}, {"Compute capability", ""}, {"Driver", ""}}}
	for i, row := range generations(g.Families) {
		if i == fewRows {
			break
		}
		name := cell{Text: or(show(row.Name), "unknown")}
		if row.Wanted {
			name.Then = []string{"asked for by the recipe"}
		}
		verdict, driver := runs(row, g)
		t.Rows = append(t.Rows, []cell{name, verdict, {Text: several(row.Products, 8), Class: "prose"}, {Text: show(row.Capability)}, {Text: driver, Class: "prose"}})
	}
	if len(t.Rows) > 0 {
		out = append(out, part{Table: t})
	}
	facts := []fact{{"Code for GPUs (SM)", or(shown(strings.Join(g.SM, ", "), 2*maxText), "not known"), false}}
	if len(g.PTX) > 0 {
		facts = append(facts, fact{"Code to be translated (PTX)", shown(strings.Join(g.PTX, ", "), 2*maxText), false})
	}
	return append(out, part{Facts: facts})
}

func orWord(driver string) string {
	if driver == "" || driver == "unknown" {
		return "the driver that was published with this CUDA"
	}
	return show(driver)
}

// generations joins neighbours of one generation on which the code runs in the same way.
func generations(families []Family) []Family {
	var out []Family
	for _, f := range families {
		if n := len(out); n > 0 && out[n-1].Name == f.Name && out[n-1].Code == f.Code && out[n-1].LastDriver == f.LastDriver && n < mostRows {
			last := &out[n-1]
			last.Capability += ", " + f.Capability
			last.Products = slices.Concat(last.Products, f.Products)
			last.Wanted = last.Wanted || f.Wanted
			continue
		}
		out = append(out, f)
	}
	return out
}

// runs says whether the image runs on GPUs of a family, and with which driver.
func runs(f Family, g *GPU) (cell, string) {
	last := ""
	if f.LastDriver > 0 {
		last = fmt.Sprintf("; the last one for these GPUs is of branch %d", f.LastDriver)
	}
	switch cuda.Code(f.Code) {
	case cuda.Native:
		return cell{Tag: "good", Text: "yes"}, show(g.Driver) + " or newer" + last
	case cuda.PTX:
		return cell{Tag: "warn", Text: "translated"}, orWord(g.Recommended) + " or newer, which translates the code at the first start; that takes a while" + last
	}
	return cell{Tag: "bad", Text: "no"}, "the image holds no code for these GPUs"
}

// tally counts findings by severity, the worst first.
func tally(findings []finding.Judged) string {
	n := map[finding.Severity]int{}
	for _, f := range findings {
		n[f.Severity]++
	}
	var out []string
	for _, s := range []finding.Severity{finding.Critical, finding.High, finding.Unknown, finding.Medium, finding.Low, finding.Negligible} {
		if n[s] > 0 {
			out = append(out, thousands(int64(n[s]))+" "+s.String())
		}
	}
	return strings.Join(out, ", ")
}

func (r *Report) findingParts() []part {
	d := r.Scan
	if !scanned(d) {
		reason := "No vulnerability database was at hand."
		if d != nil && d.NotScanned != "" {
			reason = sentence(d.NotScanned)
		}
		return []part{{Tone: "warn", Text: "Not scanned: nobody has compared the packages with known vulnerabilities. That says nothing about whether there are any. " + reason}}
	}
	var out []part
	limit := "findings of severity " + d.Limits.FailOn.String() + " or worse"
	if d.Limits.FailOn == finding.Never {
		limit = "no finding"
	}
	if d.Limits.OnlyFixed {
		limit += " for which a fix exists"
	}
	switch {
	case d.Failed:
		out = append(out, part{Tone: "bad", Text: "The image does not pass its gate. " + several(d.Reasons, 5) + "."})
	case len(d.Findings) == 0:
		out = append(out, part{Tone: "good", Text: fmt.Sprintf("None of the %s that were looked up has a vulnerability known to the database.", count(d.Packages, "package", "packages"))})
	default:
		out = append(out, part{Tone: "good", Text: "The image passes its gate, which stops " + limit + "."})
	}
	out = append(out, part{Text: fmt.Sprintf("%s were looked up. The data was made on %s (sha256 %s); what became known later is not in it.",
		count(d.Packages, "package", "packages"), d.Database.Built.UTC().Format("2006-01-02 15:04 UTC"), short(or("sha256:"+strings.TrimPrefix(d.Database.Digest, "sha256:"), "")))})
	head := []column{{"Finding", ""}, {"Severity", ""}, {"Package", ""}, {"Update to", ""}, {"What it is, and what becomes of it", ""}}
	out = append(out, folded(len(d.Findings), openRows, mostRows, "finding", "findings", "worst first", head, func(i int) []cell { return findingRow(d.Findings[i]) })...)
	return append(out, remarks(d)...)
}

func findingRow(f finding.Judged) []cell {
	fix := "no fix yet"
	if f.WontFix {
		fix = "will not be fixed"
	}
	if f.Fixed() {
		fix = several(f.FixedIn, 3)
	}
	tone := map[finding.Severity]string{finding.Critical: "bad", finding.High: "bad", finding.Medium: "warn", finding.Unknown: "warn"}[f.Severity]
	id := cell{Text: show(f.ID), Class: keep(f.ID)}
	if len(f.Aliases) > 0 {
		id.Then = []string{several(f.Aliases, 3)}
	}
	for _, u := range f.URLs {
		if id.Link = link(u); id.Link != "" {
			break
		}
	}
	return []cell{id, {Tag: or(tone, "info"), Text: f.Severity.String()}, {Text: show(f.Package), More: show(f.Version)}, {Text: fix},
		{Text: sentence(or(f.Title, f.Description)), Then: fate(f), Class: "prose"}}
}

// fate says what becomes of a finding, and why.
func fate(f finding.Judged) []string {
	var out []string
	if f.Exploited {
		out = append(out, "Known to be exploited.")
	}
	if w := f.Waiver; w != nil {
		out = append(out, fmt.Sprintf("Waived until %s by %s: %s", show(w.Until), show(w.Owner), sentence(w.Reason)))
	}
	if f.VEX != nil {
		out = append(out, "VEX says: "+show(strings.TrimSpace(f.VEX.Status+" "+f.VEX.Justification)))
	}
	switch {
	case f.Fails:
		out = append(out, strings.TrimSuffix("This stops the image: "+show(f.Why), ": "))
	case f.Waiver == nil && f.VEX == nil && f.Why != "":
		out = append(out, "It does not stop the image: "+show(f.Why))
	}
	return out
}

// remarks are what the verdict says beside its findings.
func remarks(d *finding.Document) []part {
	var items []string
	add := func(s string) {
		if len(items) < fewRows {
			items = append(items, s)
		}
	}
	for _, w := range d.ExpiredWaivers {
		add(fmt.Sprintf("The waiver of %s in %s ended on %s; %s answers for it.", show(w.ID), show(w.Package), show(w.Until), show(w.Owner)))
	}
	for _, w := range d.UnusedWaivers {
		add(fmt.Sprintf("The waiver of %s in %s fits no finding; it can go.", show(w.ID), show(w.Package)))
	}
	silent := map[string][]string{}
	for _, u := range d.Unjudged {
		silent[u.Why] = append(silent[u.Why], strings.TrimSpace(u.Package+" "+u.Version))
	}
	for _, reason := range slices.Sorted(maps.Keys(silent)) {
		add(fmt.Sprintf("Nothing can be said about %s: %s.", several(silent[reason], 8), sentence(reason)))
	}
	if n := len(d.UnusedStatements); n > 0 {
		add(count(n, "VEX statement fits", "VEX statements fit") + " no finding.")
	}
	if len(items) == 0 {
		return nil
	}
	return []part{{Heading: "Also", Items: items}}
}

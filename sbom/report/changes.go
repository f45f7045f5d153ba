package report

import (
	"cmp"
	"fmt"
	"strings"
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
	sign, value := "~ ", ": "+cmp.Or(show(x.was), "not known")+" → "+cmp.Or(show(x.is), "not known")
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

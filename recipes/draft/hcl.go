package draft

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// HCL writes the recipe. The caller formats it.
func (d *Draft) HCL() string {
	d.settle()
	var b strings.Builder
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "# %s\n", n)
	}
	if len(d.Notes) > 0 {
		b.WriteString("\n")
	}
	var parts []string
	if d.WantsTorch {
		driver := ""
		if d.Driver != "" {
			driver = ">= " + strings.TrimSpace(strings.TrimPrefix(d.Driver, ">="))
		}
		parts = append(parts, block("pytorch", attr("version", d.Torch)+attr("cuda", d.CUDA)+list("gpus", d.GPUs)+attr("driver", driver)))
	}
	indexes := ""
	for _, ix := range d.Indexes {
		indexes += block("index "+quote(ix.Name), attr("url", ix.URL)+list("packages", ix.Packages))
	}
	if python := attr("version", d.Python) + list("requirements", d.Requirements) + list("files", d.Files) + indexes; python != "" {
		parts = append(parts, block("python", python))
	}
	if len(d.Packages) > 0 || d.Suite != "" {
		parts = append(parts, block(`base "debian"`, attr("suite", d.Suite)+list("packages", d.Packages)))
	}
	if d.User != "" || d.UID != 0 {
		uid := ""
		if d.UID != 0 {
			uid = fmt.Sprintf("uid = %d\n", d.UID)
		}
		parts = append(parts, block("user", attr("name", d.User)+uid))
	}
	copies := ""
	for _, c := range d.Copies {
		copies += fmt.Sprintf("copy %s { to = %s }\n", quote(c.From), quote(c.To))
	}
	parts = append(parts, copies, d.attributes())
	fmt.Fprintf(&b, "image %s {\n", quote(imageName(d.Name)))
	first := true
	for _, p := range parts {
		if p == "" {
			continue
		}
		if !first {
			b.WriteString("\n")
		}
		first = false
		b.WriteString(p)
	}
	b.WriteString("}\n")
	return b.String()
}

// attributes are the values of the image itself.
func (d *Draft) attributes() string {
	s := attr("workdir", d.Workdir) + list("entrypoint", d.Entrypoint) + list("command", d.Command) + object("env", d.Env) + object("labels", d.Labels)
	if len(d.Ports) > 0 {
		ports := make([]string, len(d.Ports))
		for i, p := range d.Ports {
			ports[i] = strconv.Itoa(p)
		}
		s += fmt.Sprintf("ports = [%s]\n", strings.Join(ports, ", "))
	}
	if len(d.Writable) > 0 {
		s += list("writable", append([]string{"/cache"}, d.Writable...))
	}
	return s
}

func block(name, body string) string {
	if body == "" {
		return name + " {}\n"
	}
	return name + " {\n" + body + "}\n"
}

func attr(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf("%s = %s\n", name, quote(value))
}

func list(name string, values []string) string {
	if len(values) == 0 {
		return ""
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	if one := strings.Join(quoted, ", "); len(one) <= 90 {
		return fmt.Sprintf("%s = [%s]\n", name, one)
	}
	return fmt.Sprintf("%s = [\n%s,\n]\n", name, strings.Join(quoted, ",\n"))
}

func object(name string, m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	sort.Strings(names)
	s := name + " = {\n"
	for _, k := range names {
		s += fmt.Sprintf("%s = %s\n", quote(k), quote(m[k]))
	}
	return s + "}\n"
}

// quote writes an HCL string: a literal, never a template. HCL knows fewer escapes than
// Go; source: its specification, "Template Expressions", quoted templates.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case printable(r) != r:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(b.String())
}

// Command typecheck checks the types of forge, its tests and all that they import, for another
// platform and from the source: what the compiler would say, in a tenth of its time.
//
// usage: go run ./cmd/forge/testdata/typecheck darwin/arm64
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	system, arch, ok := strings.Cut(strings.Join(os.Args[1:], " "), "/")
	if !ok {
		fmt.Fprintln(os.Stderr, "usage: typecheck SYSTEM/ARCHITECTURE, for example darwin/arm64")
		os.Exit(2)
	}
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
			packages.NeedTypesSizes | packages.NeedModule,
		Tests: true,
		Env:   append(os.Environ(), "GOOS="+system, "GOARCH="+arch),
	}, "./...")
	if err != nil {
		fmt.Fprintln(os.Stderr, "typecheck:", err)
		os.Exit(1)
	}
	failed := packages.PrintErrors(pkgs)
	checked := map[*packages.Package]*types.Package{}
	packages.Visit(pkgs, nil, func(p *packages.Package) { // what it imports has been visited
		var errs []error
		checked[p], errs = check(p, checked)
		for _, err := range errs {
			fmt.Fprintln(os.Stderr, err)
			failed++
		}
	})
	if failed > 0 {
		os.Exit(1)
	}
	fmt.Fprintf(os.Stdout, "%d packages fit %s/%s\n", len(checked), system, arch)
}

// check keeps no syntax, which would be gigabytes.
func check(p *packages.Package, checked map[*packages.Package]*types.Package) (*types.Package, []error) {
	if p.PkgPath == "unsafe" {
		return types.Unsafe, nil
	}
	var errs []error
	fset := token.NewFileSet()
	files := make([]*ast.File, 0, len(p.CompiledGoFiles))
	for _, name := range p.CompiledGoFiles {
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, file)
	}
	conf := types.Config{
		Importer: imports(func(path string) (*types.Package, error) {
			if imported := checked[p.Imports[path]]; imported != nil {
				return imported, nil
			}
			return nil, fmt.Errorf("%s is not there", path)
		}),
		Sizes: p.TypesSizes,
		Error: func(err error) { errs = append(errs, err) },
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		conf.GoVersion = "go" + p.Module.GoVersion
	}
	pkg, _ := conf.Check(p.PkgPath, fset, files, nil) // its error is the first of errs
	return pkg, errs
}

type imports func(path string) (*types.Package, error)

func (f imports) Import(path string) (*types.Package, error) { return f(path) }

package cuda

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Checked is the day on which the tables were last compared with their sources.
const Checked = "22 November 2026"

//go:embed data/cuda-driver.csv
var driverCSV []byte

//go:embed data/torch-cuda.csv
var torchCSV []byte

// Toolkit is a row of cuda-driver.csv.
type Toolkit struct {
	CUDA        Version // three parts
	Recommended Version // driver that ships with it; zero: not known
	Minimum     Version // oldest driver that runs its programs, Linux
	Source      string
}

// Channel says how PyTorch publishes a variant.
type Channel string

// The channels of torch-cuda.csv.
const (
	Stable       Channel = "stable"
	Experimental Channel = "experimental"
	IndexOnly    Channel = "index only" // not in PyTorch's release document
	Unstated     Channel = ""           // seen on PyPI, release document not read
)

// Row is a row of torch-cuda.csv: one torch version for one CUDA version and
// architecture.
type Row struct {
	Torch    string // "2.9.1"
	CUDA     string // "12.8"
	Index    string // "cu128": directory of PyTorch's index and local version label
	Channel  Channel
	Default  bool // PyPI serves this one under the bare version
	Python   []Pythons
	Arch     string       // "x86_64" or "aarch64"
	SM       []Capability // native code in libtorch_cuda; empty: not known, and then PTX is not known either
	PTX      []Capability // embedded PTX; empty with a known SM: none
	CUDNN    string       // empty: not known
	NCCL     string       // empty: not known
	Minimum  Version      // driver
	Source   string
	Verified string
}

// Pythons is a range of CPython minor releases, both ends included.
type Pythons struct {
	From, To     string // "3.10", "3.14"
	FreeThreaded bool   // free-threaded builds ("3.15t")
	Experimental bool
}

var loadToolkits = sync.OnceValue(func() []Toolkit {
	rows, err := readToolkits(driverCSV)
	if err != nil {
		panic("internal error: embedded table: " + err.Error())
	}
	return rows
})

var loadTorch = sync.OnceValue(func() []Row {
	rows, err := readTorch(torchCSV, loadToolkits())
	if err != nil {
		panic("internal error: embedded table: " + err.Error())
	}
	return rows
})

// Toolkits returns every known CUDA toolkit, newest first.
func Toolkits() []Toolkit { return slices.Clone(loadToolkits()) }

// Rows returns every known torch variant, newest torch first, then CUDA
// ascending, then x86_64 before aarch64. Callers must not change a row's slices.
func Rows() []Row { return slices.Clone(loadTorch()) }

var (
	driverColumns = []string{"cuda", "toolkit_driver", "minor_compat_min_driver", "source"}
	torchColumns  = []string{"torch", "cuda", "index", "channel", "python", "arch", "sm_cubins", "ptx", "cudnn", "nccl", "min_driver_linux", "source", "verified"}
)

// readCSV returns the records below an exact header.
func readCSV(data []byte, columns []string) ([][]string, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = len(columns)
	all, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading table: %w", err)
	}
	if len(all) < 2 || !slices.Equal(all[0], columns) {
		return nil, fmt.Errorf("reading table: the header is not %q with rows below it", strings.Join(columns, ","))
	}
	for i, record := range all {
		for j, cell := range record {
			if strings.TrimSpace(cell) != cell {
				return nil, fmt.Errorf("reading table: row %d, %s: blanks around %q", i+1, columns[j], cell)
			}
		}
	}
	return all[1:], nil
}

// readToolkits reads cuda-driver.csv and refuses rows that are unsorted,
// repeated or whose recommended driver is below the minimum.
func readToolkits(data []byte) ([]Toolkit, error) {
	records, err := readCSV(data, driverColumns)
	if err != nil {
		return nil, err
	}
	var out []Toolkit
	for _, rec := range records {
		t, err := readToolkit(rec)
		if err != nil {
			return nil, fmt.Errorf("reading CUDA toolkit %q: %w", rec[0], err)
		}
		if n := len(out); n > 0 && !t.CUDA.Less(out[n-1].CUDA) {
			return nil, fmt.Errorf("reading CUDA toolkit %q: not below the row before it, %q", rec[0], out[n-1].CUDA)
		}
		out = append(out, t)
	}
	return out, nil
}

func readToolkit(rec []string) (Toolkit, error) {
	t := Toolkit{Source: rec[3]}
	var err error
	if t.CUDA, err = ParseVersion(rec[0]); err != nil {
		return t, err
	}
	if strings.Count(rec[0], ".") != 2 {
		return t, fmt.Errorf("not major.minor.patch")
	}
	if t.Minimum, err = ParseVersion(rec[2]); err != nil {
		return t, err
	}
	if rec[1] != "" {
		if t.Recommended, err = ParseVersion(rec[1]); err != nil {
			return t, err
		}
		if t.Recommended.Less(t.Minimum) {
			return t, fmt.Errorf("recommended driver %s is below the minimum %s", t.Recommended, t.Minimum)
		}
	}
	if t.Source == "" {
		return t, fmt.Errorf("no source")
	}
	return t, nil
}

// readTorch reads torch-cuda.csv, checked row by row against the toolkits and
// against each other.
func readTorch(data []byte, toolkits []Toolkit) ([]Row, error) {
	records, err := readCSV(data, torchColumns)
	if err != nil {
		return nil, err
	}
	var out []Row
	defaults := map[string]int{}
	for _, rec := range records {
		row, err := readRow(rec, toolkits)
		if err != nil {
			return nil, fmt.Errorf("reading torch %q for CUDA %q: %w", rec[0], rec[1], err)
		}
		if n := len(out); n > 0 && !rowBefore(out[n-1], row) {
			return nil, fmt.Errorf("reading torch %q for CUDA %q on %s: repeated or out of order", rec[0], rec[1], rec[5])
		}
		if row.Default {
			defaults[row.Torch+" "+row.Arch]++
		}
		out = append(out, row)
	}
	for _, row := range out {
		if n := defaults[row.Torch+" "+row.Arch]; n > 1 || n == 0 && row.Arch == "x86_64" {
			return nil, fmt.Errorf("reading torch %q: %d rows for %s are pypi-default", row.Torch, n, row.Arch)
		}
	}
	return out, nil
}

// rowBefore is the table's order.
func rowBefore(a, b Row) bool {
	if c := mustVersion(b.Torch).Compare(mustVersion(a.Torch)); c != 0 {
		return c < 0
	}
	if c := mustVersion(a.CUDA).Compare(mustVersion(b.CUDA)); c != 0 {
		return c < 0
	}
	return a.Arch > b.Arch
}

func readRow(rec []string, toolkits []Toolkit) (Row, error) {
	row := Row{Torch: rec[0], CUDA: rec[1], Index: rec[2], Arch: rec[5], CUDNN: rec[8], NCCL: rec[9], Source: rec[11], Verified: rec[12]}
	if _, err := ParseVersion(row.Torch); err != nil || strings.Count(row.Torch, ".") != 2 {
		return row, fmt.Errorf("torch is not major.minor.patch")
	}
	cuda, err := ParseVersion(row.CUDA)
	if err != nil || strings.Count(row.CUDA, ".") != 1 {
		return row, fmt.Errorf("cuda is not major.minor")
	}
	if want := "cu" + strings.ReplaceAll(row.CUDA, ".", ""); row.Index != want {
		return row, fmt.Errorf("index %q does not follow from cuda: %q", row.Index, want)
	}
	if row.Channel, row.Default, err = readChannel(rec[3]); err != nil {
		return row, err
	}
	if row.Python, err = readPythons(rec[4]); err != nil {
		return row, err
	}
	if row.Arch != "x86_64" && row.Arch != "aarch64" {
		return row, fmt.Errorf("unknown architecture %q", row.Arch)
	}
	if row.SM, row.PTX, err = readCode(rec[6], rec[7]); err != nil {
		return row, err
	}
	if row.Minimum, err = ParseVersion(rec[10]); err != nil {
		return row, err
	}
	i := slices.IndexFunc(toolkits, func(t Toolkit) bool { return t.CUDA.minor() == cuda.minor() })
	if i < 0 {
		return row, fmt.Errorf("no CUDA toolkit %s in the driver table", row.CUDA)
	}
	if toolkits[i].Minimum.Compare(row.Minimum) != 0 {
		return row, fmt.Errorf("min_driver_linux %s is not the floor of the toolkit, %s", row.Minimum, toolkits[i].Minimum)
	}
	if row.Source == "" || row.Verified == "" {
		return row, fmt.Errorf("source or verified is empty")
	}
	return row, nil
}

func readChannel(cell string) (Channel, bool, error) {
	text, pypi := strings.CutSuffix(cell, ";pypi-default")
	switch c := Channel(text); {
	case c == Stable || c == Experimental || c == IndexOnly:
		return c, pypi, nil
	case cell == "pypi-default":
		return Unstated, true, nil
	}
	return "", false, fmt.Errorf("unknown channel %q", cell)
}

// readPythons reads "3.10-3.15;3.15t experimental".
func readPythons(cell string) ([]Pythons, error) {
	var out []Pythons
	for i, part := range strings.Split(cell, ";") {
		text, experimental := strings.CutSuffix(part, " experimental")
		if experimental != (i > 0) {
			return nil, fmt.Errorf("python %q: the first range is the supported one, later ones are experimental", cell)
		}
		from, to, ok := strings.Cut(text, "-")
		if !ok {
			to = from
		}
		p := Pythons{Experimental: experimental}
		p.From, p.FreeThreaded = strings.CutSuffix(from, "t")
		p.To = strings.TrimSuffix(to, "t")
		a, errA := ParseVersion(p.From)
		b, errB := ParseVersion(p.To)
		if errA != nil || errB != nil || b.Less(a) || strings.HasSuffix(to, "t") != p.FreeThreaded {
			return nil, fmt.Errorf("python %q is not a range", cell)
		}
		out = append(out, p)
	}
	return out, nil
}

// readCode reads the cells sm_cubins and ptx; both are known or neither is.
func readCode(sm, ptx string) (native, embedded []Capability, err error) {
	if sm == "" || ptx == "" {
		if sm != ptx {
			return nil, nil, fmt.Errorf("one of sm_cubins and ptx is empty, the other is not")
		}
		return nil, nil, nil
	}
	if native, err = Capabilities(strings.Split(sm, " ")); err != nil {
		return nil, nil, err
	}
	if !slices.IsSortedFunc(native, Capability.Compare) || len(slices.Compact(slices.Clone(native))) != len(native) {
		return nil, nil, fmt.Errorf("sm_cubins %q is not sorted and unique", sm)
	}
	if ptx != "no" {
		if embedded, err = Capabilities(strings.Split(ptx, " ")); err != nil {
			return nil, nil, err
		}
	}
	return native, embedded, nil
}

package cuda

import "testing"

func TestVersionsCompareAsNumbers(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{
		{"525.105", "525.60", 1},
		{"525.60.13", "525.105.17", -1},
		{"570.26", "570.26.0", 0},
		{"570.124.06", "570.124.6", 0},
		{"525.60.13.1", "525.60.13", 1},
		{"9999999999.1", "610.43.02", 1},
		{"999999999999999999.1", "9999999999.1", 1},
		{"12.10", "12.9", 1},
		{"470.82", "525.60.13", -1},
	} {
		a, b := mustVersion(row.a), mustVersion(row.b)
		if got := a.Compare(b); got != row.want {
			t.Errorf("%s against %s = %d, want %d", a, b, got, row.want)
		}
		if got := b.Compare(a); got != -row.want {
			t.Errorf("%s against %s = %d, want %d", b, a, got, -row.want)
		}
		if a.String() != row.a {
			t.Errorf("text of %q became %q", row.a, a)
		}
	}
}

func TestVersionsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "570", "1.2.3.4.5", "570.", ".570", "570..1", "570.x", "570.124.06-open", " 570.1", "570.1\n", "+570.1", "-570.1", "570.0x1", "１.２", "1234567890123456789.1"} {
		if v, err := ParseVersion(text); err == nil {
			t.Errorf("%q was read as %s", text, v)
		}
	}
	if (Version{}).String() != "unknown" || !(Version{}).IsZero() {
		t.Error("the zero version is not unknown")
	}
}

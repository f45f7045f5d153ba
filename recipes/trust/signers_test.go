package trust

import "testing"

func TestACredentialCountsForOneSigner(t *testing.T) {
	for name, row := range map[string]struct {
		named map[string][]string
		want  int
	}{
		"nobody":                   {nil, 0},
		"a stranger":               {map[string][]string{"x": nil}, 0},
		"one":                      {map[string][]string{"x": {"a"}}, 1},
		"one whom two names fit":   {map[string][]string{"x": {"a", "b"}}, 1},
		"two whom one name fits":   {map[string][]string{"x": {"a"}, "y": {"a"}}, 1},
		"two whom two names fit":   {map[string][]string{"x": {"a", "b"}, "y": {"a", "b"}}, 2},
		"one must make room":       {map[string][]string{"x": {"a", "b"}, "y": {"a"}}, 2},
		"a chain must make room":   {map[string][]string{"x": {"a", "b"}, "y": {"a", "c"}, "z": {"a"}}, 3},
		"three share two names":    {map[string][]string{"x": {"a", "b"}, "y": {"a", "b"}, "z": {"b", "a"}}, 2},
		"the same name said twice": {map[string][]string{"x": {"a", "a"}}, 1},
	} {
		for range 20 { // whatever the order of the map
			if got := Distinct(row.named); got != row.want {
				t.Errorf("%s: %d, want %d", name, got, row.want)
			}
		}
	}
}

package trust

// Distinct is how many of those whom a policy names have signed. named says of each credential
// that signed, a certificate's name or a key, whom it fits. Each stands for one of them, and
// each of them counts once: two names that one pattern fits are one signer, and one name that
// two patterns fit is one too. It is the size of the largest matching between the two sides,
// found by augmenting paths.
func Distinct[N comparable](named map[string][]N) int {
	taken := map[N]string{}
	var seek func(who string, seen map[N]bool) bool
	seek = func(who string, seen map[N]bool) bool {
		for _, n := range named[who] {
			if seen[n] {
				continue
			}
			seen[n] = true
			if other, ok := taken[n]; !ok || seek(other, seen) {
				taken[n] = who
				return true
			}
		}
		return false
	}
	for who := range named {
		seek(who, map[N]bool{})
	}
	return len(taken)
}

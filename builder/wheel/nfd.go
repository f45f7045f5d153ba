package wheel

import (
	"strconv"
	"strings"
	"sync"
)

// decompositions returns Unicode's canonical decompositions except Hangul's. The table is
// written by `go test -run TestNFDTable -update`: the Unicode library would be this
// package's only dependency beside a decompressor.
var decompositions = sync.OnceValue(func() map[rune][]rune {
	m := make(map[rune][]rune, 2100)
	for _, line := range strings.Split(strings.TrimSpace(nfdTable), "\n") {
		var rs []rune
		for _, hex := range strings.Fields(line) {
			n, err := strconv.ParseUint(hex, 16, 21)
			if err != nil {
				panic("internal error: " + err.Error())
			}
			rs = append(rs, rune(n))
		}
		m[rs[0]] = rs[1:]
	}
	return m
})

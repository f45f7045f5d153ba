package report

import (
	"cmp"
	"slices"
)

// block is something with a size in a treemap. What it consists of lies within it.
type block struct {
	label  string
	detail string // what a person is told who points at it
	group  string // decides the colour
	bytes  int64
	parts  []block
}

// tile is a block with its place, in units of the drawing.
type tile struct {
	X, Y, W, H float64
	Label      string // empty where it has no room
	Size       string
	Detail     string
	Group      string
	Frame      bool // the outline of a layer, in which tiles of packages lie
}

type rectangle struct{ x, y, w, h float64 }

// The least side of a tile, and how many of one layer are drawn apart; smaller ones share one.
const (
	leastTile = 5
	mostTiles = 60
)

// treemap lays out blocks so that areas are sizes and tiles nearly square (squarified
// treemaps: Bruls, Huizing, van Wijk, 2000).
func treemap(blocks []block, w, h float64) []tile {
	var tiles []tile
	place(blocks, rectangle{0, 0, w, h}, func(b block, r rectangle) {
		inner := rectangle{r.x + 1, r.y + 1, r.w - 2, r.h - 2}
		if len(b.parts) < 2 || inner.w < 4*leastTile || inner.h < 4*leastTile {
			tiles = append(tiles, newTile(b, inner))
			return
		}
		frame := newTile(b, inner)
		frame.Frame, frame.Label, frame.Size = true, "", ""
		tiles = append(tiles, frame)
		place(b.parts, rectangle{inner.x + 1.5, inner.y + 1.5, inner.w - 3, inner.h - 3}, func(p block, r rectangle) {
			tiles = append(tiles, newTile(p, rectangle{r.x + .5, r.y + .5, r.w - 1, r.h - 1}))
		})
	})
	return tiles
}

// newTile gives a tile the words for which it has room.
func newTile(b block, r rectangle) tile {
	t := tile{X: r.x, Y: r.y, W: max(r.w, 0.5), H: max(r.h, 0.5), Detail: b.detail, Group: b.group}
	const letter, line = 7.7, 16 // of the widest usual font
	room := int((r.w - 10) / letter)
	if r.h < line+4 || room < 4 {
		return t
	}
	t.Label = b.label
	if label := []rune(b.label); len(label) > room {
		if room < 6 {
			t.Label = ""
			return t
		}
		t.Label = string(label[:room-1]) + "…"
	}
	if s := size(b.bytes); r.h >= 2*line+6 && len(s) <= room {
		t.Size = s
	}
	return t
}

// place calls each with every block's rectangle. Blocks too small to be seen become one.
func place(blocks []block, in rectangle, each func(block, rectangle)) {
	blocks = seen(blocks, in.w*in.h)
	var total int64
	for _, b := range blocks {
		total += b.bytes
	}
	for len(blocks) > 0 && total > 0 && in.w > 0 && in.h > 0 {
		n := row(blocks, total, in)
		var sum int64
		for _, b := range blocks[:n] {
			sum += b.bytes
		}
		share := float64(sum) / float64(total)
		wide := in.w >= in.h
		at := 0.0
		for _, b := range blocks[:n] {
			part := float64(b.bytes) / float64(sum)
			if wide {
				each(b, rectangle{in.x, in.y + at*in.h, in.w * share, in.h * part})
			} else {
				each(b, rectangle{in.x + at*in.w, in.y, in.w * part, in.h * share})
			}
			at += part
		}
		if wide {
			in.x, in.w = in.x+in.w*share, in.w*(1-share)
		} else {
			in.y, in.h = in.y+in.h*share, in.h*(1-share)
		}
		blocks, total = blocks[n:], total-sum
	}
}

// row says how many blocks stand beside one another along the shorter side, so that the
// worst of them is as square as can be.
func row(blocks []block, total int64, in rectangle) int {
	side := min(in.w, in.h)
	scale := in.w * in.h / float64(total)
	best, sum := 0.0, 0.0
	for n, b := range blocks {
		sum += float64(b.bytes) * scale
		largest, least := float64(blocks[0].bytes)*scale, float64(b.bytes)*scale
		worst := max(side*side*largest/(sum*sum), sum*sum/(side*side*least))
		if n > 0 && worst > best {
			return n
		}
		best = worst
	}
	return len(blocks)
}

// seen sorts blocks, the largest first, drops empty ones, and joins those whose tile could
// not be seen.
func seen(blocks []block, area float64) []block {
	var total int64
	var out []block
	for _, b := range blocks {
		if b.bytes > 0 {
			total += b.bytes
			out = append(out, b)
		}
	}
	slices.SortStableFunc(out, func(a, b block) int { return cmp.Compare(b.bytes, a.bytes) })
	rest := block{group: "rest"}
	n := len(out)
	for i := n - 1; i > 0; i-- {
		if i < mostTiles && float64(out[i].bytes)/float64(total)*area >= leastTile*leastTile {
			break
		}
		rest.bytes += out[i].bytes
		n = i
	}
	if n < len(out) {
		if len(out)-n == 1 {
			return out
		}
		rest.label = count(len(out)-n, "smaller", "smaller")
		rest.detail = rest.label + ": " + size(rest.bytes)
		if out[n].group != "" {
			rest.group = out[n].group
		}
		out = append(out[:n], rest)
		slices.SortStableFunc(out, func(a, b block) int { return cmp.Compare(b.bytes, a.bytes) })
	}
	return out
}

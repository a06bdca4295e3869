package inventory

import (
	"slices"
	"strings"
)

// AsOf returns the sites as they are known on a date: of the rows of each ID the one with the latest ValidFrom that
// is not after it, sorted by ID. A site whose rows all begin later is left out.
func AsOf(rows []Site, date Date) []Site {
	newest := make(map[string]int, len(rows))
	for i := range rows {
		if rows[i].ValidFrom.After(date.Time) {
			continue
		}
		if j, ok := newest[rows[i].ID]; !ok || rows[i].ValidFrom.After(rows[j].ValidFrom.Time) {
			newest[rows[i].ID] = i
		}
	}
	out := make([]Site, 0, len(newest))
	for _, i := range newest {
		out = append(out, rows[i])
	}
	slices.SortFunc(out, func(a, b Site) int { return strings.Compare(a.ID, b.ID) })
	return out
}

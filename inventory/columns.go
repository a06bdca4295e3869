package inventory

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// column is what a column of a site list means.
type column int

const (
	colID column = iota
	colCode
	colName
	colType
	colParent
	colParentCode
	colLat
	colLon
	colValidFrom
	columnCount
)

// columnNames lists, per column, its own name and then other headings people use for it: folded, and with
// everything but letters and digits as a space. Vietnamese headings are understood with and without accents.
var columnNames = [columnCount][]string{
	colID:         {"id", "site", "site id", "dinh danh", "ma diem", "ma site"},
	colCode:       {"code", "ma", "ma so", "ma xa", "ma phuong", "ma xa phuong", "ma px", "ma don vi", "ma dvhc", "commune code"},
	colName:       {"name", "ten", "ten xa", "ten xa phuong", "ten phuong xa", "ten don vi", "ten diem", "xa phuong", "phuong xa", "commune"},
	colType:       {"type", "loai", "loai hinh", "loai don vi", "cap"},
	colParent:     {"district", "parent", "huyen", "quan huyen", "ten huyen", "ten quan huyen", "huyen thi xa", "truc thuoc", "nhom", "group"},
	colParentCode: {"district code", "parent code", "ma huyen", "ma quan huyen", "ma qh", "ma truc thuoc"},
	colLat:        {"lat", "latitude", "vi do", "vd"},
	colLon:        {"lon", "lng", "long", "longitude", "kinh do", "kd"},
	colValidFrom:  {"valid from", "from", "tu ngay", "hieu luc tu", "ngay hieu luc"},
}

func (c column) String() string { return strings.ReplaceAll(columnNames[c][0], " ", "_") }

// columnOf says what a heading means.
func columnOf(heading string) (column, bool) {
	folded := strings.Join(strings.FieldsFunc(Fold(heading), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), " ")
	for c, names := range columnNames {
		if slices.Contains(names, folded) {
			return column(c), true
		}
	}
	return 0, false
}

// titleRows is how many rows are looked at for the headings; lists often begin with a title and a date.
const titleRows = 10

// layout says where each column is in the rows of a list; -1: nowhere.
type layout [columnCount]int

// findHeader returns the index of the row with the most known headings, and where the columns are. Problems are what
// keeps the list from being read at all, warnings what is ignored.
func findHeader(rows []Row) (at int, where layout, problems, warnings []Problem) {
	best := 0
	for i, r := range rows[:min(len(rows), titleRows)] {
		known := 0
		for _, h := range r.Cells {
			if _, ok := columnOf(h); ok {
				known++
			}
		}
		if known > best {
			at, best = i, known
		}
	}
	header := rows[at]
	for c := range where {
		where[c] = -1
	}
	var found, ignored []string
	for i, h := range header.Cells {
		h = strings.TrimSpace(h)
		if h == "" {
			continue
		}
		found = append(found, Quote(h))
		c, ok := columnOf(h)
		switch {
		case !ok:
			ignored = append(ignored, Quote(h))
		case where[c] >= 0:
			problems = append(problems, Problem{Row: header.Number, Column: c.String(), Text: "two columns mean this: " +
				Quote(header.Cells[where[c]]) + " and " + Quote(h) + "; remove or rename one"})
		default:
			where[c] = i
		}
	}
	have := "found: " + cmp.Or(strings.Join(found, ", "), "nothing")
	missing := func(c column, text string) {
		problems = append(problems, Problem{Row: header.Number, Column: c.String(), Text: text + "; " + have})
	}
	if where[colName] < 0 {
		missing(colName, "no column with names; add one headed name (or tên)")
	}
	if where[colID] < 0 && where[colCode] < 0 {
		missing(colID, "no column to tell sites apart; add one headed id, or one headed code (or mã) from which ids are made")
	}
	if where[colLat] >= 0 && where[colLon] < 0 {
		missing(colLon, "there is a latitude but no longitude; add a column headed lon (or kinh độ)")
	}
	if where[colLon] >= 0 && where[colLat] < 0 {
		missing(colLat, "there is a longitude but no latitude; add a column headed lat (or vĩ độ)")
	}
	if len(ignored) > 0 && len(problems) == 0 {
		warnings = append(warnings, Problem{Row: header.Number, Text: "columns not read: " + strings.Join(ignored, ", ")})
	}
	return at, where, problems, warnings
}

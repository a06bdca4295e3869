package inventory

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Problem is one mistake, or something worth knowing, in a list.
type Problem struct {
	File   string
	Sheet  string // of a workbook of which several sheets are read; else ""
	Row    int    // as a spreadsheet or an editor counts, from 1; 0 where the file as a whole is meant
	Column string // "lat"; "" where the row as a whole is meant
	Text   string // with the fix
}

// String formats the problem as "sites.csv: row 12, column lat: text".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File + ": ")
	if p.Sheet != "" {
		fmt.Fprintf(&b, "sheet %s: ", Quote(p.Sheet))
	}
	if p.Row > 0 {
		fmt.Fprintf(&b, "row %d", p.Row)
	}
	if p.Column != "" {
		if p.Row > 0 {
			b.WriteString(", ")
		}
		b.WriteString("column " + p.Column)
	}
	if p.Row > 0 || p.Column != "" {
		b.WriteString(": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// ListError holds all mistakes of a list, by row.
type ListError struct{ Problems []Problem }

// maxShown bounds the mistakes in an error's text; all of them are in Problems.
const maxShown = 50

func (e *ListError) Error() string {
	var lines []string
	for _, p := range e.Problems[:min(len(e.Problems), maxShown)] {
		lines = append(lines, p.String())
	}
	if more := len(e.Problems) - maxShown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more mistakes", more))
	}
	return strings.Join(lines, "\n")
}

// ReadOptions say how strict the reading of a site list is. The zero value is as strict as it gets.
type ReadOptions struct {
	Anywhere    bool          // positions outside Vietnam are no mistake
	SharedCodes bool          // several sites may have one code, as offices of communes that were merged
	Warn        func(Problem) // is told what was put right or ignored; nil: nobody is
}

// ReadSites reads a site list with the zero ReadOptions.
func ReadSites(name string, data []byte) ([]Site, error) { return ReadOptions{}.ReadSites(name, data) }

// ReadSites reads a site list: an Excel file (.xlsx), or text separated by commas, semicolons or tabs, in UTF-8 or
// UTF-16. Columns are known by their headings (see columnNames), in English or Vietnamese and in any order; a name
// and an id or code are required. Without an id a site's id is "s" and its code. The same id may come several times
// with different valid_from dates: that is its history.
//
// Names are normalised to NFC and otherwise left as written. The error, if any, is a *ListError with all mistakes.
// name is used for messages alone.
func (o ReadOptions) ReadSites(name string, data []byte) ([]Site, error) {
	t, problem := readTable(data)
	if problem == nil && len(t.Rows) == 0 {
		problem = &Problem{Text: "is empty; write headings into the first row and one site into each of the others"}
	}
	if problem != nil {
		problem.File = name
		return nil, &ListError{[]Problem{*problem}}
	}
	at, where, problems, warnings := findHeader(t.Rows)
	r := reader{options: o, table: t, where: where, headings: len(t.Rows[at].Cells), problems: problems, warnings: warnings}
	if len(problems) == 0 {
		r.read(t.Rows[at+1:])
	}
	for _, p := range r.warnings {
		if p.File = name; o.Warn != nil {
			o.Warn(p)
		}
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Row - b.Row })
		for i := range r.problems {
			r.problems[i].File = name
		}
		return nil, &ListError{r.problems}
	}
	return r.sites, nil
}

// reader is the reading of one list.
type reader struct {
	options            ReadOptions
	table              Table
	where              layout
	headings           int // cells of the header row
	problems, warnings []Problem

	sites   []Site
	numbers []int // row numbers of sites
}

func (r *reader) problem(row int, c column, format string, args ...any) {
	r.problems = append(r.problems, Problem{Row: row, Column: c.String(), Text: fmt.Sprintf(format, args...)})
}

func (r *reader) read(rows []Row) {
	if len(rows) == 0 {
		r.problems = append(r.problems, Problem{Text: "has headings but no sites; write one site into each row"})
	}
	for _, row := range rows {
		if len(row.Cells) > r.headings && !r.table.spreadsheet { // there, notes beside the table are common and harmless
			r.problems = append(r.problems, Problem{Row: row.Number, Text: fmt.Sprintf(
				"has %d cells but there are %d headings; put text with commas in quotes, and use semicolons between columns if numbers have decimal commas",
				len(row.Cells), r.headings)})
			continue
		}
		s := Site{
			ID:         r.text(row, colID),
			Name:       r.text(row, colName),
			Type:       r.text(row, colType),
			Code:       r.text(row, colCode),
			Parent:     r.text(row, colParent),
			ParentCode: r.text(row, colParentCode),
			Position:   r.position(row),
		}
		if s.Name == "" {
			r.problem(row.Number, colName, "is empty; every site needs a name")
		}
		var err error
		if s.ValidFrom, err = r.table.Date(r.text(row, colValidFrom)); err != nil {
			r.problem(row.Number, colValidFrom, "%v", err)
		}
		r.sites = append(r.sites, s)
		r.numbers = append(r.numbers, row.Number)
	}
	r.pad(colCode, 5, func(s *Site) *string { return &s.Code })
	r.pad(colParentCode, 3, func(s *Site) *string { return &s.ParentCode })
	for i := range r.sites {
		r.identify(&r.sites[i], r.numbers[i])
	}
	r.findDoubles()
}

// Bounds of a text, in characters.
const maxText = 200

// text returns a cell cleaned.
func (r *reader) text(row Row, c column) string {
	i := r.where[c]
	if i < 0 || i >= len(row.Cells) {
		return ""
	}
	s, err := CleanCell(row.Cells[i])
	if err != nil {
		r.problem(row.Number, c, "%v", err)
	}
	return s
}

// CleanCell returns the text of a cell in NFC, without spaces around and with single ones inside. The error tells of
// a text that is too long, and then comes with "", or of a character that can't be read.
func CleanCell(cell string) (string, error) {
	s := strings.Join(strings.Fields(norm.NFC.String(cell)), " ")
	if utf8.RuneCountInString(s) > maxText {
		return "", fmt.Errorf("is longer than %d characters: %s", maxText, Quote(s))
	}
	for _, ch := range s {
		if unicode.IsControl(ch) || unicode.Is(unicode.Cf, ch) || ch == utf8.RuneError {
			return s, fmt.Errorf("has the unreadable character %U in %s; type the text again", ch, Quote(s))
		}
	}
	return s, nil
}

// Quote quotes a text for a message and cuts it short.
func Quote(s string) string {
	if runes := []rune(s[:min(len(s), 400)]); len(runes) > 60 {
		s = string(runes[:60]) + "..."
	}
	return strconv.Quote(s)
}

// Vietnam's extent, with Hoàng Sa, Trường Sa and a margin.
const (
	minLat, maxLat = 6.0, 24.0
	minLon, maxLon = 102.0, 118.0
)

func (r *reader) position(row Row) *LatLon {
	latText, lonText := r.text(row, colLat), r.text(row, colLon)
	if latText == "" && lonText == "" {
		return nil
	}
	if latText == "" || lonText == "" {
		empty := colLat
		if latText != "" {
			empty = colLon
		}
		r.problem(row.Number, empty, "is empty while the other coordinate is not; fill in both, or neither")
		return nil
	}
	lat, latErr := parseDegrees(latText)
	lon, lonErr := parseDegrees(lonText)
	if latErr != nil {
		r.problem(row.Number, colLat, "%v; write decimal degrees, such as 21.3067", latErr)
	}
	if lonErr != nil {
		r.problem(row.Number, colLon, "%v; write decimal degrees, such as 105.5856", lonErr)
	}
	if latErr != nil || lonErr != nil {
		return nil
	}
	inside := func(lat, lon float64) bool {
		return lat >= minLat && lat <= maxLat && lon >= minLon && lon <= maxLon
	}
	switch {
	case inside(lat, lon):
	case inside(lon, lat):
		r.problem(row.Number, colLat, "lat %v and lon %v lie outside Vietnam, but the other way round inside it: swapped?", lat, lon)
	case lat == 0 && lon == 0:
		r.problem(row.Number, colLat, "0 and 0 is a place in the Atlantic; leave both empty where the position is not known")
	case lat < -90 || lat > 90:
		r.problem(row.Number, colLat, "%v is no latitude; those go from -90 to 90", lat)
	case lon < -180 || lon > 180:
		r.problem(row.Number, colLon, "%v is no longitude; those go from -180 to 180", lon)
	case !r.options.Anywhere:
		r.problem(row.Number, colLat, "lat %v, lon %v is outside Vietnam (%v to %v, %v to %v); correct it, or allow places anywhere (--anywhere)", lat, lon, minLat, maxLat, minLon, maxLon)
	}
	return &LatLon{lat, lon}
}

// parseDegrees reads a number with a decimal point or comma.
func parseDegrees(s string) (float64, error) {
	plain := strings.TrimSpace(strings.TrimSuffix(s, "°"))
	if strings.Count(plain, ",") == 1 && !strings.Contains(plain, ".") {
		plain = strings.Replace(plain, ",", ".", 1)
	}
	// ParseFloat also takes "inf", "nan", hexadecimal and underscores.
	if v, err := strconv.ParseFloat(plain, 64); err == nil && strings.Trim(plain, "+-.0123456789eE") == "" {
		return v, nil
	}
	return 0, fmt.Errorf("%s is not a number", Quote(s))
}

// pad puts the zeros back that a spreadsheet took from the front of codes when it read them as numbers: 8707 was
// 08707. It does so only when all codes of the list are numbers of at most width digits and one of them has nearly as
// many, so that codes of another kind stay as they are.
func (r *reader) pad(c column, width int, code func(*Site) *string) {
	longest, short, first := 0, 0, -1
	for i := range r.sites {
		s := *code(&r.sites[i])
		if s == "" {
			continue
		}
		if len(s) > width || strings.Trim(s, "0123456789") != "" {
			return
		}
		longest = max(longest, len(s))
		if len(s) < width {
			if short++; first < 0 {
				first = i
			}
		}
	}
	if short == 0 || longest < width-1 {
		return
	}
	was := *code(&r.sites[first])
	for i := range r.sites {
		if s := code(&r.sites[i]); *s != "" {
			*s = strings.Repeat("0", width-len(*s)) + *s
		}
	}
	r.warnings = append(r.warnings, Problem{Row: r.numbers[first], Column: c.String(), Text: fmt.Sprintf(
		"%d codes have fewer than %d digits, as when Excel takes them for numbers; zeros were put in front, so that %s became %s",
		short, width, was, *code(&r.sites[first]))})
}

// idPattern is what can serve as a tag value and a file name; the rest of the program asks for the same.
var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// identify makes sure that a site has an id.
func (r *reader) identify(s *Site, row int) {
	switch {
	case s.ID == "" && s.Code == "" && r.where[colID] < 0:
		r.problem(row, colCode, "is empty, so the site has no id; fill in its code, or add a column headed id")
	case s.ID == "" && s.Code == "":
		r.problem(row, colID, "is empty, and so is the code it could be made from; fill in one of them")
	case s.ID == "":
		if s.ID = "s" + strings.ToLower(s.Code); !idPattern.MatchString(s.ID) {
			r.problem(row, colCode, "%s can't be made an id; use only letters without accents, digits, dot, dash and underscore, or add a column headed id", Quote(s.Code))
		}
	case !idPattern.MatchString(s.ID):
		fix := "use 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit"
		if lower := strings.ToLower(s.ID); idPattern.MatchString(lower) {
			fix = "write it in lower case: " + lower
		}
		r.problem(row, colID, "%s can't be an id; %s", Quote(s.ID), fix)
	}
}

// findDoubles reports ids that come twice for the same date, and codes that two sites have on the same day.
func (r *reader) findDoubles() {
	// order is the rows by id, then date, then as they come.
	order := make([]int, len(r.sites))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &r.sites[i], &r.sites[j]
		return cmp.Or(strings.Compare(a.ID, b.ID), a.ValidFrom.Compare(b.ValidFrom.Time))
	})
	next := make([]int, len(r.sites)) // the row that takes over from row i; -1: none
	for k, i := range order {
		next[i] = -1
		if k+1 == len(order) || r.sites[i].ID == "" || r.sites[order[k+1]].ID != r.sites[i].ID {
			continue
		}
		successor := order[k+1]
		if a, b := r.sites[i], r.sites[successor]; !a.ValidFrom.Equal(b.ValidFrom.Time) {
			next[i] = successor
		} else {
			r.problem(r.numbers[successor], colID, "%s is in row %d too (%s); remove one of the rows, or give them different valid_from dates if they are the site's history",
				a.ID, r.numbers[i], Quote(a.Name))
		}
	}

	if r.options.SharedCodes {
		return
	}
	// Of the rows with the same code by date, each must have ended before the next begins.
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &r.sites[i], &r.sites[j]
		return cmp.Or(strings.Compare(a.Code, b.Code), a.ValidFrom.Compare(b.ValidFrom.Time), i-j)
	})
	holder := -1 // the row that holds the code longest so far
	for _, i := range order {
		s := &r.sites[i]
		if s.Code == "" {
			continue
		}
		if holder >= 0 && r.sites[holder].Code == s.Code && r.sites[holder].ID != s.ID &&
			(next[holder] < 0 || r.sites[next[holder]].ValidFrom.After(s.ValidFrom.Time)) {
			r.problem(r.numbers[i], colCode, "%s is the code of %s (%s) in row %d on the same day; correct one of them, or allow shared codes if both are offices of one merged commune",
				Quote(s.Code), Quote(r.sites[holder].Name), r.sites[holder].ID, r.numbers[holder])
			continue
		}
		holder = i
	}
}

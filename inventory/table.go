package inventory

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

// Bounds of a site list. The largest real one, all communes of the country, has some 10,000 rows and 1 MB.
const (
	maxFile    = 20 << 20
	maxUnzip   = 128 << 20
	maxRows    = 100_000
	maxColumns = 256
	maxSheets  = 20
)

// row is one row of a list, with its number as a spreadsheet or an editor shows it.
type row struct {
	number int
	cells  []string
}

func (r row) empty() bool {
	return !slices.ContainsFunc(r.cells, func(c string) bool { return strings.TrimSpace(c) != "" })
}

// table is the rows of a list that hold something.
type table struct {
	rows        []row
	spreadsheet bool // so dates may be day numbers
	date1904    bool // which are counted from 1904, as old Macs did
}

// readTable takes a file apart. What it is, is told by its content: names lie.
func readTable(data []byte) (table, *Problem) {
	switch {
	case len(data) > maxFile:
		return table{}, &Problem{Text: fmt.Sprintf("has %d MB, more than the %d that a site list may have; is it the right file?", len(data)>>20, maxFile>>20)}
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return readXLSX(data)
	case bytes.HasPrefix(data, []byte("\xD0\xCF\x11\xE0")):
		return table{}, &Problem{Text: "is an old or a password-protected Excel file; save it as .xlsx without a password, or as CSV UTF-8"}
	}
	text, problem := decodeText(data)
	if problem != nil {
		return table{}, problem
	}
	return readCSV(text)
}

// decodeText returns UTF-8 without a byte order mark.
func decodeText(data []byte) (string, *Problem) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")):
		data = data[3:]
	case bytes.HasPrefix(data, []byte("\xFF\xFE")):
		order, data = binary.LittleEndian, data[2:]
	case bytes.HasPrefix(data, []byte("\xFE\xFF")):
		order, data = binary.BigEndian, data[2:]
	case len(data) >= 4 && data[1] == 0 && data[3] == 0: // headings begin with ASCII in nearly all lists
		order = binary.LittleEndian
	case len(data) >= 4 && data[0] == 0 && data[2] == 0:
		order = binary.BigEndian
	}
	if order != nil {
		units := make([]uint16, len(data)/2)
		for i := range units {
			units[i] = order.Uint16(data[2*i:])
		}
		return string(utf16.Decode(units)), nil
	}
	if utf8.Valid(data) {
		return string(data), nil
	}
	line := 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[n:]
	}
	return "", &Problem{Row: line, Text: "is in an unknown encoding (not UTF-8; perhaps Windows-1258, TCVN3 or VNI); in Excel save it as \"CSV UTF-8\" or as .xlsx"}
}

func readCSV(text string) (table, *Problem) {
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, "\r", "\n") // old Macs
	}
	skipped := 0
	comma := separatorOf(text)
	// Excel reads, and some programs write, a first line that names the separator.
	if first, rest, ok := strings.Cut(text, "\n"); ok && len(first) >= 5 && strings.EqualFold(first[:4], "sep=") {
		comma, text, skipped = rune(first[4]), rest, 1
	}
	if comma != ',' && comma != ';' && comma != '\t' && comma != '|' {
		return table{}, &Problem{Row: 1, Text: fmt.Sprintf("separator %q: use a comma, a semicolon or a tab", comma)}
	}
	reader := csv.NewReader(strings.NewReader(text))
	reader.Comma = comma
	reader.FieldsPerRecord = -1
	var t table
	for {
		cells, err := reader.Read()
		if err == io.EOF {
			return t, nil
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			return table{}, &Problem{Row: wrong.StartLine + skipped, Text: fmt.Sprintf("quotes don't match (%v); put text with quotes in it in quotes, and double those inside it", wrong.Err)}
		}
		if err != nil {
			return table{}, &Problem{Text: err.Error()}
		}
		line, _ := reader.FieldPos(0)
		if problem := t.add(row{line + skipped, cells}); problem != nil {
			return table{}, problem
		}
	}
}

// separatorOf guesses the separator from the first line that has any: the one it has most of, outside quotes.
func separatorOf(text string) rune {
	for line := range strings.Lines(text) {
		var counts [3]int
		quoted := false
		for _, r := range line {
			if r == '"' {
				quoted = !quoted
			}
			if i := strings.IndexRune(",;\t", r); i >= 0 && !quoted {
				counts[i]++
			}
		}
		if most := slices.Max(counts[:]); most > 0 {
			return rune(",;\t"[slices.Index(counts[:], most)])
		}
	}
	return ','
}

// add keeps a row that is not empty, within bounds.
func (t *table) add(r row) *Problem {
	if r.empty() {
		return nil
	}
	for len(r.cells) > 0 && strings.TrimSpace(r.cells[len(r.cells)-1]) == "" {
		r.cells = r.cells[:len(r.cells)-1]
	}
	if len(r.cells) > maxColumns {
		return &Problem{Row: r.number, Text: fmt.Sprintf("has %d columns, at most %d are read; is it the right file?", len(r.cells), maxColumns)}
	}
	if len(t.rows) == maxRows {
		return &Problem{Row: r.number, Text: fmt.Sprintf("the list has more than %d rows; is it the right file?", maxRows)}
	}
	t.rows = append(t.rows, r)
	return nil
}

// readXLSX reads the first sheet that looks like a site list, or the first of all.
func readXLSX(data []byte) (t table, problem *Problem) {
	damaged := func(err any) *Problem {
		return &Problem{Text: fmt.Sprintf("can't be read as an Excel file (%v); open and save it again in Excel, or save it as CSV UTF-8", err)}
	}
	defer func() { // the library walks structures that the file dictates
		if p := recover(); p != nil {
			t, problem = table{}, damaged(p)
		}
	}()
	book, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{
		RawCellValue:   true,                                  // numbers as they are, not as a column happens to be formatted
		UnzipSizeLimit: maxUnzip, UnzipXMLSizeLimit: maxUnzip, // never a temporary file
	})
	if err != nil {
		return table{}, damaged(err)
	}
	defer book.Close()
	var first *table
	sheets := book.GetSheetList()
	for _, sheet := range sheets[:min(len(sheets), maxSheets)] {
		t, problem := readSheet(book, sheet)
		if problem != nil {
			return table{}, problem
		}
		if len(t.rows) == 0 {
			continue
		}
		if _, where, _, _ := findHeader(t.rows); where[colName] >= 0 {
			return t, nil
		}
		first = cmp.Or(first, &t)
	}
	if first == nil {
		return table{}, nil
	}
	return *first, nil
}

func readSheet(book *excelize.File, sheet string) (table, *Problem) {
	t := table{spreadsheet: true}
	if props, err := book.GetWorkbookProps(); err == nil && props.Date1904 != nil {
		t.date1904 = *props.Date1904
	}
	rows, err := book.Rows(sheet)
	if err != nil {
		return table{}, &Problem{Text: fmt.Sprintf("sheet %q can't be read: %v", sheet, err)}
	}
	defer rows.Close()
	for number := 1; rows.Next(); number++ {
		cells, err := rows.Columns()
		if err == nil {
			err = rows.Error()
		}
		if err != nil {
			return table{}, &Problem{Row: number, Text: fmt.Sprintf("sheet %q can't be read: %v", sheet, err)}
		}
		if problem := t.add(row{number, cells}); problem != nil {
			return table{}, problem
		}
	}
	return t, nil
}

// date reads a cell of the column valid_from.
func (t *table) date(cell string) (Date, error) {
	cell = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(cell, "Z"), " 00:00:00"), "T00:00:00")
	if days, err := strconv.ParseFloat(cell, 64); err == nil && t.spreadsheet && days >= 1 && days < 110_000 {
		if at, err := excelize.ExcelDateToTime(days, t.date1904); err == nil {
			return DateOf(at), nil
		}
	}
	return ParseDate(cell)
}

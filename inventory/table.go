package inventory

import (
	"bytes"
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

// Row is one row of a list.
type Row struct {
	Number int // as a spreadsheet or an editor shows it, from 1
	Cells  []string
	Hidden bool // a person who opens the file does not see it
}

func (r Row) empty() bool {
	return !slices.ContainsFunc(r.Cells, func(c string) bool { return strings.TrimSpace(c) != "" })
}

// Table is the rows of a list, or of one sheet of a workbook, that hold something.
type Table struct {
	Sheet  string // its name; "" for text files
	Hidden bool   // a person who opens the file does not see it
	Rows   []Row
	Merges []Merge // only of ReadTables

	spreadsheet bool // so dates may be day numbers
	date1904    bool // which are counted from 1904, as old Macs did
}

// Spreadsheet reports whether the table is a workbook's, where numbers are written as 12500000 or 1.25E+07 whatever
// the screen shows, and not a text file's.
func (t *Table) Spreadsheet() bool { return t.spreadsheet }

// Merge is a block of cells that are shown as one; its value is in the first. Rows are numbers as in Row, columns are
// counted from 0.
type Merge struct{ FirstRow, LastRow, FirstColumn, LastColumn int }

// readTable takes a file apart. What it is, is told by its content: names lie.
func readTable(data []byte) (Table, *Problem) {
	workbook, problem := isWorkbook(data)
	switch {
	case problem != nil:
		return Table{}, problem
	case workbook:
		return readXLSX(data)
	}
	return readText(data)
}

// ReadTables takes a file apart whose list goes over all sheets, as readTable does for one: all sheets that hold
// something, with their merged cells; of a text file the one table it is. The problem has no file name.
func ReadTables(data []byte) ([]Table, *Problem) {
	workbook, problem := isWorkbook(data)
	if problem != nil {
		return nil, problem
	}
	if workbook {
		return readSheets(data)
	}
	t, problem := readText(data)
	if problem != nil || len(t.Rows) == 0 {
		return nil, problem
	}
	return []Table{t}, nil
}

// isWorkbook tells Excel files from text.
func isWorkbook(data []byte) (bool, *Problem) {
	switch {
	case len(data) > maxFile:
		return false, &Problem{Text: fmt.Sprintf("has %d MB, more than the %d that a list may have; is it the right file?", len(data)>>20, maxFile>>20)}
	case bytes.HasPrefix(data, []byte("\xD0\xCF\x11\xE0")):
		return false, &Problem{Text: "is an old or a password-protected Excel file; save it as .xlsx without a password, or as CSV UTF-8"}
	}
	return bytes.HasPrefix(data, []byte("PK\x03\x04")), nil
}

func readText(data []byte) (Table, *Problem) {
	text, problem := decodeText(data)
	if problem != nil {
		return Table{}, problem
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

func readCSV(text string) (Table, *Problem) {
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
		return Table{}, &Problem{Row: 1, Text: fmt.Sprintf("separator %q: use a comma, a semicolon or a tab", comma)}
	}
	reader := csv.NewReader(strings.NewReader(text))
	reader.Comma = comma
	reader.FieldsPerRecord = -1
	var t Table
	for {
		cells, err := reader.Read()
		if err == io.EOF {
			return t, nil
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			return Table{}, &Problem{Row: wrong.StartLine + skipped, Text: fmt.Sprintf("quotes don't match (%v); put text with quotes in it in quotes, and double those inside it", wrong.Err)}
		}
		if err != nil {
			return Table{}, &Problem{Text: err.Error()}
		}
		line, _ := reader.FieldPos(0)
		if problem := t.add(Row{Number: line + skipped, Cells: cells}); problem != nil {
			return Table{}, problem
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
func (t *Table) add(r Row) *Problem {
	if r.empty() {
		return nil
	}
	for len(r.Cells) > 0 && strings.TrimSpace(r.Cells[len(r.Cells)-1]) == "" {
		r.Cells = r.Cells[:len(r.Cells)-1]
	}
	if len(r.Cells) > maxColumns {
		return &Problem{Row: r.Number, Text: fmt.Sprintf("has %d columns, at most %d are read; is it the right file?", len(r.Cells), maxColumns)}
	}
	if len(t.Rows) == maxRows {
		return &Problem{Row: r.Number, Text: fmt.Sprintf("the list has more than %d rows; is it the right file?", maxRows)}
	}
	t.Rows = append(t.Rows, r)
	return nil
}

// Date reads a cell that holds a day: as ParseDate does, and in a workbook also as a day number.
func (t *Table) Date(cell string) (Date, error) {
	cell = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(cell, "Z"), " 00:00:00"), "T00:00:00")
	if days, err := strconv.ParseFloat(cell, 64); err == nil && t.spreadsheet && days >= 1 && days < 110_000 {
		if at, err := excelize.ExcelDateToTime(days, t.date1904); err == nil {
			return DateOf(at), nil
		}
	}
	return ParseDate(cell)
}

// Package sheet writes tables for people who go on working with them in a spreadsheet: CSV that any program reads, and
// XLSX whose dates are dates and whose numbers are numbers.
//
// A CSV file is only text, and Excel guesses. What helps it is done here: a byte order mark, so that Vietnamese letters
// are not taken for Western ones; and an apostrophe before a text that a spreadsheet would take for a formula, since
// texts come from devices and from people's lists, and a formula can call out (CWE-1236). Excel splits the columns at
// the separator of the system's regional settings, which differs from office to office: XLSX is the format to give to
// people, CSV the one for programs.
package sheet

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"communewatch/inventory"

	"github.com/xuri/excelize/v2"
)

// Kind is what the cells of a column are.
type Kind uint8

// The kinds. The zero Kind is text.
const (
	Text         Kind = iota
	Number            // a whole number or a decimal one
	Money             // VND, whole
	Date              // a day
	Time              // a moment, shown in the sheet's zone
	Ratio             // 0..1, shown as a percentage
	Whole             // a whole number
	Decimal           // a number, shown with one digit
	Share             // 0..1, shown as a percentage with two digits
	Availability      // as Share, but what is below one is never shown as the whole
)

// Column is one column of a sheet.
type Column struct {
	Heading string
	Kind    Kind
	Width   float64 // in characters; 0: by the kind
}

// Sheet is one table.
type Sheet struct {
	Name    string // of the tab; at most 31 characters are kept
	Title   string // above the headings; may be empty
	Note    string // below the title, such as the day it was judged on; may be empty
	Columns []Column
	Rows    [][]any        // string, int, int64, float64, bool, inventory.Date, time.Time; nil is an empty cell
	Zone    *time.Location // of moments; nil: UTC
}

// Extension and media type of what is written.
const (
	CSVType  = "text/csv; charset=utf-8"
	XLSXType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
)

// WriteCSV writes the headings and rows, separated by separator: RFC 4180 with a byte order mark. Days are written as
// 2025-07-01, moments in ISO 8601, ratios as numbers from 0 to 1 with two digits, shares and availabilities with six.
func (s *Sheet) WriteCSV(w io.Writer, separator rune) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.Comma, out.UseCRLF = separator, true
	record := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		record[i] = defuse(c.Heading)
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for _, row := range s.Rows {
		for i := range record {
			record[i] = ""
			if i < len(row) {
				record[i] = s.plain(row[i])
				if v, ok := row[i].(float64); ok {
					record[i] = s.plain(round(exact(v), s.Columns[i].Kind))
				}
			}
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// round cuts a number to the digits that its kind has.
func round(v float64, k Kind) float64 {
	switch k {
	case Ratio: // whole percents, as screens show it
		return math.Round(1e2*v) / 1e2
	case Share:
		return math.Round(1e6*v) / 1e6
	case Availability:
		if v < 1 {
			return min(math.Round(1e6*v)/1e6, 0.999999)
		}
	}
	return v
}

// exact takes off what sums of floating-point numbers leave behind the last digit: 0.999999999999999 is one.
func exact(v float64) float64 {
	if math.Abs(v) < 1e3 {
		return math.Round(v*1e12) / 1e12
	}
	return v
}

func (s *Sheet) zone() *time.Location {
	if s.Zone == nil {
		return time.UTC
	}
	return s.Zone
}

// plain writes a cell as text.
func (s *Sheet) plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return defuse(v)
	case inventory.Date:
		return v.String()
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.In(s.zone()).Format(time.RFC3339)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// defuse keeps a text from being taken for a formula.
func defuse(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// widths of columns that do not say theirs, in characters.
var widths = map[Kind]float64{Text: 22, Number: 10, Money: 16, Date: 12, Time: 18, Ratio: 10, Whole: 10, Decimal: 12, Share: 12, Availability: 12}

// formats of the kinds, as people here write numbers and days. Excel shows the separators of its own language.
var formats = map[Kind]string{Number: "#,##0.##", Money: "#,##0", Date: "dd/mm/yyyy", Time: "dd/mm/yyyy hh:mm", Ratio: "0%",
	Whole: "#,##0", Decimal: "#,##0.0", Share: "0.00%",
	Availability: "[<0.9999]0.00%;[<1]0.0000%;0%"}

// WriteXLSX writes sheets into one workbook: headings frozen with a filter on them, days as days, numbers as numbers.
func WriteXLSX(w io.Writer, sheets ...*Sheet) error {
	f := excelize.NewFile()
	defer f.Close()
	used := map[string]bool{}
	for i, s := range sheets {
		name := tabName(s.Name, used)
		if i == 0 {
			if err := f.SetSheetName("Sheet1", name); err != nil {
				return err
			}
		} else if _, err := f.NewSheet(name); err != nil {
			return err
		}
		if err := s.fill(f, name); err != nil {
			return fmt.Errorf("sheet %q: %w", name, err)
		}
	}
	return f.Write(w)
}

// maxTab is how many characters Excel takes for the name of a sheet.
const maxTab = 31

// tabName makes a name that Excel takes, and that no other sheet has.
func tabName(name string, used map[string]bool) string {
	name = strings.Trim(strings.Map(func(r rune) rune {
		if strings.ContainsRune(`:\/?*[]`, r) || r < ' ' || r == utf8.RuneError {
			return ' '
		}
		return r
	}, name), " '")
	if name == "" {
		name = "1"
	}
	cut := func(n int) string {
		r := []rune(name)
		return strings.TrimSpace(string(r[:min(len(r), n)]))
	}
	out := cut(maxTab)
	for n := 2; used[strings.ToLower(out)]; n++ {
		suffix := " " + strconv.Itoa(n)
		out = cut(maxTab-len(suffix)) + suffix
	}
	used[strings.ToLower(out)] = true
	return out
}

// page says how large a sheet is and how it comes on paper: across, and as wide as its columns. The stream writer takes
// this before it begins.
func (s *Sheet) page(f *excelize.File, name string, rows int) error {
	last, err := excelize.CoordinatesToCellName(max(1, len(s.Columns)), rows)
	if err != nil {
		return err
	}
	across, a4, wide, high, fit := "landscape", 9, 1, 0, true
	return errors.Join(f.SetSheetDimension(name, "A1:"+last), f.SetSheetProps(name, &excelize.SheetPropsOptions{FitToPage: &fit}),
		f.SetPageLayout(name, &excelize.PageLayoutOptions{Orientation: &across, Size: &a4, FitToWidth: &wide, FitToHeight: &high}))
}

// fill streams a sheet: the order of calls (page, widths and panes, rows, filter, flush) is what the stream writer wants.
func (s *Sheet) fill(f *excelize.File, name string) error {
	heading, err := f.NewStyle(&excelize.Style{
		Font: &excelize.Font{Bold: true}, Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"DCECF4"}},
		Alignment: &excelize.Alignment{WrapText: true, Vertical: "center"},
		Border:    []excelize.Border{{Type: "bottom", Color: "0A6187", Style: 1}},
	})
	if err != nil {
		return err
	}
	title, err := f.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true, Size: 14}})
	if err != nil {
		return err
	}
	styles := make([]int, len(s.Columns))
	for i, c := range s.Columns {
		style := excelize.Style{Alignment: &excelize.Alignment{Vertical: "top", WrapText: c.Kind == Text}}
		if format, ok := formats[c.Kind]; ok {
			style.CustomNumFmt = &format
		}
		if styles[i], err = f.NewStyle(&style); err != nil {
			return err
		}
	}
	headings := 1
	for _, text := range []string{s.Title, s.Note} {
		if text != "" {
			headings++
		}
	}
	if err := s.page(f, name, headings+len(s.Rows)); err != nil {
		return err
	}
	out, err := f.NewStreamWriter(name)
	if err != nil {
		return err
	}
	for i, c := range s.Columns {
		width := c.Width
		if width == 0 {
			width = widths[c.Kind]
		}
		if err := out.SetColWidth(i+1, i+1, width); err != nil {
			return err
		}
	}
	at := 1
	head := func(text string, style int) error {
		if text == "" {
			return nil
		}
		cell, _ := excelize.CoordinatesToCellName(1, at) // at is in bounds
		at++
		return out.SetRow(cell, []any{excelize.Cell{StyleID: style, Value: text}})
	}
	topLeft, _ := excelize.CoordinatesToCellName(1, headings+1)
	if err := out.SetPanes(&excelize.Panes{Freeze: true, YSplit: headings, TopLeftCell: topLeft, ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	if err := head(s.Title, title); err != nil {
		return err
	}
	if err := head(s.Note, 0); err != nil {
		return err
	}
	cells := make([]any, len(s.Columns))
	for i, c := range s.Columns {
		cells[i] = excelize.Cell{StyleID: heading, Value: c.Heading}
	}
	first, _ := excelize.CoordinatesToCellName(1, at)
	if err := out.SetRow(first, cells); err != nil {
		return err
	}
	for _, row := range s.Rows {
		at++
		for i := range cells {
			cells[i] = excelize.Cell{StyleID: styles[i]}
			if i < len(row) {
				cells[i] = excelize.Cell{StyleID: styles[i], Value: s.value(row[i])}
			}
		}
		cell, err := excelize.CoordinatesToCellName(1, at)
		if err != nil {
			return err
		}
		if err := out.SetRow(cell, cells); err != nil {
			return err
		}
	}
	if len(s.Columns) > 0 {
		last, err := excelize.CoordinatesToCellName(len(s.Columns), at)
		if err != nil {
			return err
		}
		// Before Flush, which writes the sheet down: what is set after it is lost without a word.
		if err := f.AutoFilter(name, first+":"+last, nil); err != nil {
			return err
		}
	}
	return out.Flush()
}

// value is a cell as the workbook takes it.
func (s *Sheet) value(v any) any {
	switch v := v.(type) {
	case string:
		return clip(v)
	case inventory.Date:
		if v.IsZero() {
			return nil
		}
		return v.Time
	case time.Time:
		if v.IsZero() {
			return nil
		}
		// Spreadsheets know no zones: the day and hour of the zone, as if they were UTC's.
		l := v.In(s.zone())
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
	case float64:
		return exact(v)
	}
	return v
}

// clip cuts a text to what a cell holds.
func clip(s string) string {
	if utf8.RuneCountInString(s) <= excelize.TotalCellChars {
		return s
	}
	return string([]rune(s)[:excelize.TotalCellChars])
}

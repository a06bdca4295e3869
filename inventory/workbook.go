package inventory

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/xuri/excelize/v2"
)

// maxMerges bounds the merged blocks of a sheet that are looked at; more is a drawing, not a list.
const maxMerges = 20_000

// openBook opens a workbook and hands it to read, whose panics become a problem: the library walks structures that the
// file dictates.
func openBook(data []byte, read func(*excelize.File) *Problem) (problem *Problem) {
	damaged := func(err any) *Problem {
		return &Problem{Text: fmt.Sprintf("can't be read as an Excel file (%v); open and save it again in Excel, or save it as CSV UTF-8", err)}
	}
	defer func() {
		if p := recover(); p != nil {
			problem = damaged(p)
		}
	}()
	book, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{
		RawCellValue:   true,                                  // numbers as they are, not as a column happens to be formatted
		UnzipSizeLimit: maxUnzip, UnzipXMLSizeLimit: maxUnzip, // never a temporary file
	})
	if err != nil {
		return damaged(err)
	}
	defer book.Close()
	return read(book)
}

// readXLSX reads the first sheet that looks like a site list, or the first of all.
func readXLSX(data []byte) (Table, *Problem) {
	var first *Table
	problem := openBook(data, func(book *excelize.File) *Problem {
		sheets := book.GetSheetList()
		for _, sheet := range sheets[:min(len(sheets), maxSheets)] {
			t, problem := readSheet(book, sheet)
			if problem != nil {
				return problem
			}
			if len(t.Rows) == 0 {
				continue
			}
			if _, where, _, _ := findHeader(t.Rows); where[colName] >= 0 {
				first = &t
				break
			}
			first = cmp.Or(first, &t)
		}
		return nil
	})
	if problem != nil || first == nil {
		return Table{}, problem
	}
	return *first, nil
}

// readSheets reads all sheets that hold something.
func readSheets(data []byte) ([]Table, *Problem) {
	var tables []Table
	problem := openBook(data, func(book *excelize.File) *Problem {
		sheets := book.GetSheetList()
		if len(sheets) > maxSheets {
			return &Problem{Text: fmt.Sprintf("has %d sheets, at most %d are read; take out those that are no list", len(sheets), maxSheets)}
		}
		rows := 0
		for _, sheet := range sheets {
			t, problem := readSheet(book, sheet)
			if problem != nil {
				problem.Sheet = sheet
				return problem
			}
			if len(t.Rows) == 0 {
				continue
			}
			if rows += len(t.Rows); rows > maxRows {
				return &Problem{Text: fmt.Sprintf("the sheets have more than %d rows; is it the right file?", maxRows)}
			}
			if visible, err := book.GetSheetVisible(sheet); err == nil {
				t.Hidden = !visible
			}
			t.Merges = mergesOf(book, sheet)
			tables = append(tables, t)
		}
		return nil
	})
	if problem != nil {
		return nil, problem
	}
	return tables, nil
}

func readSheet(book *excelize.File, sheet string) (Table, *Problem) {
	t := Table{Sheet: sheet, spreadsheet: true}
	if props, err := book.GetWorkbookProps(); err == nil && props.Date1904 != nil {
		t.date1904 = *props.Date1904
	}
	rows, err := book.Rows(sheet)
	if err != nil {
		return Table{}, &Problem{Text: fmt.Sprintf("sheet %q can't be read: %v", sheet, err)}
	}
	defer rows.Close()
	for number := 1; rows.Next(); number++ {
		hidden := rows.GetRowOpts().Hidden
		cells, err := rows.Columns()
		if err == nil {
			err = rows.Error()
		}
		if err != nil {
			return Table{}, &Problem{Row: number, Text: fmt.Sprintf("sheet %q can't be read: %v", sheet, err)}
		}
		if problem := t.add(Row{Number: number, Cells: cells, Hidden: hidden}); problem != nil {
			return Table{}, problem
		}
	}
	return t, nil
}

// mergesOf returns the merged blocks of a sheet. The library's own reading of them spreads each block over a matrix of
// its size, so that one reference to all cells of a sheet would take all memory; here they are taken from the text
// behind the sheet's cells. What can't be found out is no merge: it only saves people typing.
func mergesOf(book *excelize.File, sheet string) []Merge {
	part := func(name string) []byte {
		v, _ := book.Pkg.Load(name)
		data, _ := v.([]byte)
		return data
	}
	var workbook struct {
		Sheets []struct {
			Name string `xml:"name,attr"`
			ID   string `xml:"http://schemas.openxmlformats.org/officeDocument/2006/relationships id,attr"`
		} `xml:"sheets>sheet"`
	}
	var relations struct {
		Relations []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
	if xml.Unmarshal(part("xl/workbook.xml"), &workbook) != nil || xml.Unmarshal(part("xl/_rels/workbook.xml.rels"), &relations) != nil {
		return nil
	}
	var text []byte
	for _, s := range workbook.Sheets {
		for _, r := range relations.Relations {
			if s.Name != sheet || r.ID != s.ID {
				continue
			}
			if name, absolute := strings.CutPrefix(r.Target, "/"); absolute {
				text = part(name)
			} else {
				text = part(path.Join("xl", r.Target))
			}
		}
	}
	if at := bytes.LastIndex(text, []byte("sheetData>")); at >= 0 {
		text = text[at:]
	}
	var merges []Merge
	for _, found := range regexp.MustCompile(`mergeCell [^<>]*\bref="([A-Z]{1,3}[0-9]{1,7}):([A-Z]{1,3}[0-9]{1,7})"`).FindAllSubmatch(text, maxMerges) {
		c1, r1, err1 := excelize.CellNameToCoordinates(string(found[1]))
		c2, r2, err2 := excelize.CellNameToCoordinates(string(found[2]))
		if err1 != nil || err2 != nil {
			continue
		}
		merges = append(merges, Merge{min(r1, r2), max(r1, r2), min(c1, c2) - 1, max(c1, c2) - 1})
	}
	return merges
}

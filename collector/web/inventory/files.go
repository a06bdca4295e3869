package inventory

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"communewatch/inventory/sheet"
)

// filler makes the sheets of a file.
type filler func(ctx context.Context, at *page) ([]*sheet.Sheet, error)

// sheet begins a sheet that says what it is, of what day and of how much.
func (p *page) sheet(heading string, rows int) *sheet.Sheet {
	title := p.T(heading)
	if p.Title != "" {
		title += " – " + p.Title
	}
	note := p.T("inventory.as_of_note", "date", p.DayText(p.AsOf), "now", p.Moment(p.Now), "n", p.Count(rows))
	for _, c := range p.Chips() {
		note += " · " + p.T(c.Key) + ": " + c.Label()
	}
	return &sheet.Sheet{Name: p.T(heading), Title: title, Note: note, Zone: p.Zone, Rows: make([][]any, 0, rows)}
}

// csv answers with the first sheet as CSV, separated by commas, or by semicolons for a spreadsheet that wants those.
func (p *Pages) csv(path string, fill filler) http.HandlerFunc {
	return p.file(path, ".csv", sheet.CSVType, fill, func(out *bytes.Buffer, at *page, sheets []*sheet.Sheet) error {
		separator := ','
		if at.Semicolon {
			separator = ';'
		}
		return sheets[0].WriteCSV(out, separator)
	})
}

func (p *Pages) xlsx(path string, fill filler) http.HandlerFunc {
	return p.file(path, ".xlsx", sheet.XLSXType, fill, func(out *bytes.Buffer, _ *page, sheets []*sheet.Sheet) error {
		return sheet.WriteXLSX(out, sheets...)
	})
}

// file makes the whole file before its first byte is sent, so that one that cannot be made is not taken for a short one.
func (p *Pages) file(path, extension, mime string, fill filler, write func(*bytes.Buffer, *page, []*sheet.Sheet) error) http.HandlerFunc {
	heading := "inventory.table"
	if rest, ok := strings.CutPrefix(path, "/inventory/"); ok {
		heading = "inventory." + rest
	}
	return func(rw http.ResponseWriter, r *http.Request) {
		at, ok := p.open(rw, r, heading)
		if !ok {
			return
		}
		sheets, err := fill(r.Context(), &at)
		var body bytes.Buffer
		if err == nil {
			err = write(&body, &at, sheets)
		}
		if err != nil {
			p.fail(rw, r, at, err)
			return
		}
		h := rw.Header()
		h.Set("Content-Type", mime)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Disposition", `attachment; filename="`+at.T(heading+"_file")+"-"+at.AsOf.String()+extension+`"`)
		_, _ = rw.Write(body.Bytes()) // the reader has gone; there is nobody to tell
	}
}

// Package columns is the table of devices by its columns: what each holds, how it is shown and sorted, which of them a
// reader wants to see, and what a file made of them looks like.
package columns

import (
	"cmp"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"communewatch/collector/stock"
	"communewatch/collector/web/inventory/voice"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
)

// Column is one Column of the table of devices, on screen and in the files made of it.
type Column struct {
	Key   string // in the address, and the heading's word: "device.KEY"
	Kind  sheet.Kind
	shown bool    // unless the reader chooses
	Width float64 // in a file; 0: by the kind
	value func(v *voice.Voice, r *stock.Row) any
	rank  func(r *stock.Row) int                           // what to sort by, where that is not the value
	shape func(v *voice.Voice, r *stock.Row) template.HTML // on screen, where that is more than the value
}

// All lists the columns in the order in which they stand.
func All() []Column {
	text := func(key string, width float64, get func(*stock.Row) string) Column {
		return Column{Key: key, Width: width, value: func(_ *voice.Voice, r *stock.Row) any { return get(r) }}
	}
	worded := func(key string, width float64, get func(*voice.Voice, *stock.Row) string) Column {
		return Column{Key: key, Width: width, value: func(v *voice.Voice, r *stock.Row) any { return get(v, r) }}
	}
	of := func(key string, kind sheet.Kind, get func(*stock.Row) any) Column {
		return Column{Key: key, Kind: kind, value: func(_ *voice.Voice, r *stock.Row) any { return get(r) }}
	}
	shown := func(c Column) Column { c.shown = true; return c }

	state := shown(worded("state", 14, func(v *voice.Voice, r *stock.Row) string { return v.StateText(r.State) }))
	state.shape = func(v *voice.Voice, r *stock.Row) template.HTML { return v.State(r.State) }
	standing := worded("standing", 16, func(v *voice.Voice, r *stock.Row) string { return v.StandingText(r.Standing) })
	standing.shape = func(v *voice.Voice, r *stock.Row) template.HTML { return v.Standing(r.Standing) }
	legal := shown(worded("legal", 24, func(v *voice.Voice, r *stock.Row) string { return v.LegalText(r.Legal) }))
	legal.shape = func(v *voice.Voice, r *stock.Row) template.HTML { return v.Legal(r.Legal) }
	version := shown(text("version", 20, func(r *stock.Row) string { return r.Version }))
	version.shape = func(v *voice.Voice, r *stock.Row) template.HTML { // a file has a column for either
		return template.HTML(template.HTMLEscapeString(cmp.Or(r.Version, r.OS, "–")))
	}
	band := worded("band", 18, func(v *voice.Voice, r *stock.Row) string { return v.Band(r.Band) })
	band.rank = func(r *stock.Row) int { return -r.Score }
	return []Column{
		text("id", 9, func(r *stock.Row) string { return r.ID }),
		text("district", 16, func(r *stock.Row) string { return r.District }),
		shown(text("site", 20, func(r *stock.Row) string { return r.SiteName })),
		worded("class", 18, func(v *voice.Voice, r *stock.Row) string { return v.Class(r.Class) }),
		text("vendor", 14, func(r *stock.Row) string { return r.Vendor }),
		text("model", 24, func(r *stock.Row) string { return r.Model }),
		text("hardware", 10, func(r *stock.Row) string { return r.Hardware }),
		version,
		text("os", 24, func(r *stock.Row) string { return r.OS }),
		text("serial", 20, func(r *stock.Row) string { return r.Serial }),
		text("name", 18, func(r *stock.Row) string { return r.Name }),
		text("address", 15, func(r *stock.Row) string { return r.Address }),
		text("mac", 18, func(r *stock.Row) string { return r.MAC }),
		standing,
		state,
		shown(text("reason", 52, func(r *stock.Row) string { return r.Reason })),
		of("support_ends", sheet.Date, func(r *stock.Row) any { return r.SupportEnds }),
		shown(of("hardware_ends", sheet.Date, func(r *stock.Row) any { return r.HardwareEnds })), // the software's stands in the reason
		of("software_ends", sheet.Date, func(r *stock.Row) any { return r.SoftwareEnds }),
		legal,
		text("legal_reason", 52, func(r *stock.Row) string { return r.LegalReason }),
		shown(worded("action", 20, func(v *voice.Voice, r *stock.Row) string { return v.Action(r.Action) })),
		shown(of("score", sheet.Number, func(r *stock.Row) any { return r.Score })),
		band,
		worded("replacement", 30, func(v *voice.Voice, r *stock.Row) string { return v.Replacement(r.Replace) }),
		text("evidence", 10, func(r *stock.Row) string { return r.Evidence }),
		of("completeness", sheet.Ratio, func(r *stock.Row) any { return r.Completeness }),
		shown(worded("phase", 20, func(v *voice.Voice, r *stock.Row) string { return v.Phase(r.Phase) })),
		text("contract", 18, func(r *stock.Row) string { return r.Contract }),
		of("price", sheet.Money, func(r *stock.Row) any { return Priced(r.Price) }),
		of("in_service", sheet.Date, func(r *stock.Row) any { return r.InService }),
		of("warranty", sheet.Date, func(r *stock.Row) any { return r.WarrantyUntil }),
		of("link", sheet.Ratio, func(r *stock.Row) any {
			if r.Link == "" {
				return nil
			}
			return r.LinkConfidence
		}),
		of("failures", sheet.Number, func(r *stock.Row) any { return r.Failures }),
		of("first_seen", sheet.Time, func(r *stock.Row) any { return r.FirstSeen }),
		of("last_seen", sheet.Time, func(r *stock.Row) any { return r.LastSeen }),
	}
}

// Priced is a price as a cell; nothing where it is not known.
func Priced(vnd int64) any {
	if vnd == 0 {
		return nil
	}
	return vnd
}

// columnCookie remembers which columns a reader chose.
const columnCookie = "columns"

// Chosen returns the columns that a reader wants: by the address, else as chosen before, else those that are shown
// unless somebody chooses. A choice in the address is remembered; "default" forgets it.
func Chosen(rw http.ResponseWriter, r *http.Request) (list []Column, byReader bool) {
	keys := r.URL.Query()["col"]
	remember := len(keys) > 0
	if !remember {
		if c, err := r.Cookie(columnCookie); err == nil {
			keys = []string{c.Value}
		}
	}
	var asked []string
	for _, k := range keys {
		asked = append(asked, strings.Split(k, ".")...)
	}
	var usual []Column
	for _, c := range All() {
		if slices.Contains(asked, c.Key) {
			list = append(list, c)
		}
		if c.shown {
			usual = append(usual, c)
		}
	}
	if len(list) == 0 {
		list = usual
	} else {
		byReader = true
	}
	if remember && rw != nil {
		cookie := http.Cookie{Name: columnCookie, Path: "/inventory", MaxAge: int(365 * 24 * time.Hour / time.Second), SameSite: http.SameSiteLaxMode, HttpOnly: true}
		if byReader {
			names := make([]string, len(list))
			for i, c := range list {
				names[i] = c.Key
			}
			cookie.Value = strings.Join(names, ".")
		} else {
			cookie.MaxAge = -1
		}
		http.SetCookie(rw, &cookie)
	}
	return list, byReader
}

// Cell shows a value on screen.
func (c *Column) Cell(v *voice.Voice, r *stock.Row) template.HTML {
	if c.shape != nil {
		return c.shape(v, r)
	}
	return template.HTML(template.HTMLEscapeString(text(v, c.Kind, c.value(v, r))))
}

// text writes a value as text.
func text(v *voice.Voice, kind sheet.Kind, value any) string {
	switch x := value.(type) {
	case string:
		if x == "" {
			return "–"
		}
		return x
	case int:
		return v.Count(x)
	case int64:
		return v.Money(x)
	case float64:
		if kind == sheet.Ratio {
			return v.Sure(x)
		}
		return v.Number(x, 2)
	case inventory.Date:
		return v.DayText(x)
	case time.Time:
		return v.Moment(x)
	}
	return "–"
}

// sortKey is what the address says to sort by, and whether from the largest.
func sortKey(asked string) (key string, down bool) {
	key, down = strings.CutPrefix(asked, "-")
	return key, down
}

// Sort sorts rows by a column; what is empty comes last either way. Without a Column that is known they stay as they
// are, the most urgent first.
func Sort(v *voice.Voice, rows []stock.Row, asked string) {
	key, down := sortKey(asked)
	compare := comparing(v, key)
	if compare == nil {
		return
	}
	slices.SortStableFunc(rows, func(a, b stock.Row) int {
		n, empty := compare(&a, &b)
		if down && !empty {
			return -n
		}
		return n
	})
}

// comparing compares rows by a column; empty tells that the order is due to one being empty.
func comparing(v *voice.Voice, key string) func(a, b *stock.Row) (n int, empty bool) {
	if key == "device" {
		return func(a, b *stock.Row) (int, bool) {
			return texts(a.Vendor+" "+a.Model, b.Vendor+" "+b.Model)
		}
	}
	i := slices.IndexFunc(All(), func(c Column) bool { return c.Key == key })
	if i < 0 {
		return nil
	}
	c := All()[i]
	return func(a, b *stock.Row) (int, bool) {
		if c.rank != nil {
			return cmp.Compare(c.rank(a), c.rank(b)), false
		}
		switch x := c.value(v, a).(type) {
		case string:
			y, _ := c.value(v, b).(string)
			return texts(x, y)
		case int:
			y, _ := c.value(v, b).(int)
			return cmp.Compare(x, y), false
		case int64:
			y, known := c.value(v, b).(int64)
			return last(false, !known, cmp.Compare(x, y))
		case float64:
			y, known := c.value(v, b).(float64)
			return last(false, !known, cmp.Compare(x, y))
		case inventory.Date:
			y, _ := c.value(v, b).(inventory.Date)
			return last(x.IsZero(), y.IsZero(), x.Compare(y.Time))
		case time.Time:
			y, _ := c.value(v, b).(time.Time)
			return last(x.IsZero(), y.IsZero(), x.Compare(y))
		}
		return last(true, c.value(v, b) == nil, 0)
	}
}

func texts(a, b string) (int, bool) {
	return last(strings.TrimSpace(a) == "", strings.TrimSpace(b) == "", cmp.Or(strings.Compare(inventory.Fold(a), inventory.Fold(b)), strings.Compare(a, b)))
}

func last(a, b bool, n int) (int, bool) {
	switch {
	case a && b:
		return 0, true
	case a:
		return 1, true
	case b:
		return -1, true
	}
	return n, false
}

// Sheet fills a sheet with rows.
func Sheet(into *sheet.Sheet, v *voice.Voice, rows []stock.Row, list []Column) {
	for _, c := range list {
		into.Columns = append(into.Columns, sheet.Column{Heading: v.T("device." + c.Key), Kind: c.Kind, Width: c.Width})
	}
	for i := range rows {
		cells := make([]any, len(list))
		for j := range list {
			cells[j] = list[j].value(v, &rows[i])
		}
		into.Rows = append(into.Rows, cells)
	}
}

// Named returns the columns of those keys, in the order of All.
func Named(keys []string) (out []Column) {
	for _, c := range All() {
		if slices.Contains(keys, c.Key) {
			out = append(out, c)
		}
	}
	return out
}

// Numeric reports whether a column holds numbers or days, which stand to the right.
func (c *Column) Numeric() bool {
	return c.Kind != sheet.Text && c.Kind != sheet.Date && c.Kind != sheet.Time
}

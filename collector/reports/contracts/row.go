package contracts

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"communewatch/collector/reports"
	"communewatch/inventory"
	"communewatch/inventory/purchases/cells"
	"communewatch/inventory/purchases/headings"
	"communewatch/probes"
)

// row reads one line.
func (r *reader) row(row inventory.Row) {
	told := len(r.problems)
	var a reports.Agreement
	c := &a.Contract
	var from, to inventory.Date
	from, c.From = r.day(row, colFrom)
	to, c.To = r.day(row, colTo)
	if !to.IsZero() && to.Before(from.Time) {
		r.problem(row.Number, written[colTo], "%s is before the contract begins, %s; correct one of them", c.To, c.From)
	}
	a.Site = r.site(row, from)
	a.Layer = r.layer(row)
	if c.Provider = r.text(row, colProvider); c.Provider == "" {
		r.problem(row.Number, written[colProvider], "is empty; write who provides the line")
	}
	c.Number = r.text(row, colNumber)
	c.DownMbps, c.UpMbps = r.speeds(row)
	c.Monthly = r.monthly(row)
	c.Profile = r.profile(row, a.Layer)
	if len(r.problems) > told {
		return
	}
	k := key{a.Site, a.Layer, c.From}
	if first, twice := r.taken[k]; twice {
		r.problem(row.Number, "", "row %d is of the same line from the same day; keep one of them", first.row)
		return
	}
	r.taken[k] = entry{r.sheet, row.Number, *c}
	r.agreements = append(r.agreements, a)
}

// site finds the office. A code is surer than a name.
func (r *reader) site(row inventory.Row, from inventory.Date) string {
	code, name := r.text(row, colSiteCode), r.text(row, colSite)
	text, c := code, colSiteCode
	if text == "" {
		text, c = name, colSite
	}
	if text == "" {
		r.problem(row.Number, written[colSite], "is empty; write the office's id, code or name")
		return ""
	}
	id, err := r.places.Find(text, r.text(row, colParent), from)
	if err != nil {
		r.problem(row.Number, written[c], "%v", err)
	}
	return id
}

// layers is what people call the two kinds of lines that are bought.
var layers = map[string]probes.Layer{
	"broadband": probes.LayerBroadband, "internet": probes.LayerBroadband, "cap quang": probes.LayerBroadband, "bang rong": probes.LayerBroadband,
	"internet cap quang": probes.LayerBroadband, "cap quang internet": probes.LayerBroadband, "internet bang rong": probes.LayerBroadband,
	"bang rong co dinh": probes.LayerBroadband, "ftth": probes.LayerBroadband, "duong internet": probes.LayerBroadband, "mang internet": probes.LayerBroadband,
	"dedicated": probes.LayerDedicated, "tslcd": probes.LayerDedicated, "chuyen dung": probes.LayerDedicated, "mang chuyen dung": probes.LayerDedicated,
	"truyen so lieu chuyen dung": probes.LayerDedicated, "mang truyen so lieu chuyen dung": probes.LayerDedicated, "mang tslcd": probes.LayerDedicated,
	"kenh tslcd": probes.LayerDedicated, "kenh truyen so lieu chuyen dung": probes.LayerDedicated, "duong truyen so lieu chuyen dung": probes.LayerDedicated,
}

func (r *reader) layer(row inventory.Row) probes.Layer {
	text := r.text(row, colLayer)
	l, ok := layers[headings.Fold(text)]
	if !ok {
		r.problem(row.Number, written[colLayer], "%s is not a kind of line; write Internet cáp quang (broadband) or Mạng TSLCD (dedicated)", inventory.Quote(text))
	}
	return l
}

func (r *reader) day(row inventory.Row, c column) (inventory.Date, string) {
	text := r.text(row, c)
	d, roughly, err := cells.Day(r.t, text)
	switch {
	case err != nil:
		r.problem(row.Number, written[c], "%v", err)
	case roughly:
		r.problem(row.Number, written[c], "%s is no day; write the day too, such as 01/03/2026", inventory.Quote(text))
	default:
		return d, d.String()
	}
	return inventory.Date{}, ""
}

// maxMbps is more than any office gets.
const maxMbps = 400_000

// speed is a number with at most two decimals, so that "1.000" is never taken for one, and a unit.
var speed = regexp.MustCompile(`^([0-9]{1,6})(?:[.,]([0-9]{1,2}))? ?(mbps|mb/s|mbit/s|m|gbps|gb/s|gbit/s|g|kbps|kb/s|kbit/s|k)?$`)

// parseSpeed reads a speed in Mbit/s.
func parseSpeed(text string) (float64, error) {
	found := speed.FindStringSubmatch(inventory.Fold(text))
	if found == nil {
		return 0, fmt.Errorf("%s is not a speed; write Mbit/s in digits, such as 300 or 1000", inventory.Quote(text))
	}
	v, err := strconv.ParseFloat(found[1]+"."+found[2]+"0", 64)
	if err != nil {
		return 0, err
	}
	switch {
	case strings.HasPrefix(found[3], "g"):
		v *= 1000
	case strings.HasPrefix(found[3], "k"):
		v /= 1000
	}
	if v <= 0 || v > maxMbps {
		return 0, fmt.Errorf("%s is not a speed between 0 and %d Mbit/s", inventory.Quote(text), maxMbps)
	}
	return v, nil
}

// speeds reads the speeds down and up; 0 where the list does not say.
func (r *reader) speeds(row inventory.Row) (down, up float64) {
	read := func(c column, text string) float64 {
		if text == "" {
			return 0
		}
		v, err := parseSpeed(text)
		if err != nil {
			r.problem(row.Number, written[c], "%v", err)
		}
		return v
	}
	if both := r.text(row, colSpeed); both != "" {
		// "100/50" is down and up; "Mb/s" has a stroke of its own.
		folded := strings.NewReplacer("mb/s", "mbps", "mbit/s", "mbps", "gb/s", "gbps", "gbit/s", "gbps", "kb/s", "kbps", "kbit/s", "kbps").Replace(inventory.Fold(both))
		if first, second, ok := strings.Cut(folded, "/"); ok {
			return read(colSpeed, strings.TrimSpace(first)), read(colSpeed, strings.TrimSpace(second))
		}
		v := read(colSpeed, both)
		return v, v
	}
	return read(colDown, r.text(row, colDown)), read(colUp, r.text(row, colUp))
}

// oneGroup is a price in thousands of đồng as Vietnamese lists write it, 1.250: no line costs one and a quarter of them.
var oneGroup = regexp.MustCompile(`^[0-9]{1,3}[.,][0-9]{3}$`)

func (r *reader) monthly(row inventory.Row) int64 {
	text := r.text(row, colMonthly)
	if r.money.Unit == 1000 && oneGroup.MatchString(text) {
		text = strings.NewReplacer(".", "", ",", "").Replace(text)
	}
	v, err := r.money.Parse(text)
	if err != nil {
		r.problem(row.Number, r.monthlyHeading, "%v", err)
	}
	return v
}

// profile checks that there is such a profile, and that it is for such a line. Without profiles in the settings the name
// is kept for later.
func (r *reader) profile(row inventory.Row, layer probes.Layer) string {
	name := r.text(row, colProfile)
	if name == "" {
		return ""
	}
	if len(r.o.Profiles) == 0 {
		r.warn(row.Number, written[colProfile], "the settings name no profiles (reports.profiles), so nothing is held against %s yet", inventory.Quote(name))
		return name
	}
	for _, p := range r.o.Profiles {
		if p.Name != name {
			continue
		}
		if layer.Valid() && p.Layer != layer {
			r.problem(row.Number, written[colProfile], "%s is a profile of %s lines, not of %s ones", inventory.Quote(name), p.Layer, layer)
		}
		return name
	}
	var have []string
	for _, p := range r.o.Profiles {
		have = append(have, inventory.Quote(p.Name))
	}
	slices.Sort(have)
	r.problem(row.Number, written[colProfile], "%s is no profile; there are %s", inventory.Quote(name), strings.Join(have[:min(len(have), 10)], ", "))
	return name
}

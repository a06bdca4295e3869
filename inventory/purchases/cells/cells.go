// Package cells reads the cells of purchase lists: prices, quantities, days, warranties, serials, and what kind of
// equipment a text names. It reads what can be read in one way only; everything else is an error that tells the fix.
package cells

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"communewatch/inventory"
	"communewatch/inventory/identity"
)

// Bounds of values.
const (
	MaxPrice    = 10_000_000_000_000 // đồng: more than all the equipment of a province
	minPrice    = 1_000              // đồng: below it a price is in thousands or millions
	maxQuantity = 10_000             // units of one row
	maxSerial   = 64                 // characters
	maxMonths   = 240
	minYear     = 1990
	maxYear     = 2100
)

// Money reads the prices of one list.
type Money struct {
	Spreadsheet bool  // a cell may be a number as workbooks keep them: 12500000.4, 1.25E+07
	Unit        int64 // đồng per 1: 1, 1,000 or 1,000,000, as the heading says; zero: 1
}

// ScaleOf returns what "nghìn đồng", "triệu" and their like multiply by; 1 for đồng, and 0 for other words.
func ScaleOf(words string) int64 {
	switch strings.Join(strings.Fields(strings.NewReplacer(".", " ", "₫", " d ", ":", " ").Replace(inventory.Fold(words))), " ") {
	case "", "d", "dong", "vnd", "vn dong", "dong vn", "vnd chiec", "dong viet nam", "viet nam dong":
		return 1
	case "nghin", "ngan", "nghin dong", "ngan dong", "1000 d", "1 000 d", "1000 dong", "1 000 dong", "nghin d", "ngan d", "1000 vnd", "1 000 vnd", "k", "nghin vnd", "000 d", "000 dong":
		return 1_000
	case "trieu", "tr", "trieu dong", "trd", "tr d", "tr dong", "trieu d", "trieu vnd":
		return 1_000_000
	case "ty", "ti", "ty dong", "ti dong":
		return 1_000_000_000
	}
	return 0
}

// Parse reads a price as people write it; 0 where there is none. Only what can be read in one way is read: "12,5" may
// be millions, and "12.500 triệu" may be twelve and a half of them or twelve thousand.
func (m Money) Parse(cell string) (int64, error) {
	text := strings.TrimSpace(strings.ReplaceAll(cell, "\u00a0", " "))
	if text == "" || text == "-" || text == "–" || text == "0" {
		return 0, nil
	}
	first := strings.IndexFunc(text, unicode.IsDigit)
	if first < 0 {
		return 0, fmt.Errorf("%s is not a price; write digits, such as 12.500.000", inventory.Quote(text))
	}
	if before := strings.TrimSpace(text[:first]); strings.HasPrefix(before, "-") || strings.HasPrefix(before, "(") {
		return 0, fmt.Errorf("%s is below zero; a purchase has a price above it", inventory.Quote(text))
	} else if before != "" && ScaleOf(before) != 1 {
		return 0, fmt.Errorf("%s is not a price in đồng; write it as 12.500.000", inventory.Quote(text))
	}
	last := strings.LastIndexFunc(text, unicode.IsDigit) + 1
	digits, words := text[first:last], strings.TrimSpace(text[last:])
	if words == "-" || words == "/-" { // "12.500.000,-"
		words = ""
	}
	words = strings.TrimLeft(words, ",.- ")
	scale := ScaleOf(words)
	if scale == 0 {
		return 0, fmt.Errorf("%s is not a price in đồng; write it as 12.500.000", inventory.Quote(text))
	}
	if words == "" { // with its unit a price says itself what it means
		scale = max(m.Unit, 1)
	}
	value, err := number(digits, scale, m.Spreadsheet)
	if err != nil {
		fix := "write đồng in full, such as 12.500.000"
		if words == "" && scale > 1 {
			fix = "write it without dots, such as 12500"
		}
		return 0, fmt.Errorf("%s can be read in more than one way; %s", inventory.Quote(text), fix)
	}
	total := math.Round(value * float64(scale))
	switch {
	case total > MaxPrice:
		return 0, fmt.Errorf("%s is more than %d billion đồng; correct it", inventory.Quote(text), int64(MaxPrice/1_000_000_000))
	case total == 0:
		return 0, nil
	case total < minPrice:
		return 0, fmt.Errorf("%s is less than %d đồng; write đồng in full, or say the unit in the heading: Đơn giá (nghìn đồng)", inventory.Quote(text), minPrice)
	}
	return int64(total), nil
}

var (
	plainNumber   = regexp.MustCompile(`^[0-9]+$`)
	rawNumber     = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([eE]\+?[0-9]{1,2})?$`)
	groupedNumber = regexp.MustCompile(`^[0-9]{1,3}(?:(?:\.[0-9]{3})+|(?:,[0-9]{3})+|(?: [0-9]{3})+|(?:'[0-9]{3})+)$`)
	groupedCents  = regexp.MustCompile(`^([0-9]{1,3}(?:\.[0-9]{3})+),([0-9]{1,2})$|^([0-9]{1,3}(?:,[0-9]{3})+)\.([0-9]{1,2})$`)
	decimalNumber = regexp.MustCompile(`^([0-9]+)[.,]([0-9]+)$`)
)

var errUnclear = errors.New("unclear")

// number reads the digits of a price that is in units of scale đồng.
func number(s string, scale int64, spreadsheet bool) (float64, error) {
	onlyDigits := func(s string) float64 {
		v, _ := strconv.ParseFloat(strings.NewReplacer(".", "", ",", "", " ", "", "'", "").Replace(s), 64)
		return v
	}
	if plainNumber.MatchString(s) {
		return onlyDigits(s), nil
	}
	if groupedNumber.MatchString(s) {
		if scale > 1 && len(s) <= 7 { // one group: 12.500 (million)
			return 0, errUnclear
		}
		return onlyDigits(s), nil
	}
	if found := groupedCents.FindStringSubmatch(s); found != nil {
		v, err := strconv.ParseFloat(fmt.Sprintf("%.0f.%s", onlyDigits(found[1]+found[3]), found[2]+found[4]), 64)
		return v, err
	}
	whole := decimalNumber.FindStringSubmatch(s)
	switch {
	case whole != nil && scale > 1 && (len(whole[2]) != 3 || len(whole[1]) > 3): // 12,5 (million)
		return strconv.ParseFloat(whole[1]+"."+whole[2], 64)
	case whole != nil && scale == 1 && len(whole[1]) >= 4 && (strings.Trim(whole[2], "0") == "" && len(whole[2]) != 3 || spreadsheet && strings.Contains(s, ".")):
		return strconv.ParseFloat(whole[1]+"."+whole[2], 64)
	case whole == nil && spreadsheet && rawNumber.MatchString(s): // 1.25E+07
		return strconv.ParseFloat(s, 64)
	}
	return 0, errUnclear
}

var quantityText = regexp.MustCompile(`^([0-9]{1,6})(?:[.,]0+)?\s*([\pL ]{0,20})$`)

// Quantity reads "2", "02", "2 bộ"; 0 for an empty cell.
func Quantity(text string) (int, error) {
	if text == "" || text == "-" {
		return 0, nil
	}
	found := quantityText.FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("%s is not a quantity; write a whole number", inventory.Quote(text))
	}
	n, err := strconv.Atoi(found[1])
	if err != nil || n < 1 || n > maxQuantity {
		return 0, fmt.Errorf("%s is not a quantity from 1 to %d", inventory.Quote(text), maxQuantity)
	}
	return n, nil
}

var (
	yearText  = regexp.MustCompile(`^(?:nam )?((?:19|20)[0-9]{2})$`)
	monthText = regexp.MustCompile(`^(?:thang )?([0-9]{1,2})\s?(?:[/.-]|nam)\s?((?:19|20)[0-9]{2})$`)
	longDate  = regexp.MustCompile(`^(?:.*, )?ngay ([0-9]{1,2}) thang ([0-9]{1,2}) nam ((?:19|20)[0-9]{2})$`)
)

// Day reads a day. Roughly is true where there is only a year or a month; then the last day of it is returned, so
// that nothing seems older than it is.
func Day(t *inventory.Table, text string) (day inventory.Date, roughly bool, err error) {
	if text == "" || text == "-" {
		return inventory.Date{}, false, nil
	}
	folded := inventory.Fold(text)
	atoi := func(s string) int { n, _ := strconv.Atoi(s); return n }
	switch {
	case yearText.MatchString(folded):
		day, roughly = inventory.DateOf(time.Date(atoi(yearText.FindStringSubmatch(folded)[1]), 12, 31, 0, 0, 0, 0, time.UTC)), true
	case monthText.MatchString(folded):
		m := monthText.FindStringSubmatch(folded)
		if month := atoi(m[1]); month >= 1 && month <= 12 {
			day, roughly = inventory.DateOf(time.Date(atoi(m[2]), time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC)), true
			break
		}
		return day, false, fmt.Errorf("%s is not a month; write 03/2021", inventory.Quote(text))
	case longDate.MatchString(folded):
		m := longDate.FindStringSubmatch(folded)
		day, err = inventory.ParseDate(m[1] + "/" + m[2] + "/" + m[3])
	default:
		day, err = t.Date(strings.TrimPrefix(folded, "ngay "))
	}
	if err != nil {
		return inventory.Date{}, false, fmt.Errorf("%s is not a date; write 12/03/2021 (day first) or 2021-03-12", inventory.Quote(text))
	}
	if y := day.Year(); y < minYear || y > maxYear {
		return inventory.Date{}, false, fmt.Errorf("%s is in the year %d; write a date from %d on, such as 12/03/2021", inventory.Quote(text), y, minYear)
	}
	return day, roughly, nil
}

var monthsText = regexp.MustCompile(`^(?:bao hanh )?([0-9]{1,3})(?:[.,]0+)? ?(thang|t|nam|years?|months?)?$`)

// Warranty reads "36", "36 tháng", "3 năm", or the day it ends: "đến 12/03/2024".
func Warranty(t *inventory.Table, text string) (months int, until inventory.Date, err error) {
	if text == "" || text == "-" {
		return 0, inventory.Date{}, nil
	}
	folded := inventory.Fold(text)
	if found := monthsText.FindStringSubmatch(folded); found != nil {
		months, _ = strconv.Atoi(found[1])
		if strings.HasPrefix(found[2], "nam") || strings.HasPrefix(found[2], "year") {
			months *= 12
		}
		if months > maxMonths {
			return 0, inventory.Date{}, fmt.Errorf("%s is a warranty of more than %d months; correct it", inventory.Quote(text), maxMonths)
		}
		return months, inventory.Date{}, nil
	}
	day := folded
	for _, before := range []string{"bao hanh", "den", "het", "ngay", "until"} {
		day = strings.TrimSpace(strings.TrimPrefix(day, before))
	}
	until, _, err = Day(t, day)
	if err != nil {
		err = fmt.Errorf("%s is not a warranty; write months, such as 36, or the day it ends, such as 12/03/2024", inventory.Quote(text))
	}
	return 0, until, err
}

// AddMonths returns the day that many months later; the last of the month where that is shorter.
func AddMonths(day inventory.Date, months int) inventory.Date {
	first := time.Date(day.Year(), day.Month()+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return inventory.DateOf(first.AddDate(0, 0, min(day.Day(), last)-1))
}

var lostDigits = regexp.MustCompile(`^[0-9][.,][0-9]+[eE]\+?[0-9]+$`)

// Serials takes a cell apart: serials stand one below the other, or behind commas or semicolons. Where want units
// are known and that gives one text, spaces and slashes may separate too, if they give exactly as many.
// Skipped are words for "none".
func Serials(cell string, want int) (serials, skipped []string, err error) {
	if whole := strings.TrimSpace(cell); lostDigits.MatchString(whole) {
		return nil, nil, fmt.Errorf("%s: Excel took the serial for a number and lost digits; format the column as text and type it again", inventory.Quote(whole))
	}
	parts := strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(",;\n\r\t|", r) })
	if len(parts) == 1 && want > 1 {
		for _, sep := range []string{" ", "/", "+"} {
			finer := strings.FieldsFunc(strings.ReplaceAll(cell, "\u00a0", " "), func(r rune) bool { return strings.ContainsRune(sep, r) })
			good := len(finer) == want
			for _, one := range finer {
				good = good && len(one) >= 5 && strings.ContainsAny(one, "0123456789")
			}
			if good {
				parts = finer
				break
			}
		}
	}
	for _, part := range parts {
		one, err := inventory.CleanCell(part)
		if err != nil {
			return nil, nil, err
		}
		one = withoutHeading(one)
		switch normal := identity.NormalSerial(one); {
		case normal == "":
			continue
		case len(normal) > maxSerial:
			return nil, nil, fmt.Errorf("%s is longer than a serial, %d characters; put a comma or a new line between serials", inventory.Quote(one), maxSerial)
		case !strings.ContainsAny(normal, "0123456789") || strings.Trim(normal, "0") == "":
			skipped = append(skipped, one)
		default:
			serials = append(serials, one)
		}
	}
	return serials, skipped, nil
}

// withoutHeading takes "S/N:" and its like from the front of a serial, and a number in a list ("1. ").
func withoutHeading(s string) string {
	if before, after, ok := strings.Cut(s, ":"); ok && len(before) <= 20 {
		switch inventory.Fold(strings.Trim(before, " .-")) {
		case "s/n", "sn", "serial", "serial no", "serial number", "so serial", "so seri", "seri", "so may", "so s/n":
			s = strings.TrimSpace(after)
		}
	}
	return s
}

// ClassOf finds the class of equipment in what a list calls it.
func ClassOf(text string) string {
	words := " " + strings.Join(strings.FieldsFunc(inventory.Fold(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ") + " "
	for _, c := range []struct {
		class string
		words []string
	}{
		{"conference_server", []string{"conference server", "mcu", "vc infrastructure", "quan ly da diem"}},
		{"videoconference", []string{"videoconference", "hoi nghi truyen hinh", "codec", "thiet bi dau cuoi", "truyen hinh truc tuyen", "video conference", "video conferencing", "vc endpoint", "vcs"}},
		{"wireless_controller", []string{"wireless controller", "wlan controller", "quan ly wifi"}},
		{"firewall", []string{"firewall", "tuong lua", "utm"}},
		{"switch", []string{"switch", "chuyen mach"}},
		{"modem", []string{"modem", "ont", "onu"}},
		{"router", []string{"router", "dinh tuyen"}},
		{"access_point", []string{"access point", "wifi", "wi fi", "phat song khong day"}},
		{"ups", []string{"ups", "luu dien"}},
		{"nvr", []string{"nvr", "dvr", "dau ghi"}},
		{"camera", []string{"camera"}},
		{"scanner", []string{"scanner", "may quet", "may scan"}},
		{"printer", []string{"printer", "may in"}},
		{"projector", []string{"projector", "may chieu"}},
		{"phone", []string{"ip phone", "dien thoai ip", "dien thoai"}},
		{"nas", []string{"nas"}},
		{"storage", []string{"tu dia", "luu tru"}},
		{"server", []string{"server", "may chu"}},
		{"pc", []string{"pc", "may tinh", "may vi tinh", "laptop", "may tram"}},
		{"pdu", []string{"pdu"}},
		{"sensor", []string{"cam bien", "sensor"}},
	} {
		for _, w := range c.words {
			if strings.Contains(words, " "+w+" ") {
				return c.class
			}
		}
	}
	return ""
}

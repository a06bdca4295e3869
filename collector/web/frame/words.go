package frame

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"
)

// Languages are those with a catalogue, the project's first.
var Languages = []string{"vi", "en"}

// Catalogue holds the words of one language by key.
type Catalogue map[string]string

// LoadWords reads the catalogues of all Languages; each of words adds to those before it.
func LoadWords(words ...fs.FS) (map[string]Catalogue, error) {
	all := make(map[string]Catalogue, len(Languages))
	for _, lang := range Languages {
		all[lang] = Catalogue{}
		for _, files := range words {
			data, err := fs.ReadFile(files, lang+".json")
			if err != nil {
				return nil, err
			}
			var c Catalogue
			if err := json.Unmarshal(data, &c); err != nil {
				return nil, fmt.Errorf("i18n/%s.json: %w", lang, err)
			}
			for key, text := range c {
				if _, twice := all[lang][key]; twice {
					return nil, fmt.Errorf("i18n/%s.json: %q is there twice", lang, key)
				}
				all[lang][key] = text
			}
		}
	}
	return all, nil
}

// T returns the words for key. Pairs of name and value replace {name}; where "n" is 1 and the catalogue has a text
// for one (key + "_one"), that is used. A key that is missing shows as itself, which a test forbids.
func (c Catalogue) T(key string, pairs ...any) string {
	text, ok := c[key]
	if !ok {
		return key
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == "n" && fmt.Sprint(pairs[i+1]) == "1" {
			if one, ok := c[key+"_one"]; ok {
				text = one
			}
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		text = strings.ReplaceAll(text, fmt.Sprintf("{%v}", pairs[i]), fmt.Sprint(pairs[i+1]))
	}
	return text
}

// Number writes a number as the language does: 1.234,5 in Vietnamese, 1,234.5 in English.
func Number(lang string, v float64, decimals int) string {
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	group, point := ".", ","
	if lang == "en" {
		group, point = ",", "."
	}
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + group + whole[i:]
	}
	if fraction != "" {
		fraction = point + fraction
	}
	if !strings.ContainsAny(whole+fraction, "123456789") {
		sign = "" // what rounds to zero has none
	}
	return sign + whole + fraction
}

// Percent writes a ratio (0..1) as a percentage with about two digits that matter: "2,1 %" in Vietnamese, "2.1%" in
// English.
func Percent(lang string, v float64) string {
	v *= 100
	decimals := 0
	switch size := math.Abs(v); {
	case size == 0 || size >= 10:
	case size >= 0.995:
		decimals = 1
	default:
		decimals = 2
	}
	text := Number(lang, v, decimals)
	if lang == "en" {
		return text + "%"
	}
	return text + "\u00a0%"
}

// Millis writes a length of time, in seconds, in milliseconds: "0,42 ms", "31 ms", "1.240 ms".
func Millis(lang string, seconds float64) string {
	v := seconds * 1000
	decimals := 0
	switch size := math.Abs(v); {
	case size == 0:
	case size < 1:
		decimals = 2
	case size < 10:
		decimals = 1
	}
	return Number(lang, v, decimals) + "\u00a0ms"
}

// BitRate writes a rate in bit/s: "32 kbit/s", "2,03 Mbit/s", "340 Mbit/s", "1,2 Gbit/s".
func BitRate(lang string, bps float64) string {
	unit := "bit/s"
	for _, larger := range []string{"kbit/s", "Mbit/s", "Gbit/s"} {
		if bps < 999.5 {
			break
		}
		bps, unit = bps/1000, larger
	}
	decimals := 0
	switch {
	case bps == math.Trunc(bps) || bps >= 99.5:
	case bps < 9.95:
		decimals = 2
	default:
		decimals = 1
	}
	return Number(lang, bps, decimals) + "\u00a0" + unit
}

// Duration words a length of time in at most two units: "3 giờ 12 phút".
func (c Catalogue) Duration(d time.Duration) string {
	seconds := int64(max(d, 0) / time.Second)
	part := func(key string, n int64) string { return c.T("time."+key, "n", n) }
	two := func(big, small string) string {
		if small == "" {
			return big
		}
		return big + " " + small
	}
	rest := func(key string, n int64) string {
		if n == 0 {
			return ""
		}
		return part(key, n)
	}
	switch {
	case seconds < 60:
		return part("seconds", seconds)
	case seconds < 3600:
		return part("minutes", seconds/60)
	case seconds < 24*3600:
		return two(part("hours", seconds/3600), rest("minutes", seconds%3600/60))
	default:
		return two(part("days", seconds/86400), rest("hours", seconds%86400/3600))
	}
}

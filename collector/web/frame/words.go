package frame

import (
	"encoding/json"
	"fmt"
	"io/fs"
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

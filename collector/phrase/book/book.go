// Package book turns the sentences of rooms that speak English into Vietnamese. Errors, reasons and details come from
// agents of any version, from a record that is kept for years, and from rooms that write logs as well: what all of these
// have is the sentence itself. So the English format is the message's name, as it is for gettext, and a sentence is known
// by the format that it was made with; what stood in the format's places is carried over.
//
// An entry of vi.json's sentences has the format as Go writes it, with %s, %d and so on, and the Vietnamese, in which {1} is the first
// place as it is, {=1} the first place as a sentence of its own, and {~1} the same unless it is one word: that is a name,
// also where an account is called admin as a role is. Its labels are of details such as "site s1, agent main".
// A test looks for formats in the rooms that people hear
// of and finds those that nobody translated.
package book

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"communewatch/collector/phrase"
)

//go:embed vi.json
var vietnamese []byte

const (
	// longest is how many bytes of a text are looked at: what is longer is no sentence.
	longest = 4 << 10
	// deepest is how many sentences may stand inside each other.
	deepest = 6
	// mostLooks is how often a text or a piece of it is looked up: agents can make up texts that can be taken apart in
	// thousands of ways.
	mostLooks = 100
)

// Book knows sentences. Make it with New; it may be used by several goroutines.
type Book struct {
	rows   []row
	labels map[string]string
}

// row is a sentence.
type row struct {
	begins string   // what stands before the first place
	texts  []string // what stands before, between and behind the places
	plain  int      // how many bytes are no places
	match  *regexp.Regexp
	parts  []part
}

// part is a piece of the Vietnamese: a text, or a place by its number.
type part struct {
	text     string
	place    int // from 1; 0: a text
	sentence bool
	named    bool // one word is left as it is
}

var (
	verb  = regexp.MustCompile(`%(?:[-+# 0]*[0-9]*(?:\.[0-9]+)?[a-zA-Z]|%)`)
	place = regexp.MustCompile(`\{([=~]?)([1-9])\}`)
)

// New reads the sentences.
func New() (*Book, error) {
	var all struct{ Sentences, Labels map[string]string }
	if err := json.Unmarshal(vietnamese, &all); err != nil {
		return nil, fmt.Errorf("sentences: %w", err)
	}
	b := &Book{labels: all.Labels}
	for format, text := range all.Sentences {
		r, err := compile(format, text)
		if err != nil {
			return nil, fmt.Errorf("sentence %q: %w", format, err)
		}
		b.rows = append(b.rows, r)
	}
	// What begins with words of its own is looked for before what begins with a place, which may take in the beginning of
	// another; then what says more by itself: "%q is not %s" fits many.
	open := func(r *row) int { return min(len(r.begins), 1) }
	slices.SortFunc(b.rows, func(x, y row) int {
		return cmp.Or(open(&y)-open(&x), y.plain-x.plain, strings.Compare(x.match.String(), y.match.String()))
	})
	return b, nil
}

func compile(format, text string) (r row, err error) {
	var pattern strings.Builder
	pattern.WriteString(`(?s)\A`)
	places, at := 0, 0
	r.texts = []string{""}
	literal := func(s string) {
		pattern.WriteString(regexp.QuoteMeta(s))
		r.plain += len(s)
		r.texts[places] += s
		if places == 0 {
			r.begins += s
		}
	}
	for _, found := range verb.FindAllStringIndex(format, -1) {
		literal(format[at:found[0]])
		if at = found[1]; format[found[0]:at] == "%%" {
			literal("%")
			continue
		}
		places++
		r.texts = append(r.texts, "")
		switch format[at-1] {
		case 'q':
			pattern.WriteString(`("(?:[^"\\]|\\.)*")`)
		case 'd':
			pattern.WriteString(`(-?[0-9]+)`)
		default:
			pattern.WriteString(`(.*?)`)
		}
	}
	literal(format[at:])
	pattern.WriteString(`\z`)
	if r.match, err = regexp.Compile(pattern.String()); err != nil {
		return r, err
	}
	at = 0
	for _, found := range place.FindAllStringSubmatchIndex(text, -1) {
		n := int(text[found[4]] - '0')
		if n > places {
			return r, fmt.Errorf("the Vietnamese has place %d of %d", n, places)
		}
		mark := text[found[2]:found[3]]
		r.parts = append(r.parts, part{text: text[at:found[0]]}, part{place: n, sentence: mark != "", named: mark == "~"})
		at = found[1]
	}
	r.parts = append(r.parts, part{text: text[at:]})
	return r, nil
}

// Say returns a sentence in a language, and whether all of it is. What is not known is returned as it is.
func (b *Book) Say(l phrase.Lang, text string) (said string, known bool) {
	if l == phrase.English || text == "" {
		return text, true
	}
	if len(text) > longest {
		return text, false
	}
	if lines := strings.Split(text, "\n"); len(lines) > 1 { // several errors in one
		known = true
		for i, line := range lines {
			ok := true
			if lines[i], ok = b.Say(l, line); !ok {
				known = false
			}
		}
		return strings.Join(lines, "\n"), known
	}
	return (&reading{b, mostLooks}).say(text, deepest)
}

// reading is one text as it is looked up.
type reading struct {
	*Book
	left int // looks
}

func (b *reading) say(text string, depth int) (string, bool) {
	if depth == 0 || b.left == 0 {
		return text, text == ""
	}
	b.left--
	for i := range b.rows {
		if said, ok := b.rows[i].say(b, text, depth); ok {
			return said, true
		}
	}
	return b.pieces(text, depth)
}

// may tells whether a text can be of this sentence: expressions are slow, and most texts are of none or one.
func (r *row) may(text string) bool {
	if len(text) < r.plain || !strings.HasPrefix(text, r.begins) || !strings.HasSuffix(text, r.texts[len(r.texts)-1]) {
		return false
	}
	for _, t := range r.texts {
		at := strings.Index(text, t)
		if at < 0 {
			return false
		}
		text = text[at+len(t):]
	}
	return true
}

func (r *row) say(b *reading, text string, depth int) (string, bool) {
	if !r.may(text) {
		return "", false
	}
	places := r.match.FindStringSubmatch(text)
	if places == nil {
		return "", false
	}
	var out strings.Builder
	for _, p := range r.parts {
		switch {
		case p.place == 0:
			out.WriteString(p.text)
		case p.named && name(places[p.place]):
			out.WriteString(places[p.place])
		case p.sentence && places[p.place] != "" && !name(places[p.place]):
			said, ok := b.say(places[p.place], depth-1)
			if !ok {
				return "", false
			}
			out.WriteString(said)
		case p.sentence:
			said, _ := b.say(places[p.place], depth-1) // a single word is one that is known, or a name
			out.WriteString(said)
		default:
			out.WriteString(places[p.place])
		}
	}
	return out.String(), true
}

// pieces says a text that is a name and a sentence after a colon, or several sentences with semicolons between them.
func (b *reading) pieces(text string, depth int) (string, bool) {
	if first, rest, ok := strings.Cut(text, ": "); ok && name(first) {
		if said, ok := b.say(rest, depth-1); ok {
			return first + ": " + said, true
		}
	}
	list := strings.Split(text, "; ")
	if len(list) == 1 {
		return b.labelled(text)
	}
	for i, one := range list {
		said, ok := b.say(one, depth-1)
		if !ok {
			return text, false
		}
		list[i] = said
	}
	return strings.Join(list, "; "), true
}

// labelled says a detail that is names with values.
func (b *Book) labelled(text string) (string, bool) {
	list := strings.Split(text, ", ")
	for i, one := range list {
		words := strings.SplitN(one, " ", 3)
		if len(words) == 3 && b.labels[words[0]+" "+words[1]] != "" {
			words = []string{words[0] + " " + words[1], words[2]}
		} else {
			words = strings.SplitN(one, " ", 2)
		}
		label := b.labels[words[0]]
		if label == "" || len(words) < 2 {
			return text, false
		}
		list[i] = label + " " + words[1]
	}
	return strings.Join(list, ", "), true
}

// name tells whether a text is one word, such as a site, a check or a key of the plan.
func name(text string) bool { return text != "" && !strings.ContainsAny(text, " \t") }

package catalogue

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"communewatch/inventory"

	"communewatch/inventory/lifecycle/version"
)

//go:embed catalogue.csv
var catalogueCSV []byte

// Bounds of a catalogue file. The one that comes with the program has some 500 rows and 130 KB.
const (
	maxBytes = 8 << 20
	maxRows  = 50_000
	maxCell  = 2000
	maxGlob  = 6 // stars in a pattern
)

// Columns lists the columns of a catalogue file, in the order in which they are written. id, kind, vendor, pattern,
// match, source and confidence are needed; the others may be left out.
func Columns() []string {
	return []string{"id", "kind", "vendor", "pattern", "match", "class", "end_of_sale", "end_of_maintenance", "end_of_support",
		"successor", "source", "reviewed_on", "reviewed_from", "confidence", "status", "build", "min_fw", "affected_from", "latest", "latest_on",
		"released", "paid_until", "paid_name", "security_until", "last_extension", "alias", "cve", "kev_added", "platform",
		"cert_end", "best_effort_end", "generation", "maintenance_means", "support_means", "document", "entered_on", "by", "remarks"}
}

func needed() []string {
	return []string{"id", "kind", "vendor", "pattern", "match", "source", "confidence"}
}

// Read reads a catalogue: UTF-8 text separated by commas, semicolons or tabs, with the headings of Columns in the first row and in any
// order. The error, if any, is an *inventory.ListError with all mistakes, and no row is returned with it. name is used
// for messages alone.
func Read(name string, data []byte) ([]*Row, error) {
	r := reader{name: name}
	r.read(data)
	r.check()
	if len(r.problems) > 0 {
		for i := range r.problems {
			r.problems[i].File = name
		}
		return nil, &inventory.ListError{Problems: r.problems}
	}
	return r.rows, nil
}

// check adds what is wrong with the rows that could be read. A cell that was told already is not told again.
func (r *reader) check() {
	type cell struct {
		row    int
		column string
	}
	told := map[cell]bool{}
	for _, p := range r.problems {
		told[cell{p.Row, p.Column}] = true
	}
	for _, p := range Check(r.rows) {
		if !told[cell{p.Row, p.Column}] {
			r.problems = append(r.problems, p)
		}
	}
	slices.SortStableFunc(r.problems, func(a, b inventory.Problem) int { return a.Row - b.Row })
}

type reader struct {
	name     string
	at       map[string]int
	rows     []*Row
	problems []inventory.Problem
}

func (r *reader) problem(line int, column, format string, args ...any) {
	r.problems = append(r.problems, inventory.Problem{Row: line, Column: column, Text: fmt.Sprintf(format, args...)})
}

func (r *reader) read(data []byte) {
	switch {
	case len(data) > maxBytes:
		r.problem(0, "", "has %d MB, more than the %d that a catalogue may have; is it the right file?", len(data)>>20, maxBytes>>20)
		return
	case !utf8.Valid(data):
		r.problem(0, "", "is not UTF-8; in Excel save it as \"CSV UTF-8\"")
		return
	}
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	in := csv.NewReader(bytes.NewReader(data))
	in.FieldsPerRecord = -1
	first, _, _ := bytes.Cut(data, []byte("\n"))
	for _, c := range ";\t" { // what Excel writes where a comma is for decimals
		if bytes.Count(first, []byte(string(c))) > bytes.Count(first, []byte(string(in.Comma))) {
			in.Comma = c
		}
	}
	headings, err := in.Read()
	if err == io.EOF {
		r.problem(0, "", "is empty; write headings into the first row: %s", strings.Join(Columns(), ","))
		return
	}
	if err != nil {
		r.syntax(err)
		return
	}
	if !r.header(headings) {
		return
	}
	for {
		cells, err := in.Read()
		if err == io.EOF {
			return
		}
		if err != nil {
			r.syntax(err)
			return
		}
		line, _ := in.FieldPos(0)
		if len(cells) == 1 && strings.TrimSpace(cells[0]) == "" {
			continue
		}
		if len(r.rows) == maxRows {
			r.problem(line, "", "there are more than %d rows; is it the right file?", maxRows)
			return
		}
		if len(cells) != len(headings) {
			r.problem(line, "", "has %d cells but there are %d headings; put text with commas in quotes", len(cells), len(headings))
			continue
		}
		r.row(line, cells)
	}
}

func (r *reader) syntax(err error) {
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		r.problem(wrong.StartLine, "", "quotes don't match (%v); put text with quotes in it in quotes, and double those inside it", wrong.Err)
		return
	}
	r.problem(0, "", "%v", err)
}

func (r *reader) header(headings []string) bool {
	known := Columns()
	r.at = map[string]int{}
	for i, h := range headings {
		h = strings.ToLower(strings.TrimSpace(h))
		switch _, twice := r.at[h]; {
		case !slices.Contains(known, h):
			r.problem(1, clip(h), "is no column of a catalogue; the columns are %s", strings.Join(known, ", "))
		case twice:
			r.problem(1, h, "is there twice; remove one")
		default:
			r.at[h] = i
		}
	}
	for _, h := range needed() {
		if _, ok := r.at[h]; !ok {
			r.problem(1, h, "is missing; add a column headed %s", h)
		}
	}
	return len(r.problems) == 0
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "..."
	}
	return s
}

func (r *reader) row(line int, cells []string) {
	get := func(column string) string {
		i, ok := r.at[column]
		if !ok {
			return ""
		}
		text := strings.TrimSpace(cells[i])
		if len(text) > maxCell {
			r.problem(line, column, "has %d bytes, at most %d are kept; shorten it", len(text), maxCell)
			return ""
		}
		if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
			r.problem(line, column, "has a control character; remove line breaks and tabs")
			return ""
		}
		return text
	}
	date := func(column string) inventory.Date {
		d, err := inventory.ParseDate(get(column))
		if err != nil {
			r.problem(line, column, "%v", err)
		}
		return d
	}
	row := &Row{
		ID: get("id"), Kind: get("kind"), Vendor: get("vendor"), Pattern: get("pattern"), Match: MatchKind(get("match")),
		Class: get("class"), Sale: date("end_of_sale"), Maint: date("end_of_maintenance"), Support: date("end_of_support"),
		Successor: get("successor"), Source: get("source"), ReviewedOn: date("reviewed_on"), Confidence: get("confidence"),
		By: get("by"), Line: line, Notes: map[string]string{},
	}
	for _, c := range Columns() {
		if slices.Contains(plainColumns(), c) {
			continue
		}
		if v := get(c); v != "" {
			row.Notes[c] = v
		}
	}
	for _, c := range dateNotes() {
		if d := date(c); !d.IsZero() {
			row.Notes[c] = d.String()
		}
	}
	if text := get("remarks"); text != "" {
		row.Remarks = strings.Split(text, "; ")
	}
	r.rows = append(r.rows, row)
}

// plainColumns are fields of Row; the others are its Notes.
func plainColumns() []string {
	return []string{"id", "kind", "vendor", "pattern", "match", "class", "end_of_sale", "end_of_maintenance", "end_of_support",
		"successor", "source", "reviewed_on", "confidence", "by", "remarks"}
}

func dateNotes() []string {
	return []string{"latest_on", "released", "paid_until", "security_until", "last_extension", "kev_added", "cert_end", "best_effort_end", "entered_on"}
}

// Check returns the mistakes of rows that were read or entered, by line. Screens use it for what a reviewer enters.
func Check(rows []*Row) []inventory.Problem {
	var problems []inventory.Problem
	seen := map[string]int{}
	for _, r := range rows {
		bad := func(column, format string, args ...any) {
			problems = append(problems, inventory.Problem{Row: r.Line, Column: column, Text: fmt.Sprintf(format, args...)})
		}
		switch before, twice := seen[r.ID]; {
		case r.ID == "":
			bad("id", "is empty; give the row a name that stays with it, as local-7")
		case twice:
			bad("id", "%q is also that of row %d; every row needs its own", clip(r.ID), before)
		default:
			seen[r.ID] = r.Line
		}
		if r.Vendor == "" {
			bad("vendor", "is empty; a pattern belongs to one vendor")
		}
		checkPattern(r, bad)
		checkStatement(r, bad)
		checkSource(r, bad)
	}
	slices.SortStableFunc(problems, func(a, b inventory.Problem) int { return a.Row - b.Row })
	return problems
}

func checkPattern(r *Row, bad func(column, format string, args ...any)) {
	matches := map[string][]MatchKind{
		KindDevice:   {MatchExact, MatchGlob},
		KindFirmware: {MatchExact, MatchGlob, MatchTrain, MatchRange},
		KindOS:       {MatchExact, MatchGlob, MatchTrain},
	}[r.Kind]
	switch {
	case matches == nil:
		bad("kind", "%q is not one of device, firmware, os", clip(r.Kind))
	case !slices.Contains(matches, r.Match):
		bad("match", "%q does not go with kind %s; write one of %v", clip(string(r.Match)), r.Kind, matches)
	}
	for _, p := range r.Patterns() {
		stars := strings.Count(p, "*")
		switch {
		case weight(p) < 2:
			bad("pattern", "%q says less than two characters; name the model", clip(p))
		case stars > maxGlob:
			bad("pattern", "%q has more than %d stars", clip(p), maxGlob)
		case r.Match != MatchGlob && strings.ContainsAny(p, "*?") && r.Kind != KindOS:
			bad("pattern", "%q has * or ?, which count only with match glob", clip(p))
		}
	}
	if r.Match == MatchTrain || r.Match == MatchRange {
		if _, _, ok := parseTrain(r.Pattern); !ok {
			bad("pattern", "%q is no product and version; write it as RouterOS 7.21, or RouterOS <6.42.1 for a range", clip(r.Pattern))
		}
	}
}

func checkStatement(r *Row, bad func(column, format string, args ...any)) {
	switch r.Status() {
	case "", StatusSupported, StatusUnannounced, StatusEOLUndated, StatusRetired, StatusUnknown, StatusLegacyTrain,
		StatusPreviousGen, StatusPlatformOnly, StatusKEV, StatusKEVMaybeEOL, StatusKEVEOL:
	default:
		bad("status", "%q is unknown; leave it empty or write one of supported, none-announced, eol-undated, retired-undated, unknown, legacy-train, previous-generation, platform-only, kev, kev-maybe-eol, kev-eol", clip(r.Status()))
	}
	if !r.Maint.IsZero() && !r.Support.IsZero() && r.Support.Before(r.Maint.Time) {
		bad("end_of_support", "%s is before the end of maintenance %s", r.Support, r.Maint)
	}
	if !r.Sale.IsZero() && !r.Support.IsZero() && r.Support.Before(r.Sale.Time) {
		bad("end_of_support", "%s is before the end of sale %s", r.Support, r.Sale)
	}
	if from := r.Note("affected_from"); from != "" {
		if _, ok := version.Parse(from); !ok {
			bad("affected_from", "%q is no version; write the first version that has the flaw", clip(from))
		}
	}
	for f := range strings.FieldsSeq(r.Note("min_fw")) {
		if _, ok := version.Parse(f); !ok {
			bad("min_fw", "%q is no version; write 4.4.5.8, or several trains' versions separated by spaces", clip(f))
		}
	}
}

func checkSource(r *Row, bad func(column, format string, args ...any)) {
	switch r.Confidence {
	case ConfA, ConfB, ConfC:
		if r.Source == "" {
			bad("source", "is empty; without a source the confidence is U")
		}
	case ConfU:
	case ConfLocal:
		for _, c := range [][2]string{{"document", r.Note("document")}, {"by", r.By}, {"entered_on", r.Note("entered_on")}} {
			if c[1] == "" {
				bad(c[0], "is empty; a row entered by a reviewer needs the document (number and date), who entered it and when")
			}
		}
	default:
		bad("confidence", "%q is not one of A, B, C, U, A(local)", clip(r.Confidence))
	}
}

// Embedded returns the rows that come with the program.
func Embedded() ([]*Row, error) { return Read("catalogue.csv", catalogueCSV) }

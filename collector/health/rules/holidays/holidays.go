// Package holidays knows on which days offices are closed: those of Vietnam, which come with the program, and those of
// lists in the same format that a province keeps itself.
//
// A list is CSV with the columns date, name, makeup and citation; lines that begin with # are comments. The list of
// Vietnam holds only days that the law fixes; what is decided year by year is for people to write down.
package holidays

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Day is one holiday.
type Day struct {
	Date     string // 2026-09-02
	Name     string
	Makeup   bool   // on a day that is not worked anyway it is made up on the next working day
	Citation string // where it is written
}

//go:embed vn.csv
var vn []byte

// Vietnam returns the days of Vietnam that the law fixes, by date.
func Vietnam() []Day {
	days, err := Parse("vn", vn)
	if err != nil {
		panic(err) // the file is part of the program, and a test reads it
	}
	return days
}

// Bounds of a list: a hundred years of holidays.
const (
	maxFile  = 1 << 20
	maxDays  = 2000
	maxText  = 500
	maxWrong = 50
)

// columns of a list, in their order.
var columns = []string{"date", "name", "makeup", "citation"}

// Parse reads a list. Its error tells every mistake with its line. name is used for messages alone.
func Parse(name string, data []byte) ([]Day, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: is larger than %d bytes; is it the right file?", name, maxFile)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s: is not UTF-8; in Excel save it as \"CSV UTF-8\"", name)
	}
	reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	reader.Comment, reader.FieldsPerRecord = '#', -1
	var out []Day
	var problems []error
	seen := map[string]int{}
	header := false
	for len(problems) < maxWrong {
		record, err := reader.Read()
		if err == io.EOF {
			break
		}
		line, _ := 0, 0
		problem := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("%s:%d: %s", name, line, fmt.Sprintf(format, args...)))
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			line = wrong.StartLine
			problem("quotes don't match; put text with commas in quotes, and double quotes inside it")
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		line, _ = reader.FieldPos(0)
		if !header {
			if strings.Join(record, ",") != strings.Join(columns, ",") {
				problem("the first line must be %s", strings.Join(columns, ","))
				break
			}
			header = true
			continue
		}
		if len(record) != len(columns) {
			problem("has %d columns; want %s", len(record), strings.Join(columns, ", "))
			continue
		}
		d := Day{Date: record[0], Name: record[1], Makeup: record[2] == "yes", Citation: record[3]}
		if t, err := time.Parse(time.DateOnly, d.Date); err != nil || t.Year() < 1900 || t.Year() > 2200 {
			problem("%.40q is not a day such as 2026-09-02", d.Date)
		} else if first, twice := seen[d.Date]; twice {
			problem("%s is on line %d already", d.Date, first)
		}
		if !d.Makeup && record[2] != "no" && record[2] != "" {
			problem("makeup is %.40q; write yes or no", record[2])
		}
		if len(d.Name) > maxText || len(d.Citation) > maxText {
			problem("name and citation may have %d bytes each", maxText)
		}
		if len(out) == maxDays {
			problem("there are more than %d days; is it the right file?", maxDays)
			break
		}
		seen[d.Date] = line
		out = append(out, d)
	}
	if !header && len(problems) == 0 {
		problems = append(problems, fmt.Errorf("%s: is empty; the first line must be %s", name, strings.Join(columns, ",")))
	}
	return out, errors.Join(problems...)
}

package export

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"
)

// csvWriter writes RFC 4180: a header, then a line for each row. What a row does not have is an empty field; a text that
// is empty is one too, since CSV knows no difference.
type csvWriter struct {
	w       *csv.Writer
	columns []column
	record  []string
	head    bool
}

func newCSV(w io.Writer, s *shape) *csvWriter {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	return &csvWriter{w: c, columns: s.columns, record: make([]string, len(s.columns))}
}

// timeLayout is RFC 3339 in UTC with the milliseconds that a store has.
const timeLayout = "2006-01-02T15:04:05.000Z"

func (c *csvWriter) header() error {
	c.head = true
	for i := range c.columns {
		c.record[i] = c.columns[i].name
	}
	return c.w.Write(c.record)
}

func (c *csvWriter) write(cells []cell) error {
	if !c.head {
		if err := c.header(); err != nil {
			return err
		}
	}
	for i := range cells {
		v := &cells[i]
		text := ""
		switch k := c.columns[i].kind; {
		case !v.set:
		case k == kindTime:
			text = time.UnixMilli(int64(v.num)).UTC().Format(timeLayout)
		case k == kindTag || k == kindText:
			text = v.str
		case k == kindBool && (v.num == 0 || v.num == 1):
			text = strconv.FormatBool(v.num == 1)
		default:
			text = strconv.FormatFloat(v.num, 'f', -1, 64)
		}
		c.record[i] = text
	}
	return c.w.Write(c.record)
}

func (c *csvWriter) close() error {
	if !c.head {
		if err := c.header(); err != nil {
			return err
		}
	}
	c.w.Flush()
	return c.w.Error()
}

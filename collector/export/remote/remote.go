// Package remote lets a program read the store of a collector that runs, over the collector's socket: an embedded store
// has one owner. It is one request for one query, and the answer ends with a word that it is whole.
//
// The collector holds the answer to one query in memory, and no more: a store's query must not wait for a reader who
// went to lunch.
package remote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/portion"
	"communewatch/probes"
)

// Prefix is the path below which the Handler answers.
const Prefix = "/export/"

// Bounds of one answer, whatever the query says.
const (
	maxPoints = 2_000_000
	maxRows   = 200_000
)

// request is the body of a query.
type request struct {
	Measurement string            `json:"measurement"`
	Tags        map[string]string `json:"tags"`
	From        time.Time         `json:"from"`
	To          time.Time         `json:"to"`
	Max         int               `json:"max"`   // points or windows; 0: as the collector allows
	Level       string            `json:"level"` // of windows
}

// message is one piece of an answer. The last one has End; without it the answer was cut off.
type message struct {
	Names   []string
	Series  *store.Series
	Windows *windows
	End     bool
	Error   string
	TooMany bool // the error is store.ErrTooMany
}

// windows is a store.RollupSeries whose sketches are texts.
type windows struct {
	Measurement string
	Tags        probes.Tags
	Rows        []window
}

type window struct {
	Start  int64
	Fields []field
}

type field struct {
	Key           string
	Total         bool
	Count         int64
	Sum, Min, Max float64
	Sketch        string
	HasSketch     bool
}

// Handler answers queries of src.
func Handler(src portion.Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"measurements", func(w http.ResponseWriter, r *http.Request) {
		names, err := src.Measurements(r.Context())
		answer(w, []message{{Names: names}}, err)
	})
	mux.HandleFunc("POST "+Prefix+"rows", func(w http.ResponseWriter, r *http.Request) {
		q, _, err := read(r, maxPoints)
		var found []message
		if err == nil {
			err = src.Select(r.Context(), store.Query{Measurement: q.Measurement, Tags: q.Tags, From: q.From, To: q.To, MaxPoints: q.Max}, func(s store.Series) error {
				found = append(found, message{Series: &s})
				return nil
			})
		}
		answer(w, found, err)
	})
	mux.HandleFunc("POST "+Prefix+"windows", func(w http.ResponseWriter, r *http.Request) {
		q, level, err := read(r, maxRows)
		var found []message
		if err == nil {
			err = src.Rollups(r.Context(), store.RollupQuery{Level: level, Measurement: q.Measurement, Tags: q.Tags, From: q.From, To: q.To, MaxRows: q.Max}, func(s store.RollupSeries) error {
				found = append(found, message{Windows: pack(&s)})
				return nil
			})
		}
		answer(w, found, err)
	})
	return mux
}

// maxRequest is above any query with tags.
const maxRequest = 256 << 10

func read(r *http.Request, most int) (q request, level rollup.Level, err error) {
	dec := json.NewDecoder(io.LimitReader(r.Body, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		return q, level, fmt.Errorf("query: %w", err)
	}
	if q.Level != "" {
		level, err = rollup.ParseLevel(q.Level)
	}
	if q.Max <= 0 || q.Max > most {
		q.Max = most
	}
	return q, level, err
}

// answer writes what was found. What goes wrong with the connection from here on the reader sees by itself.
func answer(w http.ResponseWriter, found []message, err error) {
	w.Header().Set("Content-Type", "application/octet-stream")
	end := message{End: true}
	if err != nil {
		found, end.Error, end.TooMany = nil, err.Error(), errors.Is(err, store.ErrTooMany)
	}
	buf := bufio.NewWriterSize(w, 64<<10)
	enc := gob.NewEncoder(buf)
	for i := range found {
		if enc.Encode(&found[i]) != nil {
			return
		}
	}
	if enc.Encode(&end) == nil {
		_ = buf.Flush()
	}
}

func pack(s *store.RollupSeries) *windows {
	out := &windows{Measurement: s.Measurement, Tags: s.Tags, Rows: make([]window, len(s.Rows))}
	for i := range s.Rows {
		out.Rows[i].Start = s.Rows[i].Start
		for _, f := range s.Rows[i].Fields {
			a := &f.Value
			p := field{Key: f.Key, Total: a.Total, Count: a.Count, Sum: a.Sum, Min: a.Min, Max: a.Max}
			if a.Sketch != nil {
				p.HasSketch, p.Sketch = true, a.Sketch.Text()
			}
			out.Rows[i].Fields = append(out.Rows[i].Fields, p)
		}
	}
	return out
}

func unpack(w *windows) (store.RollupSeries, error) {
	out := store.RollupSeries{Measurement: w.Measurement, Tags: w.Tags, Rows: make([]rollup.Row, len(w.Rows))}
	for i := range w.Rows {
		r := rollup.Row{Measurement: w.Measurement, Tags: w.Tags, Start: w.Rows[i].Start}
		for _, f := range w.Rows[i].Fields {
			a := rollup.Aggregate{Total: f.Total, Count: f.Count, Sum: f.Sum, Min: f.Min, Max: f.Max}
			if f.HasSketch {
				var err error
				if a.Sketch, err = rollup.ParseSketch(f.Sketch); err != nil {
					return out, err
				}
			}
			r.Fields = append(r.Fields, rollup.Field{Key: f.Key, Value: a})
		}
		out.Rows[i] = r
	}
	return out, nil
}

// Client reads from a collector's socket. It is a portion.Source.
type Client struct {
	HTTP *http.Client // whose connections are the socket's
}

// Measurements lists the measurements that have rows.
func (c Client) Measurements(ctx context.Context) (names []string, err error) {
	err = c.ask(ctx, http.MethodGet, "measurements", nil, func(m *message) error {
		names = m.Names
		return nil
	})
	return names, err
}

// Select is store.Store's, with all fields.
func (c Client) Select(ctx context.Context, q store.Query, each func(store.Series) error) error {
	r := request{Measurement: q.Measurement, Tags: q.Tags, From: q.From, To: q.To, Max: q.MaxPoints}
	return c.ask(ctx, http.MethodPost, "rows", &r, func(m *message) error {
		if m.Series == nil {
			return errors.New("an answer without rows")
		}
		return each(*m.Series)
	})
}

// Rollups is store.Rolled's, with all fields.
func (c Client) Rollups(ctx context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error {
	r := request{Measurement: q.Measurement, Tags: q.Tags, From: q.From, To: q.To, Max: q.MaxRows, Level: q.Level.String()}
	return c.ask(ctx, http.MethodPost, "windows", &r, func(m *message) error {
		if m.Windows == nil {
			return errors.New("an answer without windows")
		}
		s, err := unpack(m.Windows)
		if err != nil {
			return err
		}
		return each(s)
	})
}

// errCut says that an answer has no end.
var errCut = errors.New("the collector's answer was cut off; was it stopped?")

func (c Client) ask(ctx context.Context, method, path string, q *request, each func(*message) error) error {
	var body []byte
	if q != nil {
		var err error
		if body, err = json.Marshal(q); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://collector"+Prefix+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("the running collector answered %s: %s; is it of the same version as this program?", resp.Status, text)
	}
	dec := gob.NewDecoder(bufio.NewReaderSize(resp.Body, 64<<10))
	for {
		var m message
		switch err := dec.Decode(&m); {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return errCut
		case err != nil:
			return fmt.Errorf("%w (%w)", errCut, err)
		case m.TooMany:
			return store.ErrTooMany
		case m.Error != "":
			return fmt.Errorf("the running collector: %s", m.Error)
		case m.End:
			return nil
		}
		if err := each(&m); err != nil {
			return err
		}
	}
}

package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"communewatch/collector/store/influx/influxql"
)

// chunkRows is how many rows of a series the server puts into one document.
const chunkRows = "10000"

// Query asks a database and calls each for every stretch of a series in the answer; see influxql.Decode. The timeout is
// for each piece of the answer, not for all of it: a large one takes long, and each may too. An error is an *Error,
// except those of each and of ctx.
func (c *Client) Query(ctx context.Context, database, query string, each func(*influxql.Chunk) error) error {
	err := c.query(ctx, database, query, each)
	outcome := "ok"
	if kind, ok := KindOf(err); ok {
		outcome = kind.String()
	} else if err != nil {
		outcome = Canceled.String()
	}
	c.o.Count("query", outcome)
	return err
}

func (c *Client) query(parent context.Context, database, query string, each func(*influxql.Chunk) error) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	patience := time.AfterFunc(c.o.Timeout, func() { cancel(errSlow) })
	defer patience.Stop()

	form := url.Values{"db": {database}, "q": {query}, "epoch": {"ms"}, "chunked": {"true"}, "chunk_size": {chunkRows}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("/query").String(), strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	c.authorize(req)
	resp, err := c.http.Do(req)
	x := &exchange{}
	if err != nil {
		return c.broken(parent, ctx, x, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		err := x.read(resp)
		return x.judge(ctx, err)
	}
	var own error // each's
	body := &patient{r: resp.Body, timer: patience, within: c.o.Timeout}
	err = influxql.Decode(body, func(chunk *influxql.Chunk) error {
		if own = parent.Err(); own == nil {
			own = each(chunk)
		}
		return own
	})
	var said *influxql.ServerError
	switch {
	case err == nil:
		return nil
	case own != nil:
		return own
	case errors.As(err, &said):
		return errorSaid(said.Message)
	case errors.Is(err, influxql.ErrAnswer):
		return &Error{Kind: Foreign, Status: resp.StatusCode, Message: clean(err.Error()), cause: err}
	}
	return c.broken(parent, ctx, x, err)
}

// broken sorts the error of a connection.
func (c *Client) broken(parent, ctx context.Context, x *exchange, err error) error {
	if parent.Err() != nil {
		return parent.Err()
	}
	if context.Cause(ctx) == errSlow {
		return &Error{Kind: Slow, Message: "no answer in time", cause: errSlow}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Kind: Unreachable, Message: "the answer broke off", cause: err}
	}
	return x.judge(ctx, err)
}

var errSlow = errors.New("no answer in time")

// errorSaid sorts an error that came within a good answer.
func errorSaid(message string) *Error {
	e := &Error{Kind: Refused, Status: http.StatusOK, Message: clean(message)}
	switch {
	case strings.Contains(message, "database not found"), strings.Contains(message, "retention policy not found"):
		e.Kind = Missing
	case strings.Contains(message, "not authorized"), strings.Contains(message, "permission denied"):
		e.Kind = Denied
	case strings.Contains(message, "timeout"):
		e.Kind = Slow
	}
	return e
}

// patient winds the timer up for each piece that is read, and stops it meanwhile.
type patient struct {
	r      io.Reader
	timer  *time.Timer
	within time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	p.timer.Reset(p.within)
	n, err := p.r.Read(b)
	p.timer.Stop()
	return n, err
}

// Rows asks for a table of texts, such as SHOW statements answer, and returns the rows of all its series, each behind
// the name of its series. At most limit rows are read; more are left out.
func (c *Client) Rows(ctx context.Context, database, query string, limit int) ([][]any, error) {
	var rows [][]any
	err := c.Query(ctx, database, query, func(chunk *influxql.Chunk) error {
		for i := range chunk.Rows {
			if len(rows) >= limit {
				return errEnough
			}
			row := []any{chunk.Name}
			for n := range chunk.Columns {
				switch col := &chunk.Columns[n]; col.Kinds[i] {
				case influxql.Number:
					row = append(row, col.Numbers[i])
				case influxql.Text:
					row = append(row, col.Texts[i])
				default:
					row = append(row, nil)
				}
			}
			rows = append(rows, row)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return rows, err
}

var errEnough = errors.New("enough")

// Retention returns how long a database keeps rows; 0 is for ever. It returns false where the server does not tell.
func (c *Client) Retention(ctx context.Context, s Server, database string) (time.Duration, bool, error) {
	if s.Generation == 2 {
		return c.bucketRetention(ctx, database)
	}
	rows, err := c.Rows(ctx, database, "SHOW RETENTION POLICIES ON "+influxql.Name(database), 1000)
	if err != nil {
		return 0, false, err
	}
	for _, row := range rows { // series, name, duration, shard group's duration, replicas, default
		if len(row) < 6 {
			continue
		}
		if isDefault, _ := row[5].(float64); isDefault != 1 {
			continue
		}
		text, _ := row[2].(string)
		d, err := time.ParseDuration(text)
		return d, err == nil, nil
	}
	return 0, false, nil
}

func (c *Client) bucketRetention(ctx context.Context, bucket string) (time.Duration, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	query := url.Values{"name": {bucket}}
	if c.o.Org != "" {
		query.Set("org", c.o.Org)
	}
	x, err := c.get(ctx, "/api/v2/buckets", query)
	if err != nil || x.status != http.StatusOK {
		return 0, false, x.judge(ctx, err)
	}
	var doc struct {
		Buckets []struct {
			Name  string `json:"name"`
			Rules []struct {
				Seconds int64 `json:"everySeconds"`
			} `json:"retentionRules"`
		} `json:"buckets"`
	}
	if err := json.Unmarshal(x.body, &doc); err != nil {
		return 0, false, &Error{Kind: Foreign, Status: x.status, Message: clean(err.Error()), cause: err}
	}
	for _, b := range doc.Buckets {
		if b.Name != bucket {
			continue
		}
		keep := time.Duration(0)
		for _, r := range b.Rules {
			keep = time.Duration(min(r.Seconds, int64(1<<62/time.Second))) * time.Second
		}
		return keep, true, nil
	}
	return 0, false, &Error{Kind: Missing, Status: x.status, Message: "bucket not found: " + clean(bucket)}
}

// Package ask puts questions to an InfluxDB of any generation over plain HTTP: what it is, a call of its API, a statement
// of InfluxQL, a write of nothing. Answers are bounded, and refusals keep status and words of the server.
package ask

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"communewatch/collector/store/influx"
)

// Server is what answers.
type Server struct {
	URL        string        `json:"url"`
	Generation int           `json:"generation"` // 1, 2 or 3
	Version    string        `json:"version"`
	Build      string        `json:"build,omitempty"` // OSS, Core, Enterprise; 1.8 says OSS
	ClockAhead time.Duration `json:"-"`               // of ours, to a second or so; 0 where it does not say
}

func (s Server) String() string {
	return strings.TrimSpace(fmt.Sprintf("InfluxDB %s %s at %s", s.Version, s.Build, s.URL))
}

// Core says that it is 3 Core, which has bounds of its own.
func (s Server) Core() bool { return s.Generation == 3 && !strings.EqualFold(s.Build, "Enterprise") }

// Refused is an answer other than 2xx.
type Refused struct {
	Status  int
	Message string // what the server said
}

func (e *Refused) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("InfluxDB answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("InfluxDB answered %d: %s", e.Status, e.Message)
}

// Status is that of a refusal, 0 for every other error.
func Status(err error) int {
	var r *Refused
	if errors.As(err, &r) {
		return r.Status
	}
	return 0
}

// Denied says that credentials are missing, unknown or not enough.
func Denied(err error) bool {
	return Status(err) == http.StatusUnauthorized || Status(err) == http.StatusForbidden
}

// Link is a server and the credentials used with it.
type Link struct {
	url    string
	Token  string // as in the token file; "": none
	bearer bool   // 3.x
	client *http.Client
}

// maxAnswer bounds an answer; a list of all tags of a province is some 100 KiB.
const maxAnswer = 64 << 20

// New prepares questions to the server of the settings. Nothing is asked yet.
func New(c influx.Config, token string) (*Link, error) {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.DisableKeepAlives = true // a few requests, and nothing is left behind
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("influx.ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("influx.ca_file: no certificate in %s", c.CAFile)
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	// A server that sends us elsewhere would send the token along.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Link{url: strings.TrimRight(c.URL, "/"), Token: token, client: &http.Client{Transport: tr, Timeout: c.Timeout, CheckRedirect: stay}}, nil
}

// As is the same server with other credentials.
func (l *Link) As(token string) *Link {
	other := *l
	other.Token = token
	return &other
}

// send sends one request and returns the answer, which is read to its end.
func (l *Link) send(ctx context.Context, method, path, contentType string, body []byte) (http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, l.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if l.Token != "" {
		user, password, pair := strings.Cut(l.Token, ":")
		switch {
		case l.bearer:
			req.Header.Set("Authorization", "Bearer "+l.Token)
		case pair:
			req.SetBasicAuth(user, password) // 1.8; as a token it would refuse a password with a space
		default:
			req.Header.Set("Authorization", "Token "+l.Token)
		}
	}
	resp, err := l.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address, which is said anyway
		}
		return nil, nil, fmt.Errorf("%s does not answer: %w; is InfluxDB running, and is influx.url right?", l.url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s broke off its answer: %w", l.url, err)
	}
	if len(text) > maxAnswer {
		return nil, nil, fmt.Errorf("%s answers with more than %d MiB", l.url, maxAnswer>>20)
	}
	if resp.StatusCode/100 != 2 {
		return resp.Header, nil, &Refused{resp.StatusCode, message(text)}
	}
	return resp.Header, text, nil
}

// message finds what a refusal says: 2.x has it under message, the others under error.
func message(text []byte) string {
	var said struct{ Message, Error string }
	m := string(text)
	if json.Unmarshal(text, &said) == nil && said.Message+said.Error != "" {
		m = said.Message + said.Error
	}
	return Printable(m, 300)
}

// Printable is a text from outside as it may be shown on a terminal: in one line, without controls, of at most n bytes.
func Printable(s string, n int) string {
	s = strings.Join(strings.Fields(s[:min(len(s), 4*n)]), " ")
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}

// Call sends JSON, or nothing where in is nil, and reads JSON where out is not.
func (l *Link) Call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	contentType := ""
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
		contentType = "application/json"
	}
	_, text, err := l.send(ctx, method, path, contentType, body)
	if err == nil && out != nil {
		if err = json.Unmarshal(text, out); err != nil {
			return fmt.Errorf("%s %s: the answer is not what the documentation says: %w", method, path, err)
		}
	}
	return err
}

// Table is one series of an answer to InfluxQL.
type Table struct {
	Name    string
	Columns []string
	Values  [][]any
}

// Column returns a column's values as text; numbers as they were written.
func (t *Table) Column(name string) []string {
	var out []string
	for i, c := range t.Columns {
		if c != name {
			continue
		}
		for _, row := range t.Values {
			if i < len(row) {
				out = append(out, fmt.Sprint(row[i]))
			}
		}
		break
	}
	return out
}

// Query executes one InfluxQL statement.
func (l *Link) Query(ctx context.Context, db, q string) ([]Table, error) {
	form := url.Values{"q": {q}}
	path := "/query"
	if db != "" {
		form.Set("db", db)
		path += "?" + url.Values{"db": {db}}.Encode() // where proxies and scoped tokens look for it
	}
	_, text, err := l.send(ctx, http.MethodPost, path, "application/x-www-form-urlencoded", []byte(form.Encode()))
	if err != nil {
		return nil, err
	}
	var got struct {
		Results []struct {
			Error  string
			Series []Table
		}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&got); err != nil {
		return nil, fmt.Errorf("the answer to %q is not what the documentation says: %w", q, err)
	}
	var all []Table
	for _, r := range got.Results {
		if r.Error != "" {
			return nil, &Refused{http.StatusOK, message([]byte(r.Error))}
		}
		all = append(all, r.Series...)
	}
	return all, nil
}

// List is query for a statement that answers with one column of names.
func (l *Link) List(ctx context.Context, db, q, column string) ([]string, error) {
	tables, err := l.Query(ctx, db, q)
	var names []string
	for i := range tables {
		names = append(names, tables[i].Column(column)...)
	}
	return names, err
}

// WriteNothing has a write of a mere comment authorized: nothing is stored, and a server that has no use for it (2.x
// answers 400: writing requires points) has looked at token and database before.
func (l *Link) WriteNothing(ctx context.Context, org, db string) error {
	q := url.Values{"org": {org}, "bucket": {db}, "precision": {"ms"}}
	_, _, err := l.send(ctx, http.MethodPost, "/api/v2/write?"+q.Encode(), "text/plain; charset=utf-8", []byte("# communewatch-collector influx check\n"))
	if s := Status(err); s == http.StatusBadRequest || s == http.StatusUnprocessableEntity {
		return nil
	}
	return err
}

// Identify asks what answers.
func (l *Link) Identify(ctx context.Context, now func() time.Time) (Server, error) {
	s := Server{URL: l.url}
	asking := l.As(l.Token)
	asking.bearer = true // 3.x wants a token even here; the others look at none
	before := now()
	header, body, err := asking.send(ctx, http.MethodGet, "/ping", "", nil)
	after := now()
	if Denied(err) {
		return s, fmt.Errorf("%s wants a token that it knows even to say its version, as 3.x does: %w; put one into influx.token_file, or give --admin-token-file", l.url, err)
	}
	if err != nil {
		return s, err
	}
	s.Version = Printable(strings.TrimPrefix(header.Get("X-Influxdb-Version"), "v"), 40)
	s.Build = Printable(header.Get("X-Influxdb-Build"), 40)
	if s.Version == "" {
		var said struct{ Version string }
		if json.Unmarshal(body, &said) == nil {
			s.Version = Printable(strings.TrimPrefix(said.Version, "v"), 40)
		}
	}
	major, rest, _ := strings.Cut(s.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	g, err := strconv.Atoi(major)
	m, _ := strconv.Atoi(minor)
	switch {
	case s.Version == "":
		return s, fmt.Errorf("%s answers, but not as InfluxDB: there is no version in the answer to /ping; is influx.url right?", l.url)
	case err != nil: // a build from source, which says "unknown"
		if g, err = asking.older(ctx); err != nil {
			return s, err
		}
		s.Version = strconv.Itoa(g) + ".x"
	case g == 1 && m < 8, g < 1, g > 3:
		return s, fmt.Errorf("%s is InfluxDB %.40s; the collector works with 1.8, 2.x and 3.x", l.url, s.Version)
	}
	s.Generation = g
	l.bearer = g == 3
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		// The header has whole seconds, cut off: half a second more is its middle.
		s.ClockAhead = date.Add(500 * time.Millisecond).Sub(before.Add(after.Sub(before) / 2))
	}
	return s, nil
}

// older tells 1.8 from 2.x, which has the API of buckets; 3.x always says its version.
func (l *Link) older(ctx context.Context) (int, error) {
	_, _, err := l.send(ctx, http.MethodGet, "/api/v2/buckets", "", nil)
	switch {
	case Status(err) == http.StatusNotFound:
		return 1, nil
	case err == nil || Denied(err):
		return 2, nil
	}
	return 0, err
}

// Quoted writes a name as InfluxQL wants it.
func Quoted(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// Text writes a text as InfluxQL wants it.
func Text(s string) string {
	return `'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + `'`
}

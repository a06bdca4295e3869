package standin

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var (
	errExists   = errors.New("exists already")
	errTooLarge = errors.New("body is too large")
)

// behind is the name of a bucket's database in the backend.
func (s *Server) behind(name string) string { return s.o.Prefix + name }

// order has the backend execute one statement, such as CREATE DATABASE.
func (s *Server) order(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.Backend+"/query", strings.NewReader(url.Values{"q": {statement}}.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var got struct {
		Error   string
		Results []struct{ Error string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return err
	}
	for _, r := range got.Results {
		got.Error += r.Error
	}
	if got.Error != "" {
		return errors.New(got.Error)
	}
	return nil
}

// influxDuration writes a duration for InfluxQL, where 0 is for ever.
func influxDuration(d time.Duration) string {
	if d == 0 {
		return "INF"
	}
	return fmt.Sprintf("%ds", int64(d.Seconds()))
}

func (s *Server) makeBehind(name string, keep time.Duration) error {
	return s.order(fmt.Sprintf(`CREATE DATABASE %q WITH DURATION %s NAME "autogen"`, s.behind(name), influxDuration(keep)))
}

func (s *Server) keepBehind(name string, keep time.Duration) error {
	return s.order(fmt.Sprintf(`ALTER RETENTION POLICY "autogen" ON %q DURATION %s`, s.behind(name), influxDuration(keep)))
}

func (s *Server) dropBehind(name string) error {
	return s.order(fmt.Sprintf(`DROP DATABASE %q`, s.behind(name)))
}

// body reads a request's body, unpacked.
func (s *Server) body(r *http.Request) ([]byte, error) {
	in := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		in = z
	}
	b, err := io.ReadAll(io.LimitReader(in, s.o.MaxBody+1))
	if err == nil && int64(len(b)) > s.o.MaxBody {
		return nil, errTooLarge
	}
	return b, err
}

// store writes lines into a bucket's database. It returns the backend's status and what it says.
func (s *Server) store(ctx context.Context, name, precision string, lines []byte) (int, string, error) {
	switch precision { // as 1.8 calls them
	case "", "ns":
		precision = "n"
	case "us":
		precision = "u"
	}
	q := url.Values{"db": {s.behind(name)}, "precision": {precision}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.Backend+"/write?"+q.Encode(), bytes.NewReader(lines))
	if err != nil {
		return 0, "", err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var said struct{ Error string }
	if json.Unmarshal(text, &said) == nil {
		text = []byte(said.Error)
	}
	return resp.StatusCode, string(text), err
}

// forward hands a query on and streams what the backend answers. q's databases are the backend's by now.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, db, q string) {
	form := url.Values{"q": {q}}
	if db != "" {
		form.Set("db", s.behind(db))
	}
	for _, key := range []string{"epoch", "chunked", "chunk_size", "pretty", "params"} {
		if v := r.FormValue(key); v != "" {
			form.Set(key, v)
		}
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, s.o.Backend+"/query", strings.NewReader(form.Encode()))
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", r.Header.Get("Accept"))
	resp, err := s.client.Do(req)
	if err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]string{"error": "the database behind the stand-in does not answer"})
		return
	}
	defer resp.Body.Close()
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(flushing{w}, resp.Body)
}

// flushing sends each piece at once, so that chunks stay chunks.
type flushing struct{ w http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if fl, ok := f.w.(http.Flusher); ok {
		fl.Flush()
	}
	return n, err
}

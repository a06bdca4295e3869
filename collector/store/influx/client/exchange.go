package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
)

// exchangeKey leads from a request to what is noted of it.
type exchangeKey struct{}

// exchange is what came back for one request.
type exchange struct {
	status int // 0 when no answer came
	header http.Header
	body   []byte
}

// maxAnswer bounds what is read of an answer that is not a query's.
const maxAnswer = 64 << 10

func (x *exchange) read(resp *http.Response) error {
	x.status, x.header = resp.StatusCode, resp.Header
	var err error
	x.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return err
}

// doer sends the library's requests: packed, with the token, and with an answer that is bounded before the library reads
// it. The library's own packing makes a compressor of 800 kB for each request and compresses as tightly as it can, which
// takes longer than the server takes to store the rows.
type doer struct{ c *Client }

// Do implements the library's http.Doer.
func (d doer) Do(req *http.Request) (*http.Response, error) {
	body, err := d.c.packs.pack(req.Body)
	if err != nil {
		return nil, err
	}
	defer body.release()
	req.Body, req.ContentLength = body.reader(), int64(body.Len())
	req.GetBody = func() (io.ReadCloser, error) { return body.reader(), nil }
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	d.c.authorize(req)
	resp, err := d.c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		x = &exchange{}
	}
	if err := x.read(resp); err != nil && x.status != http.StatusNoContent {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(x.body))
	return resp, nil
}

// packer keeps compressors and their buffers.
type packer struct{ pool sync.Pool }

// packed is a compressed body. The transport may read on after an answer came, so a body goes back to the pool when the
// last of its readers was closed, and not before.
type packed struct {
	bytes.Buffer
	w     *gzip.Writer
	piece [32 << 10]byte // of what is packed
	pool  *sync.Pool
	users atomic.Int32
}

// maxPacked keeps a giant body from pinning its buffer.
const maxPacked = 4 << 20

// pack returns a body with one user, its maker.
func (p *packer) pack(body io.ReadCloser) (*packed, error) {
	out, _ := p.pool.Get().(*packed)
	if out == nil {
		w, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
		if err != nil {
			return nil, err
		}
		out = &packed{w: w, pool: &p.pool}
	}
	out.Reset()
	out.w.Reset(&out.Buffer)
	out.users.Store(1)
	// By pieces, and by nothing that body knows better: a text that writes itself makes a copy of all of it.
	_, err := io.CopyBuffer(out.w, struct{ io.Reader }{body}, out.piece[:])
	return out, errors.Join(err, out.w.Close(), body.Close())
}

func (p *packed) release() {
	if p.users.Add(-1) == 0 && p.Cap() <= maxPacked {
		p.pool.Put(p)
	}
}

func (p *packed) reader() io.ReadCloser {
	p.users.Add(1)
	return &packedReader{of: p, rest: p.Bytes()}
}

type packedReader struct {
	mu   sync.Mutex
	of   *packed // nil once closed
	rest []byte
}

func (r *packedReader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.of == nil:
		return 0, errors.New("read of a closed body")
	case len(r.rest) == 0:
		return 0, io.EOF
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *packedReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of != nil {
		r.of.release()
		r.of, r.rest = nil, nil
	}
	return nil
}

// limit is what servers say when their index is full: 1.8 of series in a database and of values of a tag, 3.x of tables
// and columns. It is no fault of the row that is one too many.
var limit = regexp.MustCompile(`limit exceeded|would exceed (limit|number) of`)

// judge sorts an answer that is no success. ctx is the request's; err what kept it from being whole.
func (x *exchange) judge(ctx context.Context, err error) *Error {
	e := &Error{Status: x.status, Message: x.words(), cause: err}
	switch s := x.status; {
	case s == 0:
		e.Kind, e.Message = Unreachable, clean(fmt.Sprint(err))
		var timeout net.Error
		switch {
		case errors.Is(err, context.Canceled):
			e.Kind = Canceled
		case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
			e.Kind, e.Message = Slow, "no answer in time"
		}
	case s == http.StatusBadRequest, s == http.StatusUnprocessableEntity:
		e.Kind = Refused
		if limit.MatchString(e.Message) {
			e.Kind = Limited
		}
	case s == http.StatusRequestEntityTooLarge:
		e.Kind = TooLarge
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		e.Kind = Denied
	case s == http.StatusNotFound:
		e.Kind = Missing
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable:
		e.Kind, e.RetryAfter = Busy, retryAfter(x.header, time.Now())
	case s >= 500:
		e.Kind = Failed
	default:
		e.Kind, e.Message = Foreign, "what answers is not InfluxDB: "+e.Message
	}
	// A portal or a web server that stands in the way has errors too, but not a database's form of saying them.
	if e.Kind == Refused || e.Kind == Missing {
		if _, ours := serverOf(x.header); !ours && !x.saysWhy() {
			e.Kind, e.Message = Foreign, "what answers is not InfluxDB: "+e.Message
		}
	}
	return e
}

// saysWhy reports whether the answer has the form in which InfluxDB says what is wrong: {"error": "..."} (1.8, 3.x), or
// {"code": "...", "message": "..."} (2.x).
func (x *exchange) saysWhy() bool {
	var doc struct{ Error, Code, Message *string }
	return json.Unmarshal(x.body, &doc) == nil && (doc.Error != nil || doc.Code != nil && doc.Message != nil)
}

// words is what the server says is wrong.
func (x *exchange) words() string {
	var doc struct {
		Error   any    `json:"error"`
		Message string `json:"message"`
		Data    []struct {
			Message string `json:"error_message"`
		} `json:"data"`
	}
	if json.Unmarshal(x.body, &doc) == nil {
		var said []string
		if text, ok := doc.Error.(string); ok && text != "" {
			said = append(said, text)
		}
		if doc.Message != "" {
			said = append(said, doc.Message)
		}
		if len(doc.Data) > 0 && doc.Data[0].Message != "" {
			said = append(said, doc.Data[0].Message)
		}
		if len(said) > 0 {
			return clean(strings.Join(said, ": "))
		}
	}
	if text := x.header.Get("X-Influxdb-Error"); text != "" {
		return clean(text)
	}
	return clean(string(x.body[:min(len(x.body), 1024)]))
}

func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// maxWords bounds a server's words, in bytes.
const maxWords = 300

// clean makes text from outside fit for a log line.
func clean(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " ")))
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords-3], "") + "..."
	}
	return s
}

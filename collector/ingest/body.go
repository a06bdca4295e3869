package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
)

// budget is the memory that all bodies share.
type budget struct{ left atomic.Int64 }

func (b *budget) take(n int) bool {
	if b.left.Add(-int64(n)) < 0 {
		b.left.Add(int64(n))
		return false
	}
	return true
}

func (b *budget) give(n int) { b.left.Add(int64(n)) }

var errBudget = errors.New("no memory left in the budget of bodies")

// body reads the request's body into buf's memory and inflates it. taken is what it holds of the budget, also when
// there is a problem.
func (in *Ingest) body(w http.ResponseWriter, r *http.Request, s *bodyScratch) (body []byte, taken int, p *problem) {
	inflate := false
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		inflate = true
	default:
		return nil, 0, &problem{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %.40q is not supported; use gzip or none", encoding), 0}
	}
	if r.ContentLength > int64(in.limits.BodyBytes) {
		w.Header().Set("Connection", "close") // rather than wait for the rest
		return nil, 0, tooLarge(in.limits.BodyBytes, "")
	}
	raw := &arriving{
		body: http.MaxBytesReader(w, r.Body, int64(in.limits.BodyBytes)), control: http.NewResponseController(w),
		start: time.Now(), limits: &in.limits, ctx: r.Context(),
	}
	from, most := io.Reader(raw), in.limits.BodyBytes
	if inflate {
		if err := s.gunzip(raw); err != nil {
			if errors.Is(err, io.EOF) && raw.read == 0 {
				return nil, 0, nil // an empty body, whatever its encoding
			}
			return nil, 0, in.bodyProblem(w, raw, err)
		}
		from, most = s.inflate, in.limits.InflatedBytes
	}
	buf := s.body[:0]
	if !in.budget.take(cap(buf)) {
		return nil, 0, in.bodyProblem(w, raw, errBudget)
	}
	taken = cap(buf)
	for {
		if len(buf) == cap(buf) {
			more := max(64<<10, cap(buf)) // doubled
			if n := int(r.ContentLength) + 1; !inflate && n > cap(buf) {
				more = n - cap(buf)
			}
			if !in.budget.take(more) {
				return nil, taken, in.bodyProblem(w, raw, errBudget)
			}
			taken += more
			bigger := make([]byte, len(buf), cap(buf)+more)
			copy(bigger, buf)
			buf = bigger
		}
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > most {
			w.Header().Set("Connection", "close")
			return nil, taken, tooLarge(most, " when inflated")
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, taken, in.bodyProblem(w, raw, err)
		}
	}
	s.body = buf
	in.metrics.bytes.WithLabelValues("sent").Add(float64(raw.read))
	in.metrics.bytes.WithLabelValues("inflated").Add(float64(len(buf)))
	return buf, taken, nil
}

func tooLarge(most int, when string) *problem {
	return &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes%s; send smaller batches", most, when), 0}
}

// bodyProblem tells a body that did not arrive, which is to be sent again, from one that arrived and is damaged.
func (in *Ingest) bodyProblem(w http.ResponseWriter, raw *arriving, err error) *problem {
	w.Header().Set("Connection", "close")
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge(in.limits.BodyBytes, "")
	case errors.Is(err, errBudget):
		return &problem{http.StatusServiceUnavailable, "the collector has too much to read at the moment; try again later", retryBusy}
	case raw.late:
		return &problem{http.StatusServiceUnavailable, "the body did not arrive in time; nothing of it was stored, send it again", retryBusy}
	case raw.err != nil:
		return &problem{http.StatusServiceUnavailable, "the body broke off; nothing of it was stored, send it again", retryBusy}
	}
	return &problem{http.StatusBadRequest, fmt.Sprintf("the gzip data is damaged or cut short (%v); nothing of it was stored", err), 0}
}

// arriving is a body on its way, read under a deadline that moves on with every byte.
type arriving struct {
	body    io.Reader
	control *http.ResponseController
	start   time.Time
	limits  *Limits
	ctx     context.Context

	read     int
	deadline time.Time
	late     bool
	err      error // why it broke off
}

func (a *arriving) Read(b []byte) (int, error) {
	due := a.start.Add(a.limits.BodyTime + time.Duration(a.read)*time.Second/time.Duration(a.limits.BodyRate))
	if due.Sub(a.deadline) > time.Second {
		a.deadline = due
		_ = a.control.SetReadDeadline(due) // not every ResponseWriter has one; servers of net/http do
	}
	n, err := a.body.Read(b)
	a.read += n
	if err != nil && err != io.EOF {
		a.err = err
		a.late = !time.Now().Before(a.deadline)
	} else if err == io.EOF {
		_ = a.control.SetReadDeadline(time.Time{}) // or it would strike while the batch is stored
	} else if time.Now().After(due.Add(time.Second)) { // where there are no deadlines
		a.late, a.err = true, context.DeadlineExceeded
		return n, a.err
	}
	return n, err
}

// gunzip makes s.inflate read from r.
func (s *bodyScratch) gunzip(r io.Reader) (err error) {
	if s.inflate != nil {
		return s.inflate.Reset(r)
	}
	s.inflate, err = gzip.NewReader(r)
	if err != nil {
		s.inflate = nil
	}
	return err
}

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

// budget is the memory that all bodies share, and of which each token has its share.
type budget struct {
	left  atomic.Int64
	share int64
}

var (
	errBudget = errors.New("no memory left in the budget of bodies")
	errShare  = errors.New("no memory left in the sender's share of the budget")
)

// take reserves n bytes for a guest. Nothing is reserved on the word of a client: only what has arrived makes a body
// grow, or one who announces much and sends nothing would shut the others out.
func (b *budget) take(g *guest, n int) error {
	if g.bytes.Add(int64(n)) > b.share {
		g.bytes.Add(-int64(n))
		return errShare
	}
	if b.left.Add(-int64(n)) < 0 {
		b.give(g, n)
		return errBudget
	}
	return nil
}

func (b *budget) give(g *guest, n int) {
	b.left.Add(int64(n))
	g.bytes.Add(-int64(n))
}

// body reads the request's body into s and inflates it. What s has grown by is booked on the guest, also when there is
// a problem.
func (in *Ingest) body(w http.ResponseWriter, r *http.Request, g *guest, s *bodyScratch) (body []byte, p *problem) {
	inflate := false
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		inflate = true
	default:
		return nil, &problem{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %.40q is not supported; use gzip or none", encoding), 0}
	}
	if r.ContentLength > int64(in.limits.BodyBytes) {
		w.Header().Set("Connection", "close") // rather than wait for the rest
		return nil, tooLarge(in.limits.BodyBytes, "")
	}
	raw := &arriving{
		body: http.MaxBytesReader(w, r.Body, int64(in.limits.BodyBytes)), control: http.NewResponseController(w),
		start: time.Now(), limits: &in.limits, ctx: r.Context(),
	}
	from, most, when := io.Reader(raw), in.limits.BodyBytes, ""
	if inflate {
		if err := s.gunzip(raw); err != nil {
			if errors.Is(err, io.EOF) && raw.read == 0 {
				return nil, nil // an empty body, whatever its encoding
			}
			return nil, in.bodyProblem(w, raw, err)
		}
		from, most, when = s.inflate, in.limits.InflatedBytes, " when inflated"
	}
	buf := s.first[:0]
	for {
		if len(buf) == cap(buf) {
			bigger := most + 1 // one byte more than allowed tells too large from just fitting
			if n := r.ContentLength + 1; !inflate && n > int64(len(buf)) {
				bigger = int(min(n, int64(bigger)))
			}
			var err error
			if buf, err = in.grow(g, s, buf, bigger); err != nil {
				return nil, in.bodyProblem(w, raw, err)
			}
		}
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > most {
			w.Header().Set("Connection", "close")
			return nil, tooLarge(most, when)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, in.bodyProblem(w, raw, err)
		}
	}
	in.metrics.bytes.WithLabelValues("sent").Add(float64(raw.read))
	in.metrics.bytes.WithLabelValues("inflated").Add(float64(len(buf)))
	return buf, nil
}

// firstGrowth is how much memory a body gets that is more than its scratch holds; from then on it is doubled.
const firstGrowth = 64 << 10

// grow moves buf, which is full, into larger memory of at most most bytes, or of any size that an earlier request left.
func (in *Ingest) grow(g *guest, s *bodyScratch, buf []byte, most int) ([]byte, error) {
	if s.grown == nil {
		s.grown = in.grown.Get().(*grown)
		if n := cap(s.grown.bytes); n > len(buf) && in.budget.take(g, n) == nil {
			s.taken = n
			return append(s.grown.bytes[:0], buf...), nil
		}
		s.grown.bytes = nil // none was left, or more than there is room for now
	}
	n := min(max(firstGrowth, 2*len(buf)), most)
	if err := in.budget.take(g, n-s.taken); err != nil {
		return nil, err
	}
	s.taken = n
	s.grown.bytes = append(make([]byte, 0, n), buf...)
	return s.grown.bytes, nil
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
	case errors.Is(err, errShare):
		return &problem{http.StatusTooManyRequests, fmt.Sprintf("this sender's requests under way hold their %d bytes of memory already; try again later", in.budget.share), retryBusy}
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

package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/callers"
	"communewatch/collector/ingest/refusal"
	"communewatch/collector/registry"
	"communewatch/probes/wire"
)

// problem is an answer other than 204.
type problem struct {
	status  int
	message string
	retry   time.Duration // for Retry-After
}

const (
	retryBusy  = 2 * time.Second  // what is under way is soon done
	retryPast  = 3 * time.Second  // the recent past is read in seconds; who comes later has its newest results judged first
	retryStore = 10 * time.Second // a full disk or a broken file system takes longer
)

// storeTime is how long storing a batch may take, however many wait. A disk that has not answered by then has failed,
// and must be seen to have.
const storeTime = time.Minute

// code is the error code that InfluxDB gives with a status.
func (p *problem) code() string {
	switch p.status {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "not found"
	case http.StatusMethodNotAllowed:
		return "method not allowed"
	case http.StatusRequestEntityTooLarge:
		return "request too large"
	case http.StatusTooManyRequests:
		return "too many requests"
	case http.StatusServiceUnavailable:
		return "unavailable"
	case http.StatusInternalServerError:
		return "internal error"
	}
	return "invalid"
}

// answer ends a request. p is nil for success.
func (in *Ingest) answer(w http.ResponseWriter, r *http.Request, p *problem) {
	h := w.Header()
	h.Set("X-Influxdb-Build", "OSS")
	h.Set("X-Influxdb-Version", in.version())
	status := http.StatusNoContent
	if p == nil {
		w.WriteHeader(status)
	} else {
		status = p.status
		if p.retry > 0 {
			h.Set("Retry-After", strconv.Itoa(int(p.retry/time.Second)))
		}
		if status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Token realm="communewatch"`)
		}
		said := struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Error   string `json:"error,omitempty"` // where clients of the 1.x API look
		}{Code: p.code(), Message: p.message}
		if r.URL.Path == "/write" {
			said.Error = p.message
		}
		writeJSON(w, status, said)
	}
	in.metrics.requests.WithLabelValues(strconv.Itoa(status)).Inc()
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}

// version is what clients that look for an InfluxDB version find. The API is that of version 2.
func (in *Ingest) version() string { return "v2.7.0-communewatch-" + in.o.Version }

func (in *Ingest) ping(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		in.answer(w, r, notAllowed(w, "GET, HEAD"))
		return
	}
	in.answer(w, r, nil)
}

func (in *Ingest) health(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		in.answer(w, r, notAllowed(w, "GET, HEAD"))
		return
	}
	type health struct {
		Name    string `json:"name"`
		Message string `json:"message"`
		Status  string `json:"status"`
		Checks  []any  `json:"checks"`
		Version string `json:"version"`
		Commit  string `json:"commit"`
	}
	status, said := http.StatusOK, health{"influxdb", "ready for writes", "pass", []any{}, in.version(), ""}
	if in.failing.Load() || in.unsynced.Load() {
		status, said.Message, said.Status = http.StatusServiceUnavailable, "the stores are not working; see the collector's log", "fail"
	}
	writeJSON(w, status, said)
}

func notAllowed(w http.ResponseWriter, methods string) *problem {
	w.Header().Set("Allow", methods)
	return &problem{http.StatusMethodNotAllowed, "method not allowed; use " + methods, 0}
}

// write is POST /api/v2/write and, of the 1.x API, POST /write.
func (in *Ingest) write(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		in.answer(w, r, notAllowed(w, "POST"))
		return
	}
	start := time.Now()
	received := in.now()
	// The server reads what is left of a body after an early answer too, and must not wait for it for ever.
	_ = http.NewResponseController(w).SetReadDeadline(start.Add(in.limits.BodyTime))
	in.answer(w, r, in.writeBatch(w, r, received))
	in.metrics.seconds.Observe(time.Since(start).Seconds())
}

func (in *Ingest) writeBatch(w http.ResponseWriter, r *http.Request, received time.Time) *problem {
	v1 := r.URL.Path == "/write"
	query := r.URL.Query()
	id, p := in.authenticate(r, v1)
	if p != nil {
		return p
	}
	if id.Kind != registry.KindAgent && id.Kind != registry.KindWriter {
		return &problem{http.StatusForbidden, fmt.Sprintf("the token is an %s's, and writes nothing", id.Kind), 0}
	}
	ready := in.o.Ready == nil || in.o.Ready()
	if ready { // or the time is not known
		w.Header().Set(wire.HeaderReceivedAt, strconv.FormatInt(received.UnixMilli(), 10))
	}
	b := batch{}
	if id.Kind == registry.KindAgent {
		if b, p = readBatch(r.Header); p != nil {
			return p
		}
		if b.numbered && id.Agent != "" && b.agent != id.Agent {
			return &problem{http.StatusForbidden, fmt.Sprintf("this is agent %s of site %s, not agent %s", id.Agent, id.Site, b.agent), 0}
		}
		if in.o.Told != nil && !b.sentAt.IsZero() {
			in.o.Told(id.Site, b.sentAt)
		}
	}
	if !ready {
		return &problem{http.StatusServiceUnavailable, "the collector can't take results yet; send it again later", retryPast}
	}
	bucket, kind := query.Get("bucket"), "bucket"
	if v1 {
		bucket, kind = query.Get("db"), "database"
	}
	if name, _, _ := strings.Cut(bucket, "/"); name != in.o.Bucket { // bucket may be database/retention policy
		return &problem{http.StatusNotFound, fmt.Sprintf("%s %.80q not found; this collector has %q", kind, bucket, in.o.Bucket), 0}
	}
	precision, ok := parsePrecision(query.Get("precision"), v1)
	if !ok {
		return &problem{http.StatusBadRequest, fmt.Sprintf("precision %.20q: use ns, us, ms or s", query.Get("precision")), 0}
	}
	guest, p := in.doors.enter(id.Token)
	if p != nil {
		return p
	}
	defer in.doors.leave(guest)

	s := in.bodies.Get().(*bodyScratch)
	defer in.release(guest, s)
	body, p := in.body(w, r, guest, s)
	if p != nil {
		return p
	}
	tenure := in.tenure.Load()
	// What is begun is finished: a client that goes away is no failure of the store.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTime)
	defer cancel()
	shift, err := in.shift(ctx, id, &b, received)
	if err != nil {
		return in.unavailable("read the clock's shift", err)
	}
	job := &job{id: id, batch: &b, received: received, shift: shift, precision: precision}
	if len(body) > 0 {
		if err := in.take(ctx, job, body); err != nil {
			return in.unavailable("store a batch", err)
		}
	}
	if b.numbered {
		err := in.o.Registry.Take(ctx, registry.Receipt{Site: id.Site, Agent: b.agent, Boot: b.boot, Seq: b.seq,
			Clock: b.clock, Points: job.stored, Rejected: job.rejected, ReceivedAt: received})
		if err != nil {
			return in.unavailable("book a batch", err)
		}
	}
	in.works()
	if in.tenure.Load() != tenure {
		return &problem{http.StatusServiceUnavailable, "the disk failed while the batch was stored, and works again; send it again", retryBusy}
	}
	// The number is drawn after everything was stored, so that a Sync that began with this number or a higher one
	// covers it.
	h := w.Header()
	h.Set(wire.HeaderStore, tenure.id)
	h.Set(wire.HeaderCommit, strconv.FormatUint(tenure.commits.Add(1), 10))
	h.Set(wire.HeaderDurable, strconv.FormatUint(tenure.durable.Load(), 10))
	return job.problem()
}

// unavailable answers for a store or registry that failed. What exactly is in the log and none of the client's
// business: it keeps its batch and sends it again.
func (in *Ingest) unavailable(doing string, err error) *problem {
	in.fail(doing, err)
	return &problem{http.StatusServiceUnavailable, "the collector can't store this now; send it again later", retryStore}
}

// authenticate finds out who sends the request: by the certificate that an agent has shown when it connected, or by a token.
func (in *Ingest) authenticate(r *http.Request, v1 bool) (registry.Identity, *problem) {
	secret := callers.Secret(r, v1)
	if secret == "" && !callers.Shows(r) {
		return registry.Identity{}, &problem{http.StatusUnauthorized, "unauthorized access: connect with the agent's certificate, or send a token as \"Authorization: Token ...\"", 0}
	}
	id, err := in.o.Who(r, secret)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, callers.ErrUnauthorized):
		in.refused.Note("certificate", refusal.Token, 1, r.RemoteAddr)
		return id, &problem{http.StatusUnauthorized, "unauthorized access: " + err.Error(), 0}
	case errors.Is(err, callers.ErrForbidden):
		in.refused.Note("forbidden", refusal.Token, 1, r.RemoteAddr)
		return id, &problem{http.StatusForbidden, err.Error(), 0}
	case errors.Is(err, registry.ErrUnknownToken):
		in.refused.Note("unknown", refusal.Token, 1, r.RemoteAddr)
		return id, &problem{http.StatusUnauthorized, "unauthorized access: " + registry.ErrUnknownToken.Error(), 0}
	case errors.Is(err, registry.ErrRevoked):
		in.refused.Note("revoked", refusal.Token, 1, r.RemoteAddr)
		return id, &problem{http.StatusUnauthorized, "unauthorized access: " + registry.ErrRevoked.Error(), 0}
	}
	if r.Context().Err() != nil { // the registry gave up because the client did; nobody hears this
		return id, &problem{http.StatusServiceUnavailable, "the request was given up", 0}
	}
	return id, in.unavailable("look up who sends a batch", err)
}

func parsePrecision(s string, v1 bool) (time.Duration, bool) {
	switch s {
	case "", "ns":
		return time.Nanosecond, true
	case "us":
		return time.Microsecond, true
	case "ms":
		return time.Millisecond, true
	case "s":
		return time.Second, true
	}
	if v1 {
		switch s {
		case "n":
			return time.Nanosecond, true
		case "u", "µ":
			return time.Microsecond, true
		case "m":
			return time.Minute, true
		case "h":
			return time.Hour, true
		}
	}
	return 0, false
}

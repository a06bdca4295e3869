package ship

import (
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"communewatch/probes/wire"
)

// verdict is what an answer means for the batch and for the collector that gave it.
type verdict uint8

const (
	taken    verdict = iota // the collector has the batch
	refused                 // it will never take some of its rows
	tooLarge                // it may take it in smaller pieces
	denied                  // it takes nothing from us for now
	busy                    // it asks us to wait
	broken                  // no answer, or an error of its own
	foreign                 // this is not a collector
	stranger                // its certificate is not the collector's
)

func (v verdict) String() string {
	return [...]string{"taken", "refused", "too large", "access denied", "busy", "unreachable or broken", "not a collector", "its certificate is not believed"}[v]
}

// answer is what came back for one request.
type answer struct {
	status  int // 0 when no answer came
	header  http.Header
	message string // of the error, for people: short and printable

	stranger bool // no request was sent: the server's certificate is not believed
	genuine  bool // carries a collector's marks
	sent     int  // bytes of the request's body on the wire
}

// judge is the table of the package's documentation.
func judge(a *answer) verdict {
	switch s := a.status; {
	case a.stranger:
		return stranger
	case s >= 200 && s < 300 && a.genuine:
		return taken
	case (s == http.StatusBadRequest || s == http.StatusUnprocessableEntity) && a.genuine:
		return refused
	case s == http.StatusRequestEntityTooLarge:
		return tooLarge
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusNotFound:
		return denied
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable:
		return busy
	case s == 0, s >= 500 && s < 600:
		return broken
	}
	return foreign
}

// isGenuine looks for marks that a portal, a proxy or another web server would not leave.
func isGenuine(h http.Header, body []byte) bool {
	for _, name := range []string{wire.HeaderReceivedAt, wire.HeaderStore, "X-Influxdb-Version", "X-Influxdb-Build"} {
		if h.Get(name) != "" {
			return true
		}
	}
	if kind, _, _ := mime.ParseMediaType(h.Get("Content-Type")); kind != "application/json" {
		return false
	}
	var document struct{ Code, Message string }
	return json.Unmarshal(body, &document) == nil && document.Code != "" && document.Message != ""
}

// durability is what an answer says about the collector's disk; ok is false when it says nothing usable.
func (a *answer) durability() (store string, commit, durable uint64, ok bool) {
	store = a.header.Get(wire.HeaderStore)
	commit, err1 := strconv.ParseUint(a.header.Get(wire.HeaderCommit), 10, 64)
	durable, err2 := strconv.ParseUint(a.header.Get(wire.HeaderDurable), 10, 64)
	return store, commit, durable, store != "" && len(store) <= 128 && err1 == nil && err2 == nil
}

// retryAfter is how long a busy collector asks us to wait; 0 when it does not say.
func (a *answer) retryAfter(now time.Time) time.Duration {
	v := a.header.Get("Retry-After")
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// receivedAt is the collector's clock when it read the request.
func (a *answer) receivedAt() (time.Time, bool) {
	ms, err := strconv.ParseInt(a.header.Get(wire.HeaderReceivedAt), 10, 64)
	return time.UnixMilli(ms), err == nil && ms > 0
}

// clean makes text from outside fit for a log line.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "..."
	}
	return strings.TrimSpace(s)
}

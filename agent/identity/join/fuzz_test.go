package join

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/probes/enroll"
	"communewatch/probes/wire"
)

// Whoever answers a machine that wants to join: what the person in front of it reads is short and plain, no more is read
// than a message may have, and no time is believed that nobody can mean.
func FuzzRefusal(f *testing.F) {
	f.Add(409, "1700000000000", []byte(`{"code":"code_used","message":"used"}`))
	f.Add(410, "-5", []byte(`{"code":"code_expired","message":""}`))
	f.Add(403, "9223372036854775807", []byte(`{"code":"agent_taken"}`))
	f.Add(500, "x", []byte(`{"code":"x","message":"\u001b[2J`+strings.Repeat("é", 9000)+`"}`))
	f.Add(200, "", []byte("<html>"))
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	o := &Options{Agent: "pc", Now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, status int, at string, body []byte) {
		rest := bytes.NewReader(body)
		resp := &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(rest)}
		resp.Header.Set(wire.HeaderReceivedAt, at)
		told := toldBy(resp, now)
		if y := told.UTC().Year(); y < 1970 || y > 2250 {
			t.Errorf("%q is taken for %v", at, told)
		}
		err := refusal(resp, o, told)
		if err == nil {
			t.Fatal("it is none")
		}
		if text := err.Error(); len(text) > 5000 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%q is shown as %q", body, text)
		}
		if read := len(body) - rest.Len(); read > 2*enroll.MaxMessage+1 {
			t.Errorf("%d bytes were read", read)
		}
	})
}

package join

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/probes/enroll"
	"communewatch/probes/wire"
)

// Whatever is left of a request on disk: nothing but what a code names is asked, and nobody is let in by it.
func FuzzWhatWasLeft(f *testing.F) {
	f.Add([]byte(`{"code_sha256":"x","key":"key-0123456789abcdef.pem","waiting":{"code":"CW1-0000","agent":"pc"}}`))
	f.Add([]byte(`{"waiting":{}}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, joiningFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		Waits(dir)
		now := func() time.Time { return time.Now().Add(time.Hour) }
		if done, _ := finish(t.Context(), &Options{Dir: dir, Now: now}); done {
			t.Error("a machine without a key is enrolled")
		}
	})
}

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

package work

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"communewatch/agent/ship"
	"communewatch/probes/wire"
	"communewatch/probes/work"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// planted is looked for in all that is written.
const planted = "planted-s3cret-5d1c"

// centre is a collector without sockets.
type centre struct {
	mu     sync.Mutex // guards the fields below
	down   bool
	portal bool       // somebody else answers
	given  *work.Work // nil: nothing is assigned
	asked  []string   // ETags that were brought
	full   int        // answers with a body
	body   string     // in the place of given
}

func (c *centre) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *centre) RoundTrip(req *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, req.Header.Get("If-None-Match"))
	answer := func(status int, body string) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		if !c.portal {
			resp.Header.Set(wire.HeaderReceivedAt, "1")
		}
		return resp, nil
	}
	switch {
	case c.down:
		return nil, errors.New("connection refused")
	case req.URL.Path != work.Path || req.Header.Get("Authorization") != "Bearer secret" || req.Header.Get(wire.HeaderAgent) != "pc":
		return nil, fmt.Errorf("%s with %v", req.URL, req.Header)
	case c.portal:
		return answer(404, "log in first")
	case c.body != "" && c.body[0] == '!':
		return answer(403, c.body[1:])
	case c.body != "":
		return answer(200, c.body)
	case c.given == nil:
		return answer(404, "{}")
	}
	tag := fmt.Sprintf(`"v%d"`, c.given.Version)
	if req.Header.Get("If-None-Match") == tag {
		return answer(304, "")
	}
	c.full++
	text, _ := json.Marshal(c.given)
	resp, err := answer(200, string(text))
	resp.Header.Set("ETag", tag)
	return resp, err
}

// office is an agent that takes what it is given, but for a document that says "bad".
type office struct {
	t   *testing.T
	dir string
	log bytes.Buffer

	mu      sync.Mutex
	does    []string // what was in force, one after the other
	changed int
}

func (o *office) adopt(w *work.Work) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if w == nil {
		o.does = append(o.does, "settings")
		return nil
	}
	if strings.Contains(w.Document, "bad") {
		return []string{"work 2:1: checks[0].address: forbidden", "work 2:2: checks[1].kind: forbidden"}
	}
	o.does = append(o.does, fmt.Sprint(w.Version))
	return nil
}

func (o *office) did() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.does, " ")
}

func (o *office) fetcher(c *centre) *Fetcher {
	o.t.Helper()
	f, err := New(Options{Dir: o.dir, Agent: "pc", Adopt: o.adopt, Log: slog.New(slog.NewTextHandler(&o.log, nil)), Changed: func() { o.changed++ },
		Collectors: []ship.Collector{{URL: "https://a", Token: "secret"}},
		client:     func(ship.Collector) (*http.Client, error) { return &http.Client{Transport: c}, nil }})
	if err != nil {
		o.t.Fatal(err)
	}
	return f
}

func version(n int) *work.Work {
	return &work.Work{Version: n, Document: fmt.Sprintf("checks: [] # %d", n), Secrets: map[string]string{"snmp": planted}}
}

func TestWorkIsTakenKeptAndGivenUp(t *testing.T) {
	o := &office{t: t, dir: t.TempDir()}
	c := &centre{}
	f := o.fetcher(c)
	look := func(what, want string, state work.State) {
		t.Helper()
		if err := f.Look(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := o.did(); got != want || f.Status().State != state {
			t.Errorf("%s: it did %q and is %s, want %q and %s", what, got, f.Status().State, want, state)
		}
		if s := f.Status(); s.Validate() != nil {
			t.Errorf("%s: %v", what, s.Validate())
		}
	}
	f.Restore()
	look("nothing assigned", "", work.StateNone)
	c.set(func() { c.given = version(1) })
	look("first", "1", work.StateActive)
	look("again", "1", work.StateActive)
	if c.full != 1 {
		t.Errorf("the work came %d times, want once", c.full)
	}
	c.set(func() { c.given = version(2) })
	look("second", "1 2", work.StateActive)
	if s := f.Status(); s.Version != 2 || s.ETag != `"v2"` {
		t.Errorf("status %+v", s)
	}
	c.set(func() { c.given = nil })
	look("taken away", "1 2 settings", work.StateNone)
	if o.changed != 3 {
		t.Errorf("told of %d changes, want 3", o.changed)
	}

	restarted := &office{t: t, dir: o.dir}
	restarted.fetcher(c).Restore()
	if got := restarted.did(); got != "" {
		t.Errorf("after a restart it did %q, though nothing is assigned", got)
	}
}

func TestRefusedWorkChangesNothing(t *testing.T) {
	o := &office{t: t, dir: t.TempDir()}
	c := &centre{given: version(1)}
	f := o.fetcher(c)
	if err := f.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	bad := version(2)
	bad.Document = "bad"
	c.set(func() { c.given = bad })
	for range 3 { // refused again without being sent again
		if err := f.Look(t.Context()); !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "checks[0].address") {
			t.Errorf("got %v", err)
		}
	}
	s := f.Status()
	if s.State != work.StateRefused || s.Version != 1 || s.ETag != `"v2"` || len(s.Problems) != 2 || c.full != 2 {
		t.Errorf("status %+v after %d answers", s, c.full)
	}
	restarted := &office{t: t, dir: o.dir}
	restarted.fetcher(c).Restore()
	if got := restarted.did(); got != "1" {
		t.Errorf("after a restart it does %q, want the last good one", got)
	}
	c.set(func() { c.given = version(3) })
	if err := f.Look(t.Context()); err != nil || o.did() != "1 3" || f.Status().Problems != nil {
		t.Errorf("corrected: %v, did %q, %+v", err, o.did(), f.Status())
	}
}

// The settings file allows less than before the restart.
func TestKeptWorkIsExaminedAgain(t *testing.T) {
	o := &office{t: t, dir: t.TempDir()}
	c := &centre{given: version(1)}
	if err := o.fetcher(c).Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := New(Options{Dir: o.dir, Agent: "pc", Adopt: func(*work.Work) []string { return []string{"not allowed any more"} },
		Log: slog.New(slog.DiscardHandler), Collectors: []ship.Collector{{URL: "https://a"}}})
	if err != nil {
		t.Fatal(err)
	}
	f.Restore()
	if s := f.Status(); s.State != work.StateRefused || s.Version != 0 || s.ETag != "" {
		t.Errorf("status %+v", s)
	}
}

func TestWithoutCollectorTheAgentGoesOn(t *testing.T) {
	o := &office{t: t, dir: t.TempDir()}
	c := &centre{given: version(7)}
	if err := o.fetcher(c).Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]func(){
		"down":           func() { c.down = true },
		"a portal's 404": func() { c.down, c.portal = false, true },
		"no JSON":        func() { c.portal, c.body = false, "<html>" },
		"cut":            func() { c.portal, c.body = false, `{"version":8,"document":"chec` },
		"more than one":  func() { c.portal, c.body = false, `{"version":8,"document":""}{}` },
		"no version":     func() { c.portal, c.body = false, `{"document":""}` },
		"too large":      func() { c.portal, c.body = false, `{"version":8,"document":"`+strings.Repeat("x", work.MaxWork)+`"}` },
		"bad secret":     func() { c.portal, c.body = false, `{"version":8,"document":"","secrets":{"a":"b\u0000"}}` },
	} {
		c.set(is)
		again := &office{t: t, dir: o.dir}
		f := again.fetcher(c)
		f.Restore()
		if err := f.Look(t.Context()); err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
		if got, s := again.did(), f.Status(); got != "7" || s.State != work.StateActive || s.Version != 7 {
			t.Errorf("%s: it does %q, %+v", name, got, s)
		}
		c.set(func() { c.down, c.portal, c.body = false, false, "" })
	}
}

func TestRefusalIsToldInTheCollectorsWords(t *testing.T) {
	o := &office{t: t, dir: t.TempDir()}
	for body, want := range map[string]string{
		`!{"code":"plaintext","message":"connect by https"}`: "answered 403: connect by https",
		`!{"message":"a\nb"}`:                                "answered 403: a b",
		"!<html>":                                            "answered 403",
	} {
		if err := o.fetcher(&centre{body: body}).Look(t.Context()); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// A file that was cut or changed anywhere is set aside, and asked for again.
func TestDamagedFileIsSetAside(t *testing.T) {
	o := &office{t: t, dir: t.TempDir()}
	c := &centre{given: version(1)}
	first := o.fetcher(c)
	if err := first.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(first.file())
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{{}, whole[:3], whole[:len(whole)/2], whole[:len(whole)-1], append(bytes.Clone(whole), 'x'), bytes.Repeat([]byte("x"), 3*work.MaxWork)} {
		if err := os.WriteFile(first.file(), data, 0o600); err != nil {
			t.Fatal(err)
		}
		again := &office{t: t, dir: o.dir}
		f := again.fetcher(c)
		f.Restore()
		if got := again.did(); got != "" || f.Status().ETag != "" {
			t.Errorf("of %d bytes: it does %q", len(data), got)
		}
		if err := f.Look(t.Context()); err != nil || again.did() != "1" {
			t.Errorf("of %d bytes: %v, it does %q", len(data), err, again.did())
		}
		if now, err := os.ReadFile(f.file()); err != nil || bytes.Equal(now, data) {
			t.Errorf("of %d bytes: it was not kept anew: %v", len(data), err)
		}
	}
}

// Whoever gets hold of single files, or of the log, gets no secret.
func TestSecretsAreNowhereAsPlainText(t *testing.T) {
	o := &office{t: t, dir: t.TempDir()}
	c := &centre{given: version(1)}
	f := o.fetcher(c)
	if err := f.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Restore()
	c.set(func() { c.body = `{"version":"` + planted + `"}` })
	_ = f.Look(t.Context())
	files := 0
	err := filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(planted)) {
			t.Errorf("%s holds the secret", path)
		}
		if info, _ := d.Info(); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is readable for others: %v", path, info.Mode())
		}
		return err
	})
	if err != nil || files < 2 {
		t.Errorf("%d files, %v", files, err)
	}
	if status, _ := json.Marshal(f.Status()); bytes.Contains(status, []byte(planted)) || strings.Contains(o.log.String(), planted) {
		t.Errorf("status %s, log %s", status, o.log.String())
	}
}

func TestWorkIsAskedForNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{t: t, dir: t.TempDir()}
		c := &centre{down: true}
		f := o.fetcher(c)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		c.set(func() {
			if n := len(c.asked); n < 2 || n > 6 {
				t.Errorf("asked %d times in 20 s while nobody answers", n)
			}
			c.down, c.given, c.asked = false, version(1), nil
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := o.did(); got != "1" {
			t.Errorf("a minute after the collector is back it does %q", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		c.set(func() {
			if n := len(c.asked); n < 6 || n > 8 {
				t.Errorf("asked %d times in an hour", n)
			}
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := strings.Count(o.log.String(), "can't ask for work"); n != 1 {
			t.Errorf("the outage was logged %d times", n)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte(`{"etag":"\"v1\"","work":{"version":1,"document":"checks: []","secrets":{"a":"b"}}}`))
	f.Add([]byte(`{"work":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := unpack(data)
		if err == nil && (k.Work.Validate() != nil || work.Problem(k.ETag) != k.ETag) {
			t.Errorf("%q was taken", data)
		}
	})
}

// answers is whoever answers a question for work.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// Whatever is answered: what is adopted is valid, what is told of it can be told, and the next question can be asked.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `"v1"`, "1", []byte(`{"version":1,"document":"checks: []","secrets":{"a":"b"}}`))
	f.Add(200, "\"\x00\xff", "1", []byte(`{"version":1,"document":""}`))
	f.Add(200, strings.Repeat("v", 101), "1", []byte(`{"version":2,"document":"no"} `))
	f.Add(200, "", "", []byte(`{"version":1}`))
	f.Add(304, `"v1"`, "1", []byte{})
	f.Add(404, "", "1", []byte(`{"code":"nothing_assigned"}`))
	f.Add(403, "", "1", []byte(`{"code":"x","message":"\u0007"}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, status int, tag, mark string, body []byte) {
		asked := ""
		peer := answers(func(r *http.Request) (*http.Response, error) {
			asked = r.Header.Get("If-None-Match")
			return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(bytes.NewReader(body)),
				Header: http.Header{"Etag": {tag}, http.CanonicalHeaderKey(wire.HeaderReceivedAt): {mark}}}, nil
		})
		fetcher, err := New(Options{
			Dir: dir, Agent: "pc", Collectors: []ship.Collector{{URL: "https://collector.example", Token: "x"}}, Log: slog.New(slog.DiscardHandler),
			client: func(ship.Collector) (*http.Client, error) { return &http.Client{Transport: peer}, nil },
			Adopt: func(w *work.Work) []string {
				switch {
				case w == nil:
					return nil
				case w.Validate() != nil:
					t.Errorf("adopted %q", body)
				case w.Document == "no":
					return []string{"checks[0]: no\x00"}
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_ = fetcher.Look(t.Context())
			if s := fetcher.Status(); s.Validate() != nil || s.State != work.StateNone && (status != 200 || mark == "") {
				t.Errorf("answer %d %q, tag %q, mark %q: status %+v, %v", status, body, tag, mark, s, s.Validate())
			}
		}
		if len(asked) > maxTag || work.Problem(asked) != asked {
			t.Errorf("asked with %q", asked)
		}
	})
}

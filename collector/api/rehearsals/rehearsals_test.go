package rehearsals

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRequestsAreReadFromForms(t *testing.T) {
	v, _ := url.ParseQuery("meeting=Giao+ban&profile=low&sites=district:L%E1%BA%ADp+Th%E1%BA%A1ch&steps=10,all&step_seconds=30&at=2026-12-01T07:30&force=1")
	got, err := RequestOf(v)
	if err != nil {
		t.Fatal(err)
	}
	if got.Meeting != "Giao ban" || got.Sites != "district:Lập Thạch" || got.StepSeconds != 30 || !got.Force ||
		got.At == nil || !got.At.Equal(time.Date(2026, 12, 1, 0, 30, 0, 0, time.UTC)) {
		t.Errorf("%+v", got)
	}
	if got, err := RequestOf(url.Values{"video_kbps": {"2000,5"}}); err != nil || got.VideoKbps != 2000.5 {
		t.Errorf("a decimal comma: %+v, %v", got, err)
	}
}

func TestWrongRequestsAreToldWhatIsWrong(t *testing.T) {
	for query, want := range map[string]string{
		"step_seconds=soon": "step_seconds", "fps=-1": "fps", "video_kbps=1e99": "video_kbps", "audio_kbps=NaN": "audio_kbps", "at=tomorrow": "at: ",
		"force=perhaps": "force", "meeting=" + strings.Repeat("m", 201): "meeting", "sites=" + strings.Repeat("s", 49<<10): "sites",
	} {
		v, _ := url.ParseQuery(query)
		_, err := RequestOf(v)
		var p *Problem
		if !errors.As(err, &p) || p.Status != http.StatusBadRequest || !strings.Contains(p.Message, want) {
			t.Errorf("%.40s: %v", query, err)
		}
	}
}

func FuzzRequestOf(f *testing.F) {
	f.Add("meeting=a&steps=10,34,all&step_seconds=20&at=2026-12-01T07:30:00%2B07:00")
	f.Add("fps=1e400&video_kbps=-0&at=9999999-01-01T00:00")
	f.Fuzz(func(t *testing.T, query string) {
		v, _ := url.ParseQuery(query)
		req, err := RequestOf(v)
		var p *Problem
		switch {
		case err != nil && !errors.As(err, &p):
			t.Errorf("%v is no problem of the client's", err)
		case err == nil && (req.FPS < 0 || req.StepSeconds < 0 || len(req.Meeting) > maxText):
			t.Errorf("%+v", req)
		}
	})
}

func TestStrangersAreRememberedInBounds(t *testing.T) {
	now := time.Date(2026, 11, 26, 1, 0, 0, 0, time.UTC)
	d := NewDoor(nil, func() time.Time { return now })
	from := func(addr string) *http.Request {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = addr
		return r
	}
	for i := range 3 * mostAddresses {
		d.fail(origin(from(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255))))
	}
	if n := len(d.failures); n > mostAddresses+1 {
		t.Errorf("%d addresses are remembered", n)
	}
	if d.blocked(origin(from("203.0.113.9:1"))) == 0 {
		t.Error("a new address is not counted with the others when there are too many")
	}
	now = now.Add(failureWindow)
	if d.blocked(origin(from("203.0.113.9:1"))) != 0 {
		t.Error("blocked for longer than the window")
	}
	d.fail(origin(from("203.0.113.9:1")))
	if n := len(d.failures); n > 1 {
		t.Errorf("%d old failures are kept", n-1)
	}
	if a, b := origin(from("[2001:db8:1:2::3]:1")), origin(from("[2001:db8:1:2:ffff::9]:2")); a != b {
		t.Error("a host with a /64 is many")
	}
}

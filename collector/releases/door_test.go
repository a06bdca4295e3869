package releases

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// slowly is a connection over which a number of bytes goes in a second.
type slowly struct {
	http.ResponseWriter
	rate int
}

func (s slowly) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(len(p)) * time.Second / time.Duration(s.rate))
	return len(p), nil
}

// TestWhoTakesNextToNothingIsCutOff: and who only waits for others is not.
func TestWhoTakesNextToNothingIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		line, pace int // bytes/s
		want       error
	}{
		"a slow line":        {leastRate * 2, 1 << 30, nil},
		"next to nothing":    {leastRate / 2, 1 << 30, errSlow},
		"a crowd of readers": {1 << 20, leastRate / 4, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := slowly{httptest.NewRecorder(), c.line}
			p := &paced{ResponseWriter: w, control: http.NewResponseController(w), pace: rate.NewLimiter(rate.Limit(c.pace), 2*chunk), ctx: t.Context(), begin: time.Now()}
			if _, err := p.Write(make([]byte, 1<<20)); !errors.Is(err, c.want) || err != nil && c.want == nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

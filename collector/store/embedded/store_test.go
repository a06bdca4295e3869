package embedded

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testNow = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func testOptions(dir string) Options {
	return Options{Dir: dir, Now: func() time.Time { return testNow }}
}

func TestConformance(t *testing.T) {
	const year = 365 * 24 * time.Hour
	keep := map[rollup.Level]time.Duration{rollup.FiveMinutes: year, rollup.Hour: 5 * year, rollup.Day: 5 * year}
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		return storetest.Harness{
			Open: func(dir string) (store.Store, error) {
				o := testOptions(dir)
				o.Keep = keep
				return Open(o)
			},
			Now:        testNow,
			LateWindow: defaultLateWindow,
			Keep:       keep,
		}
	})
}

package lines_test

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"communewatch/deploy/lab/lines"
	"communewatch/probes"
	"communewatch/probes/bind"
)

// BenchmarkRTTAgainstFping pings the same host over the same cable with the probe and with fping in turn, and prints
// both medians and 95th percentiles. What the probe has more is its overhead: the path is the same.
func BenchmarkRTTAgainstFping(b *testing.B) {
	lines.Need(b)
	if _, err := exec.LookPath("fping"); err != nil {
		b.Skip("needs the command fping: install the package of that name")
	}
	const pings = 300
	for mode, open := range modes {
		b.Run(mode, func(b *testing.B) {
			site, far := lines.New(b), lines.New(b)
			site.Cable(b, "wan", "10.1.0.2/24", far, "far", "10.1.0.1/24")
			site.AllowPing(b, open)
			var median, p95, fpingMedian, fpingP95 float64
			for b.Loop() {
				var r result
				err := site.Do(func() error {
					r = probe("10.1.0.1", bind.Binding{Path: probes.PathLAN, Device: "wan"}, options(pings))
					return nil
				})
				if err != nil || r.count("received") != pings {
					b.Fatalf("got %v, %v", r, err)
				}
				median += r.Fields["rtt_median_seconds"] * 1e6
				p95 += r.Fields["rtt_p95_seconds"] * 1e6
				rtts := fping(b, site, "10.1.0.1", pings)
				fpingMedian += rtts[len(rtts)/2]
				fpingP95 += rtts[len(rtts)*95/100]
			}
			n := float64(b.N)
			b.ReportMetric(0, "ns/op") // a run's length is set by its pace
			b.ReportMetric(median/n, "us-median")
			b.ReportMetric(p95/n, "us-p95")
			b.ReportMetric(fpingMedian/n, "us-fping-median")
			b.ReportMetric(fpingP95/n, "us-fping-p95")
			b.ReportMetric((median-fpingMedian)/n, "us-overhead")
		})
	}
}

// fping returns the sorted round-trip times, in microseconds.
func fping(b *testing.B, from *lines.Space, address string, pings int) []float64 {
	b.Helper()
	var out []byte
	err := from.Do(func() (err error) {
		cmd := exec.Command("fping", "-q", "-C", strconv.Itoa(pings), "-p", "10", address)
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		b.Fatalf("fping: %v: %s", err, out)
	}
	_, list, _ := strings.Cut(string(out), ":")
	var rtts []float64
	for s := range strings.FieldsSeq(list) {
		ms, err := strconv.ParseFloat(s, 64)
		if err != nil {
			b.Fatalf("fping lost packets on an idle cable: %s", out)
		}
		rtts = append(rtts, ms*1e3)
	}
	slices.Sort(rtts)
	return rtts
}

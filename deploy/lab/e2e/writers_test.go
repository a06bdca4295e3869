package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
	"github.com/klauspost/compress/gzip"

	"communewatch/collector/api"
	"communewatch/collector/api/chart"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/deploy/lab"
)

// TestOtherProgramsWriteBesideAgents: other InfluxDB clients bring measurements of their own, next to an agent.
func TestOtherProgramsWriteBesideAgents(t *testing.T) {
	onBothStores(t, otherProgramsWriteBesideAgents)
}

func otherProgramsWriteBesideAgents(t *testing.T, store string) {
	pv := prepare(t, store, 1, 20*time.Second)
	site := pv.sites[0]
	pv.start(lab.Parts{Gear: true, Collector: true, Agents: pv.sites})
	secret := pv.token(registry.Token{Kind: registry.KindWriter, Note: "telegraf"})
	pv.until(live, "the site reports", func(s map[string]api.Site) bool { return all(s, "ok", site) })
	seen := pv.follow()
	now := time.Now().Truncate(time.Second)

	t.Run("telegraf", func(t *testing.T) { pv.telegraf(t, secret, now) })
	t.Run("client library", func(t *testing.T) { pv.clientLibrary(t, secret, now) })

	seen.never(t, site, "down", "degraded", "no_data")
	pv.audited()
	pv.lab.Stop()
	if n := pv.storedRows("cpu", "usage_idle", map[string]string{"host": telegrafHost}); n != 20 {
		t.Errorf("%d rows of a computer without a site, want 20", n)
	}
}

// telegrafHost is a computer's name as an office gives it: Telegraf tags all it measures with it.
const telegrafHost = "VP-UBND Tích Sơn"

// telegraf sends what Telegraf's output influxdb_v2 (1.36) sends, and expects the answers on which it goes on, drops
// or splits: any 2xx is taken; 400, 404 and other 4xx drop the batch; 401 and 403 keep it; 413 halves it; 429 and 503
// wait for Retry-After.
func (pv *province) telegraf(t *testing.T, secret string, now time.Time) {
	host := strings.ReplaceAll(telegrafHost, " ", `\ `)
	lines := func(extra string, n int, from time.Time) string {
		var b strings.Builder
		for i := range n {
			at := from.Add(time.Duration(i-n) * time.Second).UnixNano()
			fmt.Fprintf(&b, "cpu,cpu=cpu-total,host=%s%s usage_idle=%d.5,usage_user=3.25,usage_system=1 %d\n", host, extra, 80+i%10, at)
			fmt.Fprintf(&b, "mem,host=%s%s available=4294967296i,total=17179869184i,available_percent=25.1 %d\n", host, extra, at)
			fmt.Fprintf(&b, "disk,device=C:,fstype=NTFS,host=%s,mode=rw,path=\\C:%s free=274877906944i,used_percent=12.5,inodes_free=0i %d\n", host, extra, at)
			fmt.Fprintf(&b, "system,host=%s%s ok=true,uptime_format=\"3 days,  4:05\",load1=0.5 %d\n", host, extra, at)
		}
		return b.String()
	}
	header := func(secret, encoding string) http.Header {
		h := http.Header{"User-Agent": {"Telegraf/1.36.4 Go/1.25.3"}, "Authorization": {"Token " + secret},
			"Content-Type": {"text/plain; charset=utf-8"}}
		if encoding != "" {
			h.Set("Content-Encoding", encoding)
		}
		return h
	}
	// expect checks status and, of an error, the document that Telegraf logs.
	expect := func(what string, want int, status int, answer, says string) {
		t.Helper()
		var e struct{ Code, Message string }
		if status != want || want != http.StatusNoContent && (json.Unmarshal([]byte(answer), &e) != nil || e.Code == "" || !strings.Contains(e.Message, says)) {
			t.Errorf("%s: %d %s; want %d and %q", what, status, answer, want, says)
		}
	}
	site := pv.sites[0]
	status, answer := pv.post(zipped(t, lines("", 20, now)), header(secret, "gzip"))
	expect("gzip, the default", http.StatusNoContent, status, answer, "")
	status, answer = pv.post(zipped(t, lines(",site="+site, 20, now)), header(secret, "gzip"))
	expect("with a global tag site", http.StatusNoContent, status, answer, "")
	status, answer = pv.post(strings.ReplaceAll(lines(",u=1", 5, now), "4296i", "4296u"), header(secret, "identity"))
	expect("identity, with unsigned numbers", http.StatusNoContent, status, answer, "")
	status, answer = pv.post(zipped(t, lines("", 1, now)), header("cw1_aaaaaaaa_"+strings.Repeat("a", 52), "gzip"))
	expect("a token nobody made", http.StatusUnauthorized, status, answer, "unknown token")
	status, answer = pv.post(zipped(t, lines(",bad=1", 2, now)+fmt.Sprintf("icmp,site=%s lost=1i %d\n", site, now.UnixNano())), header(secret, "gzip"))
	expect("one of nine is an agent's measurement", http.StatusBadRequest, status, answer, "partial write: 1 of 9 lines rejected; first: line 9")
	status, answer = pv.post(lines("", 50_000, now), header(secret, ""))
	expect("20 MB", http.StatusRequestEntityTooLarge, status, answer, "smaller")

	for _, q := range []struct {
		tags string
		want float64
	}{{"&site=" + site, 20}, {"&site=" + site + "&cpu=cpu-total", 20}, {"&site=" + site + "&bad=1", 0}} {
		path := fmt.Sprintf("/api/v1/series?measurement=cpu&field=usage_idle&agg=count,mean&from=%d&to=%d&step=10s", now.Unix()-60, now.Unix()+10)
		got, err := ask[chart.SeriesAnswer](pv, path+q.tags)
		total := 0.0
		for _, s := range got.Series {
			for _, n := range s.Count {
				total += n
			}
		}
		if err != nil || total != q.want {
			t.Errorf("%s: %v rows, want %v: %v", q.tags, total, q.want, err)
		}
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// clientLibrary writes with InfluxData's own client.
func (pv *province) clientLibrary(t *testing.T, secret string, now time.Time) {
	url := "http://" + pv.listen
	c := influxdb2.NewClientWithOptions(url, secret, influxdb2.DefaultOptions().SetHTTPClient(client).SetUseGZip(true))
	defer c.Close()
	if ok, err := c.Ping(t.Context()); !ok || err != nil {
		t.Errorf("ping: %v, %v", ok, err)
	}
	if h, err := c.Health(t.Context()); err != nil || h.Status != "pass" {
		t.Errorf("health: %+v, %v", h, err)
	}
	w := c.WriteAPIBlocking("communewatch", "communewatch")
	site := pv.sites[0]
	for i := range 10 {
		p := influxdb2.NewPoint("ups", map[string]string{"site": site, "model": "Santak 1000"},
			map[string]any{"load_ratio": 0.25, "minutes": 42, "on_battery": i == 7, "status": "online"}, now.Add(time.Duration(i-10)*time.Second))
		if err := w.WritePoint(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	got := must[chart.SeriesAnswer](pv, fmt.Sprintf("/api/v1/series?measurement=ups&field=on_battery&agg=max&site=%s&from=%d&to=%d&step=60s", site, now.Unix()-60, now.Unix()))
	highest := 0.0
	for _, s := range got.Series {
		for _, v := range s.Max {
			highest = max(highest, v)
		}
	}
	if len(got.Series) != 1 || highest != 1 {
		t.Errorf("written by the client: %+v", got)
	}
	stranger := influxdb2.NewClientWithOptions(url, "cw1_nobody", influxdb2.DefaultOptions().SetHTTPClient(client))
	defer stranger.Close()
	err := stranger.WriteAPIBlocking("communewatch", "communewatch").WriteRecord(t.Context(), "ups v=1")
	if he, ok := err.(*influxhttp.Error); !ok || he.StatusCode != http.StatusUnauthorized || he.Code != "unauthorized" {
		t.Errorf("a stranger: %#v", err)
	}
}

// storedRows counts rows in the store of a lab that was stopped.
func (pv *province) storedRows(measurement, field string, tags map[string]string) (n int) {
	pv.t.Helper()
	q := store.Query{Measurement: measurement, Fields: []string{field}, Tags: tags, From: pv.begun.Add(-time.Hour), To: time.Now()}
	err := pv.stored().Select(pv.t.Context(), q, func(s store.Series) error {
		if s.Tags.Get("site") == "" && s.Tags.Get("u") == "" && s.Tags.Get("bad") == "" {
			n += len(s.Times)
		}
		return nil
	})
	if err != nil {
		pv.t.Fatal(err)
	}
	return n
}

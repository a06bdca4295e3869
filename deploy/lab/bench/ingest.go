package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"communewatch/deploy/lab/bench/program"
	"communewatch/deploy/lab/bench/station"
)

const (
	ingestSites   = 136
	ingestTargets = 10
	ingestSenders = 4
	ingestRuns    = 400_000 // per batch size and server
	valuesPerRun  = 12      // numbers: 9 of icmp, 3 of check
)

// body is one request, made before the clock starts.
type body struct {
	token string
	lines []byte
}

// makeBodies makes each sender's requests of lines lines each. Senders have sites of their own, so that every series
// is sent in order.
func makeBodies(lines int, sites, tokens []string) [][]body {
	begin := time.Now().Add(-12 * time.Hour).Truncate(time.Second)
	perSite := ingestRuns / len(sites)
	out := make([][]body, ingestSenders)
	for i, site := range sites {
		var cur body
		n := 0
		cut := func() {
			if n > 0 {
				out[i%ingestSenders] = append(out[i%ingestSenders], cur)
			}
			cur, n = body{token: tokens[i]}, 0
		}
		cut()
		for k := range perSite {
			at := begin.Add(time.Duration(k/ingestTargets) * time.Second).UnixNano()
			cur.lines = station.AppendRun(cur.lines, site, k%ingestTargets, at, k)
			if n += 2; n >= lines {
				cut()
			}
		}
		cut()
	}
	return out
}

// send posts the bodies of all senders at once and returns how long that took.
func send(ctx context.Context, url string, senders [][]body) (time.Duration, error) {
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, bodies := range senders {
		group.Go(func() error {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for _, b := range bodies {
				if err := post(ctx, client, url, b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return time.Since(begin), err
}

func post(ctx context.Context, client *http.Client, url string, b body) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b.lines))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Token "+b.token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return nil
}

// benchIngest sends the same lines to a collector and to VictoriaMetrics, one after the other.
func benchIngest(ctx context.Context, e *env) (*table, error) {
	t := &table{
		title: "Taking results in",
		about: fmt.Sprintf("%d runs of checks per row, each an `icmp` line of nine numbers and a `check` line of three numbers and two texts, "+
			"plain over HTTP from %d senders on the same machine. The collector identifies the token, checks every line against the "+
			"contract, stores, accounts and judges it, texts included; VictoriaMetrics (Debian's) takes the same bodies and leaves the "+
			"texts out. Values are numbers stored. RSS is the highest.", ingestRuns, ingestSenders),
		columns: []string{"lines per batch", "server", "values/s", "CPU ns/value", "RSS", "beside the peer"},
	}
	vm, err := exec.LookPath("victoria-metrics")
	if err != nil {
		return nil, fmt.Errorf("victoria-metrics is not installed (Debian's package of that name): %w", err)
	}
	for _, lines := range []int{100, 1000, 5000} {
		st, err := prepareStation(ctx, e, "ingest-"+strconv.Itoa(lines), ingestSites)
		if err != nil {
			return nil, err
		}
		bodies := makeBodies(lines, st.Sites, st.Tokens)
		if err := st.Start(ctx, e.bin); err != nil {
			return nil, err
		}
		ours, err := measureIngest(ctx, st.Program, st.URL+"/api/v2/write?org=communewatch&bucket=communewatch", bodies)
		st.Stop()
		if err != nil {
			return nil, fmt.Errorf("collector: %w", err)
		}
		address, err := program.FreeAddress()
		if err != nil {
			return nil, err
		}
		peer, err := program.Start(vm, "-storageDataPath", filepath.Join(e.dir, "vm-"+strconv.Itoa(lines)), "-httpListenAddr", address, "-retentionPeriod", "1y")
		if err != nil {
			return nil, err
		}
		if err := peer.Ready(ctx, "http://"+address+"/health"); err != nil {
			return nil, err
		}
		theirs, err := measureIngest(ctx, peer, "http://"+address+"/api/v2/write", bodies)
		peer.Stop()
		if err != nil {
			return nil, fmt.Errorf("VictoriaMetrics: %w", err)
		}
		t.add(lines, "communewatch", ours.perSecond, ours.nsPerValue, mib(ours.rss),
			fmt.Sprintf("%.2f x its speed, %.2f x its CPU, %.2f x its memory", ours.perSecond/theirs.perSecond, ours.nsPerValue/theirs.nsPerValue, ours.rss/theirs.rss))
		t.add(lines, "VictoriaMetrics", theirs.perSecond, theirs.nsPerValue, mib(theirs.rss), "")
	}
	return t, nil
}

type ingestFigures struct{ perSecond, nsPerValue, rss float64 }

func measureIngest(ctx context.Context, p *program.Program, url string, bodies [][]body) (f ingestFigures, err error) {
	before, err := p.CPU()
	if err != nil {
		return f, err
	}
	took, err := send(ctx, url, bodies)
	if err != nil {
		return f, err
	}
	after, err := p.CPU()
	if err != nil {
		return f, err
	}
	const values = float64(ingestRuns / ingestSites * ingestSites * valuesPerRun)
	_, f.rss, err = p.Memory()
	f.perSecond = values / took.Seconds()
	f.nsPerValue = float64(after-before) / values
	return f, err
}

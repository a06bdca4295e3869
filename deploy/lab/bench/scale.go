package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"communewatch/deploy/lab/bench/station"
	"communewatch/probes/wire"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

const (
	scaleChecks   = 12
	scaleEvery    = 30 * time.Second            // a site's batch
	scaleWarm     = scaleEvery + 15*time.Second // for the first round, which makes all series
	scaleMeasured = 45 * time.Second
	scaleSenders  = 8
)

// benchScale lets fleets of different sizes report at their pace, and asks for map and list meanwhile.
func benchScale(ctx context.Context, e *env) (*table, error) {
	t := &table{
		title: "Fleets of three sizes",
		about: fmt.Sprintf("Every site sends a compressed batch every %v, with one run of each of %d checks, as an agent does; figures of the collector "+
			"over %v after all sites reported once. The page and the list are read whole, uncompressed, while the fleet reports: median of ten.", scaleEvery, scaleChecks, scaleMeasured),
		columns: []string{"sites", "CPU of one core", "CPU ms per site and minute", "RSS", "RSS per site", "map page", "/api/v1/sites", "size of the list"},
	}
	for _, n := range []int{136, 1360, 13600} {
		row, err := scale(ctx, e, n)
		if err != nil {
			return nil, fmt.Errorf("%d sites: %w", n, err)
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

func scale(ctx context.Context, e *env, n int) ([]string, error) {
	st, err := startStation(ctx, e, "scale-"+strconv.Itoa(n), n)
	if err != nil {
		return nil, err
	}
	defer st.Stop()
	fleet, stopFleet := context.WithCancel(ctx)
	defer stopFleet()
	group, fleet := errgroup.WithContext(fleet)
	for k := range scaleSenders {
		group.Go(func() error { return report(fleet, st, k) })
	}
	if err := wait(fleet, scaleWarm); err != nil {
		return nil, group.Wait()
	}
	before, err := st.CPU()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	page, _, err := fetch(ctx, st.URL+"/")
	if err != nil {
		return nil, err
	}
	list, size, err := fetch(ctx, st.URL+"/api/v1/sites")
	if err != nil {
		return nil, err
	}
	if err := wait(fleet, scaleMeasured-time.Since(begin)); err != nil {
		return nil, group.Wait()
	}
	after, err := st.CPU()
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	rss, _, err := st.Memory()
	if err != nil {
		return nil, err
	}
	stopFleet()
	if err := group.Wait(); err != nil && ctx.Err() != nil {
		return nil, err
	}
	share := float64(after-before) / float64(took)
	return []string{
		strconv.Itoa(n), fmt.Sprintf("%.1f %%", 100*share), number(float64(after-before) / 1e6 / float64(n) / took.Minutes()),
		mib(rss), fmt.Sprintf("%.0f KiB", rss/1024/float64(n)), page.Round(100 * time.Microsecond).String(),
		list.Round(100 * time.Microsecond).String(), fmt.Sprintf("%.0f KiB", float64(size)/1024),
	}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// report sends for every scaleSenders-th site, evenly spread over scaleEvery, until ctx ends.
func report(ctx context.Context, st *station.Station, k int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	mine := (len(st.Sites) - k + scaleSenders - 1) / scaleSenders
	if mine == 0 {
		return nil
	}
	tick := time.NewTicker(scaleEvery / time.Duration(mine))
	defer tick.Stop()
	var raw []byte
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	for round := 1; ; round++ {
		for i := k; i < len(st.Sites); i += scaleSenders {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			raw = raw[:0]
			at := time.Now().Add(-time.Second).Truncate(time.Millisecond).UnixNano()
			for c := range scaleChecks {
				raw = station.AppendRun(raw, st.Sites[i], c, at, i+round)
			}
			zipped.Reset()
			zip.Reset(&zipped)
			zip.Write(raw)
			zip.Close()
			if err := postBatch(ctx, client, st, i, round, zipped.Bytes()); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func postBatch(ctx context.Context, client *http.Client, st *station.Station, i, round int, zipped []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, st.URL+"/api/v2/write?org=communewatch&bucket=communewatch", bytes.NewReader(zipped))
	if err != nil {
		return err
	}
	h := req.Header
	h.Set("Authorization", "Token "+st.Tokens[i])
	h.Set("Content-Encoding", "gzip")
	h.Set(wire.HeaderAgent, "pc-1")
	h.Set(wire.HeaderBoot, fmt.Sprintf("%016x", i))
	h.Set(wire.HeaderSeq, strconv.Itoa(round))
	h.Set(wire.HeaderClock, "1")
	h.Set(wire.HeaderSentAt, strconv.FormatInt(time.Now().UnixMilli(), 10))
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

// fetch reads url ten times, a second apart so that states may change between, and returns the median and the size.
func fetch(ctx context.Context, url string) (time.Duration, int64, error) {
	var times []time.Duration
	var size int64
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for range 10 {
		begin := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return 0, 0, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, 0, err
		}
		size, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			return 0, 0, err
		}
		if resp.StatusCode != http.StatusOK {
			return 0, 0, fmt.Errorf("%s: status %d", url, resp.StatusCode)
		}
		times = append(times, time.Since(begin))
		if err := wait(ctx, time.Second); err != nil {
			return 0, 0, err
		}
	}
	slices.Sort(times)
	return times[len(times)/2], size, nil
}

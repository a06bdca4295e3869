package stores

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"communewatch/collector"
	"communewatch/collector/store/influxd"
	"communewatch/deploy/lab/bench/station"
	"communewatch/deploy/lab/usage"
	"communewatch/probes/wire"
)

const (
	straightSites   = 136
	straightTargets = 10
	agentSenders    = 34 // so that both ways have about as many rows under way
	clientSenders   = 8
	straightRuns    = 250_000 // each two rows
	straightPairs   = 5
	agentLines      = 1200 // of an agent's full batch, which is sealed at 256 KiB
	clientLines     = 5000 // the client library's own default
	valuesPerRun    = 14   // twelve numbers and two texts
)

// load is the same points twice: as agents' batches, and as one client's.
type load struct {
	agents  [][]batch  // by sender
	clients [][]string // by sender
	runs    int
}

// batch is what an agent sends.
type batch struct {
	site, seq int
	zipped    []byte
}

func makeLoad(sites []string, runs int) (l load, err error) {
	begin := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	l.agents, l.clients = make([][]batch, agentSenders), make([][]string, clientSenders)
	l.runs = runs / len(sites) * len(sites)
	var straight [clientSenders]bytes.Buffer
	var lines [clientSenders]int
	for i, site := range sites {
		agent, client := i%agentSenders, i%clientSenders
		var own []byte
		n, seq := 0, 0
		cut := func() error {
			if n == 0 {
				return nil
			}
			var zipped bytes.Buffer
			w := gzip.NewWriter(&zipped)
			if _, err := w.Write(own); err != nil {
				return err
			}
			if err := w.Close(); err != nil {
				return err
			}
			seq++
			l.agents[agent] = append(l.agents[agent], batch{i, seq, zipped.Bytes()})
			own, n = own[:0], 0
			return nil
		}
		for k := range runs / len(sites) {
			from := len(own)
			own = station.AppendRun(own, site, k%straightTargets, begin.Add(time.Duration(k/straightTargets)*time.Second).UnixNano(), k)
			straight[client].Write(own[from:])
			if lines[client] += 2; lines[client] >= clientLines {
				l.clients[client] = append(l.clients[client], straight[client].String())
				straight[client].Reset()
				lines[client] = 0
			}
			if n += 2; n >= agentLines {
				if err := cut(); err != nil {
					return l, err
				}
			}
		}
		if err := cut(); err != nil {
			return l, err
		}
	}
	for client := range straight {
		if straight[client].Len() > 0 {
			l.clients[client] = append(l.clients[client], straight[client].String())
		}
	}
	return l, nil
}

// figures are those of one run.
type figures struct {
	perSecond                   float64 // rows
	sender, collector, database float64 // microseconds of processor time per row
	rss                         float64 // of the database
}

// Influx compares the way into an InfluxDB through the collector with the straight one.
func (b *Bench) Influx(ctx context.Context) (Table, error) {
	runs, pairs := straightRuns, straightPairs
	if b.small {
		runs, pairs = 20_000, 1
	}
	t := Table{
		Title: "Into InfluxDB through the collector, and straight",
		About: fmt.Sprintf("%d rows (%d values) of %d sites into InfluxDB %s, a fresh one each time, each sender with one request under way: as agents' "+
			"gzipped batches of %d rows from %d senders through the collector's door (tokens, the contract, clocks, accounts, judging, then the store), and the same lines straight, by "+
			"influxdb-client-go's WriteAPIBlocking with gzip from %d senders, %d rows at a time, its own default. So straight has %d rows under way and the collector %d. Both ways make the "+
			"same series and fields; straight integers stay integers and times have nanoseconds, as the lines have them, where the collector stores numbers as floats and times "+
			"in milliseconds. Senders, collector and InfluxDB share the machine, each with GOMAXPROCS=%d; the collector has read the recent past before it is sent anything. The "+
			"clock stops when the last row is answered to be stored, and all are counted in the database afterwards. %d pairs, first the one, then the other begins; medians, and "+
			"of the ratio the range. CPU is user and system time per row from the first request to the last answer, and tells more than the ratio where others use the machine too.",
			2*runs, valuesPerRun*runs, straightSites, influxd.Version, agentLines, agentSenders, clientSenders, clientLines, clientSenders*clientLines, agentSenders*agentLines,
			runtime.GOMAXPROCS(0), pairs),
		Columns: []string{"way", "rows/s", "ratio", "CPU sender", "CPU collector", "CPU InfluxDB", "CPU in all", "RSS InfluxDB"},
	}
	var through, straight []figures
	var ratios []float64
	for i := range pairs {
		var ours, theirs figures
		var err error
		first := func() error { ours, err = b.through(ctx, fmt.Sprint("through-", i), runs); return err }
		second := func() error { theirs, err = b.straight(ctx, fmt.Sprint("straight-", i), runs); return err }
		if i%2 == 1 {
			first, second = second, first
		}
		if err := first(); err != nil {
			return t, err
		}
		if err := second(); err != nil {
			return t, err
		}
		through, straight = append(through, ours), append(straight, theirs)
		ratios = append(ratios, ours.perSecond/theirs.perSecond)
		b.say("pair %d: %s rows/s through the collector, %s straight: %.2f; CPU per row %.1f µs and %.1f µs", i+1, count(ours.perSecond), count(theirs.perSecond),
			ours.perSecond/theirs.perSecond, ours.sender+ours.collector+ours.database, theirs.sender+theirs.database)
	}
	micro := func(v float64) string { return fmt.Sprintf("%.1f µs", v) }
	add := func(way, ratio string, all []figures, of string) {
		m := func(get func(figures) float64) float64 { return median(all, get) }
		t.Rows = append(t.Rows, []string{way, count(m(func(f figures) float64 { return f.perSecond })), ratio, micro(m(func(f figures) float64 { return f.sender })), of,
			micro(m(func(f figures) float64 { return f.database })), micro(m(func(f figures) float64 { return f.sender + f.collector + f.database })),
			mib(m(func(f figures) float64 { return f.rss }))})
	}
	slices.Sort(ratios)
	add("through the collector", fmt.Sprintf("%.2f (%.2f to %.2f)", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1]), through,
		micro(median(through, func(f figures) float64 { return f.collector })))
	add("straight", "1", straight, "")
	return t, nil
}

func median(all []figures, get func(figures) float64) float64 {
	var v []float64
	for _, f := range all {
		v = append(v, get(f))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// fresh starts a database of its own for one run, with a collector's settings for it.
func (b *Bench) fresh(ctx context.Context, name string) (*influxd.Server, *station.Station, error) {
	dir := filepath.Join(b.dir, name)
	db, err := influxd.New(influxd.Options{Dir: filepath.Join(dir, "influxdb")})
	if err != nil {
		return nil, nil, err
	}
	st, err := station.Prepare(ctx, dir, straightSites, fmt.Sprintf("store: influx\ninflux: {url: %q}\n", db.URL()))
	if err != nil {
		return nil, nil, err
	}
	cfg, err := collector.ReadConfig(st.Config)
	if err != nil {
		return nil, nil, err
	}
	if err := startDatabase(ctx, db, cfg); err != nil {
		db.Stop()
		return nil, nil, err
	}
	return db, st, nil
}

func (b *Bench) through(ctx context.Context, name string, runs int) (f figures, err error) {
	db, st, err := b.fresh(ctx, name)
	if err != nil {
		return f, err
	}
	defer db.Stop()
	l, err := makeLoad(st.Sites, runs)
	if err != nil {
		return f, err
	}
	if err := st.Start(ctx, b.bin); err != nil {
		return f, err
	}
	defer st.Stop()
	return measure(ctx, db, st.PID(), l, agentSenders, func(ctx context.Context, sender int) error {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: time.Minute}
		defer client.CloseIdleConnections()
		for _, b := range l.agents[sender] {
			if err := deliver(ctx, client, st, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// deliver sends a batch as an agent does.
func deliver(ctx context.Context, client *http.Client, st *station.Station, b batch) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, st.URL+"/api/v2/write?org=communewatch&bucket=communewatch", bytes.NewReader(b.zipped))
	if err != nil {
		return err
	}
	h := req.Header
	h.Set("Authorization", "Token "+st.Tokens[b.site])
	h.Set("Content-Encoding", "gzip")
	h.Set(wire.HeaderAgent, "pc-1")
	h.Set(wire.HeaderBoot, fmt.Sprintf("%016x", b.site+1))
	h.Set(wire.HeaderSeq, strconv.Itoa(b.seq))
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

func (b *Bench) straight(ctx context.Context, name string, runs int) (f figures, err error) {
	db, st, err := b.fresh(ctx, name)
	if err != nil {
		return f, err
	}
	defer db.Stop()
	l, err := makeLoad(st.Sites, runs)
	if err != nil {
		return f, err
	}
	return measure(ctx, db, 0, l, clientSenders, func(ctx context.Context, sender int) error {
		client := influxdb2.NewClientWithOptions(db.URL(), "", influxdb2.DefaultOptions().SetUseGZip(true).SetHTTPRequestTimeout(60))
		defer client.Close()
		w := client.WriteAPIBlocking("", "communewatch")
		for _, lines := range l.clients[sender] {
			if err := w.WriteRecord(ctx, lines); err != nil {
				return err
			}
		}
		return nil
	})
}

// measure runs all senders at once, and counts afterwards what the database has.
func measure(ctx context.Context, db *influxd.Server, collectorPID int, l load, senders int, send func(context.Context, int) error) (f figures, err error) {
	used := func() (sum [3]time.Duration, err error) {
		var self syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
			return sum, err
		}
		sum[0] = time.Duration(self.Utime.Nano() + self.Stime.Nano())
		if collectorPID != 0 {
			if sum[1], err = usage.CPU(collectorPID); err != nil {
				return sum, err
			}
		}
		sum[2], err = usage.CPU(db.PID())
		return sum, err
	}
	before, err := used()
	if err != nil {
		return f, err
	}
	begin := time.Now()
	group, sending := errgroup.WithContext(ctx)
	for sender := range senders {
		group.Go(func() error { return send(sending, sender) })
	}
	if err := group.Wait(); err != nil {
		return f, err
	}
	took := time.Since(begin)
	after, err := used()
	if err != nil {
		return f, err
	}
	rows := float64(2 * l.runs)
	each := func(i int) float64 { return float64(after[i]-before[i]) / 1000 / rows }
	f = figures{perSecond: rows / took.Seconds(), sender: each(0), collector: each(1), database: each(2)}
	if f.rss, _, err = usage.Memory(db.PID()); err != nil {
		return f, err
	}
	for measurement, field := range map[string]string{"icmp": "sent", "check": "took_seconds"} {
		n, err := stored(ctx, db.URL(), measurement, field)
		if err != nil {
			return f, err
		}
		if n != l.runs {
			return f, fmt.Errorf("the database has %d of %d rows of %s", n, l.runs, measurement)
		}
	}
	return f, nil
}

// stored counts the values of a field, as an operator would.
func stored(ctx context.Context, server, measurement, field string) (int, error) {
	q := url.Values{"db": {"communewatch"}, "q": {fmt.Sprintf(`SELECT COUNT(%q) FROM %q`, field, measurement)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/query", strings.NewReader(q.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var doc struct {
		Results []struct {
			Series []struct{ Values [][]any }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		return 0, err
	}
	if len(doc.Results) != 1 || len(doc.Results[0].Series) != 1 || len(doc.Results[0].Series[0].Values) != 1 {
		return 0, nil
	}
	n, _ := doc.Results[0].Series[0].Values[0][1].(float64)
	return int(n), nil
}

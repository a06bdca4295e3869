package e2e

import (
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/collector/api"
	"communewatch/deploy/lab"
	"communewatch/deploy/lab/audit"
	"communewatch/deploy/lab/database"
	"communewatch/deploy/lab/scenario"
	"communewatch/probes/wire"
)

// TestPowerCutOfTheCollectorLosesNothing plays a disk that has fallen behind. From a moment on nothing more reaches
// it: the collector goes on acknowledging, but what it says of its disk stays where it was, and in the power cut
// everything since that moment is gone. Agents must have kept it.
//
// The second site is told that its results are on disk when they are not. Those must be found lost, or the audit
// could not tell.
//
// With an InfluxDB the cut hits its machine too.
func TestPowerCutOfTheCollectorLosesNothing(t *testing.T) {
	onBothStores(t, powerCutOfTheCollectorLosesNothing)
}

func powerCutOfTheCollectorLosesNothing(t *testing.T, store string) {
	pv := prepare(t, store, 2, 30*time.Second)
	told, lied := pv.sites[0], pv.sites[1]
	honest := pv.startDisk(told)
	pv.startDisk(lied) // never capped
	pv.start(lab.Parts{Gear: true, Agents: pv.sites})
	process := pv.spawn("collector")
	pv.until(live, "both sites report", func(s map[string]api.Site) bool { return all(s, "ok", told, lied) })
	eventually(t, 10*time.Second, "the collector says what is on disk", func() bool { return honest.durable.Load() > 0 }, func() string { return "" })

	// What was ever said to be on disk was there before the copy is taken.
	honest.most.Store(honest.durable.Load())
	folders := map[string]string{lab.CollectorDir(pv.dir): filepath.Join(pv.dir, "durable")}
	order := func(string) {}
	if store == collector.StoreInflux {
		folders[database.Dir(pv.dir)] = filepath.Join(pv.dir, "durable-influxdb")
		order = func(mode string) { pv.do(scenario.Order{Do: scenario.DoDatabase, Mode: mode}) }
	}
	process.signal(syscall.SIGSTOP)
	order(database.Hang)
	for data, copied := range folders {
		copyDir(t, data, copied)
	}
	order(database.Up)
	process.signal(syscall.SIGCONT)

	kept := len(pv.spooled(told))
	wait(t, 8*time.Second)
	if now := len(pv.spooled(told)); now < kept+3 {
		t.Errorf("the agent kept %d batches when the disk fell behind and %d eight seconds later; it must keep what is acknowledged but not on disk", kept, now)
	}
	if n := len(pv.spooled(lied)); n > 8 {
		t.Errorf("the agent keeps %d batches that are on disk as far as it knows", n)
	}
	process.kill()
	order(database.Kill)
	for data, copied := range folders {
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(copied, data); err != nil {
			t.Fatal(err)
		}
	}
	order(database.Up)
	honest.most.Store(math.MaxUint64)
	pv.spawn("collector")

	pv.until(live, "both sites report again", func(s map[string]api.Site) bool { return all(s, "ok", told, lied) })
	if r := pv.auditOf(told, 40*time.Second); !r.OK() || r.Taken == 0 {
		t.Errorf("after the power cut: %s", r.String())
	}
	r := pv.auditOf(lied, 0)
	if r.Lost == 0 || r.Doubled > 0 {
		t.Errorf("results that were not kept must be found lost: %s", r.String())
	}
	if r.Missing == 0 {
		t.Error("lost batches must be missing in the collector's accounts")
	}
	t.Logf("told the truth: nothing lost; lied to: %d lost, %d batches missing in the accounts", r.Lost, r.Missing)
	eventually(t, 15*time.Second, "nothing is kept any more", func() bool { return len(pv.spooled(told)) <= 5 }, func() string { return "" })
}

// disk stands between a site's agent and the collector, and caps what answers say is on disk.
type disk struct {
	durable atomic.Uint64 // the highest that was said
	most    atomic.Uint64
}

func (pv *province) startDisk(site string) *disk {
	pv.t.Helper()
	listener, err := net.Listen("tcp", freeAddress(pv.t))
	if err != nil {
		pv.t.Fatal(err)
	}
	d := &disk{}
	d.most.Store(math.MaxUint64)
	transport := &http.Transport{DisableKeepAlives: true}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: pv.listen})
	proxy.Transport = transport
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	proxy.ModifyResponse = func(r *http.Response) error {
		if n, err := strconv.ParseUint(r.Header.Get(wire.HeaderDurable), 10, 64); err == nil {
			n = min(n, d.most.Load())
			r.Header.Set(wire.HeaderDurable, strconv.FormatUint(n, 10))
			d.durable.Store(max(n, d.durable.Load()))
		}
		return nil
	}
	server := &http.Server{Handler: proxy}
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(listener) }()
	pv.t.Cleanup(func() { server.Close(); <-served })
	pv.edit(site, pv.listen, listener.Addr().String())
	return d
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	if s == syscall.SIGSTOP {
		// The signal is on its way when the call returns; the process is stopped once the kernel says so.
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			p.t.Fatalf("process not stopped: %v %v", status, err)
		}
	}
}

// auditOf audits one site of the lab.
func (pv *province) auditOf(site string, within time.Duration) audit.Report {
	pv.t.Helper()
	dir := shortDir(pv.t)
	err := os.Symlink(filepath.Join(pv.dir, "collector"), filepath.Join(dir, "collector"))
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "ledger"), 0o700)
	}
	if err == nil {
		err = copyFile(filepath.Join(pv.dir, "ledger", site), filepath.Join(dir, "ledger", site))
	}
	if err != nil {
		pv.t.Fatal(err)
	}
	r, err := audit.Run(pv.t.Context(), dir, within, slog.New(slog.DiscardHandler))
	if err != nil {
		pv.t.Fatal(err)
	}
	return r
}

// killedAudit is audited after a kill of agents, which may fall between a result's two records.
func (pv *province) killedAudit() {
	pv.t.Helper()
	r, err := audit.Run(pv.t.Context(), pv.dir, 60*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		pv.t.Fatal(err)
	}
	if !r.OK() || r.Taken == 0 {
		pv.t.Errorf("want nothing lost and nothing doubled: %s", r.String())
	}
	pv.t.Log(r.String())
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case d.Type().IsRegular():
			return copyFile(p, filepath.Join(to, rel))
		}
		return nil // sockets
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

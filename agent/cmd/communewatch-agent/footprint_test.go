package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

var footprintFor = flag.Duration("footprint", 65*time.Second, "how long BenchmarkAgentFootprint watches the agent")

// What an agent may cost an office's PC, with 20 targets every 30 s.
const (
	maxRSS    = 40e6 // bytes
	maxCPU    = 0.01 // of one core
	maxBinary = 25e6 // bytes
	settle    = 3 * time.Second
)

// BenchmarkAgentFootprint measures the real program: size, memory and processor time with 20 targets on loopback every
// 30 s and a collector that takes everything. Run it with -benchtime 1x.
func BenchmarkAgentFootprint(b *testing.B) {
	if runtime.GOOS == "windows" {
		b.Skip("stops the agent with a signal, which Windows does not have")
	}
	dir := b.TempDir()
	binary := filepath.Join(dir, "communewatch-agent")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	var batches atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			batches.Add(1)
		}
		w.Header().Set("X-Influxdb-Version", "test")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer collector.Close()
	config := filepath.Join(dir, "agent.yaml")
	if err := os.WriteFile(config, []byte(twentyChecks(b, dir, collector.URL)), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var log bytes.Buffer
		agent := exec.Command(binary, "run", "--config", config)
		agent.Stderr = &log
		if err := agent.Start(); err != nil {
			b.Fatal(err)
		}
		rss, peak, cpu := watch(b, agent.Process.Pid)
		_ = agent.Process.Signal(syscall.SIGTERM)
		begin := time.Now()
		if err := agent.Wait(); err != nil {
			b.Errorf("agent: %v\n%s", err, log.String())
		}
		b.ReportMetric(0, "ns/op") // says nothing here
		b.ReportMetric(float64(info.Size())/1e6, "binary-MB")
		b.ReportMetric(rss/1e6, "rss-MB")
		b.ReportMetric(peak/1e6, "peak-rss-MB")
		b.ReportMetric(cpu*100, "cpu-%")
		b.ReportMetric(float64(batches.Load()), "batches")
		b.ReportMetric(time.Since(begin).Seconds(), "stop-s")
		if peak > maxRSS || cpu > maxCPU || float64(info.Size()) > maxBinary {
			b.Errorf("more than %.0f MB of memory, %.0f %% of a core or %.0f MB of program", maxRSS/1e6, maxCPU*100, maxBinary/1e6)
		}
		if batches.Load() == 0 {
			b.Errorf("nothing was sent:\n%s", log.String())
		}
	}
}

// watch returns memory (mean and peak) and processor time per time of a process once it has settled.
func watch(b *testing.B, pid int) (rss, peak, cpu float64) {
	time.Sleep(settle)
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		b.Fatal(err)
	}
	times := func() float64 {
		t, err := p.Times()
		if err != nil {
			b.Fatal(err)
		}
		return t.User + t.System
	}
	before, begin, n := times(), time.Now(), 0.0
	for time.Since(begin) < *footprintFor {
		time.Sleep(500 * time.Millisecond)
		mem, err := p.MemoryInfo()
		if err != nil {
			b.Fatal(err)
		}
		rss, peak, n = rss+float64(mem.RSS), max(peak, float64(mem.RSS)), n+1
	}
	return rss / n, peak, (times() - before) / time.Since(begin).Seconds()
}

// twentyChecks is a config with 20 checks of all kinds of targets that it starts on loopback.
func twentyChecks(b *testing.B, dir, collector string) string {
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	b.Cleanup(web.Close)
	resolver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { resolver.Close() })
	go answerDNS(resolver)
	var s strings.Builder
	fmt.Fprintf(&s, "site: s1\nagent: bench\nstate_dir: %s\ncollectors: [{url: '%s', token: x}]\nchecks:\n", dir, collector)
	for i := range 10 {
		fmt.Fprintf(&s, "- {name: ping-%d, kind: icmp, address: 127.0.0.%d, path: broadband, options: {count: 20}}\n", i, i+1)
	}
	for i := range 4 {
		fmt.Fprintf(&s, "- {name: tcp-%d, kind: tcp, address: '%s', path: dedicated}\n", i, web.Listener.Addr())
		fmt.Fprintf(&s, "- {name: http-%d, kind: http, address: '%s', path: broadband, options: {skip_verify: true}}\n", i, web.URL)
	}
	for i := range 2 {
		fmt.Fprintf(&s, "- {name: dns-%d, kind: dns, address: a.example, path: lan, options: {resolvers: [{name: r, address: '%s'}]}}\n", i, resolver.LocalAddr())
	}
	return s.String()
}

// answerDNS answers every question for an A record with 192.0.2.1.
func answerDNS(c net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		end := 12
		for end < n && buf[end] != 0 {
			end += int(buf[end]) + 1
		}
		if end += 5; end > n {
			continue
		}
		answer := append([]byte{}, buf[:end]...)
		answer[2], answer[3] = 0x81, 0x80                  // a response, recursion available
		copy(answer[4:12], []byte{0, 1, 0, 1, 0, 0, 0, 0}) // one question, one answer
		answer = append(answer, 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1)
		_, _ = c.WriteTo(answer, from)
	}
}

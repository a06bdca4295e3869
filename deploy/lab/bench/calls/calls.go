// Package calls loads a reflector with conference calls, and Janus beside it with the same ones, and asks what one call
// takes of an agent's machine.
package calls

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"communewatch/deploy/lab/bench/program"
	"communewatch/deploy/lab/janus"
	"communewatch/deploy/lab/lifeline"
	"communewatch/deploy/lab/load"
	"communewatch/deploy/lab/usage"
	"communewatch/probes/webrtc/reflector"
)

const (
	callProfile  = "720p" // 2 Mbit/s of video and 32 kbit/s of audio
	callWarm     = 2 * time.Second
	callMeasured = 6 * time.Second // more than the 5 s over which a reflector says how long packets stay
	callToken    = "a-token-of-the-benchmark"
	callTest     = 15 * time.Second

	// residenceGoal is what a packet's stay may be at its 99th percentile for the reflector's own noise to be small
	// beside that of a line.
	residenceGoal = 5 * time.Millisecond
	mostCalls     = 400
)

// table collects rows.
type table struct{ rows [][]string }

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

// env is where the programs are, and a folder for files.
type env struct{ bin, dir string }

// Measure loads the programs in bin with calls, and says how that was done, and what came of it as a table's columns and
// rows. dir is a folder for files.
func Measure(ctx context.Context, bin, dir string) (about string, columns []string, rows [][]string, err error) {
	about = fmt.Sprintf("Calls of 2 Mbit/s video and 32 kbit/s audio both ways (%s), paced by frame, over loopback; %v after %v to warm up. The caller is one process for all calls, the same "+
		"one for the reflector and for Janus, which has a network of its own. Residence is what the reflector says of itself; the round trip is what the caller sees, its own waiting for a processor and all. "+
		"\"One core\" is a reflector that may use one processor, the caller the other: the most calls for which residence stays below %v at the 99th percentile, nothing is lost and the caller itself keeps "+
		"its pace; each number is tried twice, and the row of the next larger one tells what broke. An agent's test is one run of `probe webrtc` in its own process, its child included.",
		callProfile, callMeasured, callWarm, residenceGoal)
	columns = []string{"", "calls", "CPU of a core", "per call", "RSS", "per call", "residence p99", "round trip median, p99", "lost"}
	e, t := &env{bin, dir}, &table{}
	base := map[int]loaded{}
	for _, n := range []int{1, 10, 50, 100} {
		l, err := loadReflector(ctx, e, n, false)
		if err != nil {
			return "", nil, nil, fmt.Errorf("%d calls: %w", n, err)
		}
		base[n] = l
		t.rows = append(t.rows, l.row("reflector"))
	}
	if err := oneCore(ctx, e, t); err != nil {
		return "", nil, nil, err
	}
	if err := beside(ctx, e, t, base); err != nil {
		return "", nil, nil, err
	}
	if err := agentTest(ctx, e, t); err != nil {
		return "", nil, nil, err
	}
	return about, columns, t.rows, nil
}

func mib(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }

// loaded is a far end under a load.
type loaded struct {
	load.Result
	cpu       float64 // of a core
	rss       float64
	idle      float64 // rss without calls
	residence float64 // seconds; 0: not known
}

func (l loaded) row(name string) []string {
	var t table
	residence := ""
	if l.residence > 0 {
		residence = fmt.Sprintf("%.2f ms", 1000*l.residence)
	}
	n := float64(l.Sessions)
	t.add(name, l.Sessions, fmt.Sprintf("%.1f %%", 100*l.cpu), fmt.Sprintf("%.2f %%", 100*l.cpu/n), mib(l.rss), fmt.Sprintf("%.2f MiB", (l.rss-l.idle)/n/(1<<20)), residence,
		fmt.Sprintf("%.2f, %.1f ms", 1000*l.RTTMedian, 1000*l.RTTP99), fmt.Sprintf("%d of %d", l.Lost, l.Sent))
	return t.rows[0]
}

// loadReflector measures a reflector of its own under n calls. Apart puts it onto the first processor and the caller
// onto the second.
func loadReflector(ctx context.Context, e *env, n int, apart bool) (loaded, error) {
	signal, err := program.FreeAddress()
	if err != nil {
		return loaded{}, err
	}
	file := filepath.Join(e.dir, "reflector.token")
	if err := os.WriteFile(file, []byte(callToken), 0o600); err != nil {
		return loaded{}, err
	}
	onto := func(cpu string, command ...string) []string {
		if apart {
			return append([]string{"taskset", "-c", cpu}, command...)
		}
		return command
	}
	command := onto("0", filepath.Join(e.bin, "communewatch-collector"), "reflector", "--listen", signal, "--media", "127.0.0.1:0", "--token-file", file)
	p, err := program.Start(command[0], command[1:]...)
	if err != nil {
		return loaded{}, err
	}
	defer p.Stop()
	url := "http://" + signal + "/whip/"
	if err := p.Ready(ctx, url+"status"); err != nil {
		return loaded{}, err
	}
	idle, _, err := p.Memory()
	if err != nil {
		return loaded{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return loaded{}, err
	}
	args := onto("1", self, "load", "--service", "reflector", "--url", url+"echo", "--token", callToken, "--calls", strconv.Itoa(n))
	l, err := underLoad(p.PID(), exec.CommandContext(ctx, args[0], args[1:]...), func(l *loaded) error {
		l.residence, err = residence(ctx, url+"status")
		return err
	})
	l.idle = idle
	return l, err
}

// underLoad runs the load and looks at the process under it.
func underLoad(pid int, cmd *exec.Cmd, atEnd func(*loaded) error) (l loaded, err error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	lifeline.DieWithParent(cmd)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return l, err
	}
	if err := cmd.Start(); err != nil {
		return l, err
	}
	defer func() {
		if werr := cmd.Wait(); werr != nil {
			err = fmt.Errorf("%w: %s", werr, strings.TrimSpace(stderr.String()))
		}
	}()
	var before, after time.Duration
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch line := lines.Text(); line {
		case loadBegins:
			if before, err = usage.CPU(pid); err != nil {
				return l, err
			}
		case loadEnds:
			if after, err = usage.CPU(pid); err != nil {
				return l, err
			}
			if l.rss, _, err = usage.Memory(pid); err != nil {
				return l, err
			}
			if err := atEnd(&l); err != nil {
				return l, err
			}
		default:
			if err := json.Unmarshal([]byte(line), &l.Result); err != nil {
				return l, fmt.Errorf("the load says %q: %w", line, err)
			}
		}
	}
	l.cpu = (after - before).Seconds() / callMeasured.Seconds()
	if l.Sessions == 0 {
		return l, errors.New("the load says nothing")
	}
	return l, lines.Err()
}

// What the load says beside its result.
const (
	loadBegins = "begin"
	loadEnds   = "end"
)

// Load is what the benchmark starts to make calls: it says when it begins and ends to measure, and then what it saw.
func Load(ctx context.Context, out io.Writer, o load.Options) error {
	profile, err := load.Named(callProfile)
	if err != nil {
		return err
	}
	o.Profile, o.Warm, o.Duration, o.Hold = profile, callWarm, callMeasured, time.Second
	r, err := load.Run(ctx, o, func(begin bool) {
		if begin {
			fmt.Fprintln(out, loadBegins)
		} else {
			fmt.Fprintln(out, loadEnds)
		}
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

// residence asks a reflector how long packets stayed, at the 99th percentile.
func residence(ctx context.Context, url string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+callToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var st reflector.Status
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		return 0, err
	}
	if st.Residence == nil {
		return 0, fmt.Errorf("the reflector does not say how long packets stay: %+v", st)
	}
	return st.Residence.P99, nil
}

// oneCore searches how many calls a reflector with one processor holds.
func oneCore(ctx context.Context, e *env, t *table) error {
	if runtime.NumCPU() < 2 {
		return nil
	}
	// broke says what is wrong with a load, "" if nothing is.
	broke := func(l loaded, err error) string {
		switch {
		case err != nil && strings.Contains(err.Error(), "takes no call now"):
			return "refuses more"
		case err != nil:
			return err.Error()
		case l.residence > residenceGoal.Seconds():
			return "residence"
		case l.Lost > 0 || l.Refused > 0:
			return "loss"
		case l.PacingP99 > 0.01:
			return "the caller is late"
		}
		return ""
	}
	var best, worst loaded
	var why string
	good, bad := 0, 0
	for n := 50; ; {
		l, err := loadReflector(ctx, e, n, true)
		b := broke(l, err)
		if b != "" { // once more: this machine has other things to do as well
			if l, err = loadReflector(ctx, e, n, true); ctx.Err() != nil {
				return ctx.Err()
			}
			b = broke(l, err)
		}
		if b == "" {
			good, best = n, l
		} else {
			bad, worst, why = n, l, b
			worst.Sessions = n
		}
		switch {
		case bad == 0 && good >= mostCalls:
		case bad == 0:
			n = good * 2
			continue
		case bad-good > max(5, bad/10):
			n = (good + bad) / 2
			continue
		}
		break
	}
	if good > 0 {
		t.rows = append(t.rows, best.row("reflector on one core holds"))
	}
	if bad > 0 {
		t.rows = append(t.rows, worst.row("and does not hold ("+why+")"))
	}
	return nil
}

// beside puts the same calls to Janus.
func beside(ctx context.Context, e *env, t *table, base map[int]loaded) error {
	started, cancel := context.WithTimeout(ctx, 30*time.Second)
	s, err := janus.Start(started)
	cancel()
	if errors.Is(err, janus.ErrMissing) {
		t.add("Janus EchoTest: "+err.Error(), "", "", "", "", "", "", "", "")
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Close()
	idle, _, err := usage.Memory(s.PID())
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, n := range []int{1, 10, 50} {
		cmd := s.Command(ctx, self, "load", "--service", "janus", "--url", s.URL(), "--local", s.Addr().String(), "--calls", strconv.Itoa(n))
		l, err := underLoad(s.PID(), cmd, func(*loaded) error { return nil })
		if err != nil {
			return fmt.Errorf("Janus with %d calls: %w", n, err)
		}
		l.idle = idle
		t.rows = append(t.rows, l.row("Janus EchoTest"))
		ours := base[n]
		t.add("Janus over reflector", n, fmt.Sprintf("%.1f times", l.cpu/ours.cpu), "", fmt.Sprintf("%.1f times", l.rss/ours.rss), "", "",
			fmt.Sprintf("%.1f, %.1f times", l.RTTMedian/ours.RTTMedian, l.RTTP99/ours.RTTP99), "")
	}
	return nil
}

// agentTest is what one test takes of an agent's machine.
func agentTest(ctx context.Context, e *env, t *table) error {
	signal, err := program.FreeAddress()
	if err != nil {
		return err
	}
	file := filepath.Join(e.dir, "reflector.token")
	r, err := program.Start(filepath.Join(e.bin, "communewatch-collector"), "reflector", "--listen", signal, "--media", "127.0.0.1:0", "--token-file", file)
	if err != nil {
		return err
	}
	defer r.Stop()
	url := "http://" + signal + "/whip/"
	if err := r.Ready(ctx, url+"status"); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(e.bin, "communewatch-agent"), "probe", "webrtc", url+"echo", "--token-file", file,
		"--profile", callProfile, "--duration", callTest.String(), "--json")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("agent: %w: %s", err, out)
	}
	var doc any
	if err := json.Unmarshal(out, &doc); err != nil {
		return fmt.Errorf("agent: %w: %s", err, out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("the system does not say what a process used")
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	t.add(fmt.Sprintf("an agent's test of %v: %.2f s of CPU", callTest, used.Seconds()), 1, fmt.Sprintf("%.1f %%", 100*used.Seconds()/callTest.Seconds()), "",
		mib(float64(usage.Maxrss)*1024), "", "", "", "")
	return nil
}

package join

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/agent/identity"
	"communewatch/agent/identity/identitytest"
	"communewatch/probes/enroll"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(t *testing.T, c *identitytest.Collector) Options {
	return Options{Dir: identity.Folder(t.TempDir()), Code: c.Code(), Agent: "pc", Machine: identity.Machine("1.0")}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		names = append(names, f.Name())
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v: others can read it", f.Name(), info.Mode())
		}
	}
	return names
}

func keys(t *testing.T, dir string) (list []string) {
	return slices.DeleteFunc(files(t, dir), func(n string) bool { return !strings.HasPrefix(n, "key-") })
}

func TestCodeMakesAnAgent(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	o := options(t, c)
	made, err := Enroll(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := identity.Read(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if kept.Name != made.Name || kept.Name.Site != "s08707" || kept.Name.Agent != "pc" || !kept.Key.Equal(made.Key) || !slices.Equal(kept.Collectors, []string{c.URL()}) {
		t.Errorf("kept %+v, made %+v", kept, made)
	}
	if got := files(t, o.Dir); len(got) != 3 || len(keys(t, o.Dir)) != 1 {
		t.Errorf("the folder holds %v, want identity, key and clock", got)
	}
	if info, err := os.Stat(o.Dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	for _, name := range files(t, o.Dir) {
		data, err := os.ReadFile(filepath.Join(o.Dir, name))
		if err != nil || strings.Contains(string(data), c.Get().Secret) {
			t.Errorf("%s holds the code's secret (%v)", name, err)
		}
	}

	if _, err := Enroll(t.Context(), o); !errors.Is(err, ErrEnrolled) || !strings.Contains(err.Error(), "agent pc of site s08707") {
		t.Errorf("once more: %v", err)
	}
	c.Set(func(s *identitytest.State) { *s = fresh(*s); s.Site = "s09999" })
	o.Again, o.Code = true, c.Code()
	again, err := Enroll(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if again.Name.Site != "s09999" || again.Key.Equal(made.Key) || len(keys(t, o.Dir)) != 1 {
		t.Errorf("--again gives %+v with keys %v, want another site, another key, and the old one gone", again.Name, keys(t, o.Dir))
	}
}

// fresh is the state of a collector that knows another code, which nobody has used.
func fresh(s identitytest.State) identitytest.State {
	n := identitytest.State{Authority: s.Authority, Secret: strings.Repeat("08", enroll.SecretBytes), Fleet: s.Fleet, Site: s.Site, Life: s.Life, Now: s.Now}
	return n
}

// At the first start of a machine its clock may say anything; the pin of the code decides, and from then on the
// collector's time.
func TestClockOffByYearsAtTheFirstStart(t *testing.T) {
	for _, off := range []time.Duration{0, -20, 20} {
		c := identitytest.NewCollector(t, time.Now)
		o := options(t, c)
		o.Now = func() time.Time { return time.Now().Add(off * 365 * 24 * time.Hour) }
		set, err := Enroll(t.Context(), o)
		if err != nil {
			t.Fatalf("%d years: %v", off, err)
		}
		kept, err := identity.Read(o.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for name, s := range map[string]*identity.Set{"at once": set, "after a restart": kept} {
			id := identity.New(o.Dir, s, identity.Options{Now: o.Now})
			if d := time.Since(id.Now()).Abs(); d > time.Minute {
				t.Errorf("%d years, %s: believed time is off by %v", off, name, d)
			}
			conn := http.Client{Transport: &http.Transport{TLSClientConfig: id.TLS("127.0.0.1")}}
			resp, err := conn.Get(c.URL() + enroll.TrustPath)
			if err != nil {
				t.Errorf("%d years, %s: %v", off, name, err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%d years, %s: %s", off, name, resp.Status)
			}
			conn.CloseIdleConnections()
		}
	}
}

func TestManInTheMiddleLearnsNothing(t *testing.T) {
	ours, other := identitytest.NewCollector(t, time.Now), identitytest.NewCollector(t, time.Now)
	o := options(t, ours)
	o.Code.Addresses = []string{other.URL()}
	_, err := Enroll(t.Context(), o)
	if !errors.Is(err, identity.ErrPin) || !strings.Contains(err.Error(), "not the collector that gave the code") {
		t.Errorf("got %v", err)
	}
	if n := other.Get().Asked; n != 0 {
		t.Errorf("the code's secret was sent %d times to a server without the authority", n)
	}
	// One that repeats our authority's certificate after its own.
	forged := other.Get().Authority.Server("127.0.0.1", time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
	forged.Certificate[1] = ours.Get().Authority.Cert.Raw
	other.Set(func(s *identitytest.State) { s.Shown = &forged })
	if _, err := Enroll(t.Context(), o); !errors.Is(err, identity.ErrAuthority) {
		t.Errorf("with our authority's certificate shown: %v", err)
	}
	// An agent of our own fleet that plays the collector.
	agent := ours.Get().Authority.Server("127.0.0.1", time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
	leaf := ours.Get().Authority.Agent(agent.Leaf.PublicKey, enroll.Name{Fleet: ours.Get().Fleet, Site: "s1", Agent: "a"}, time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
	agent.Certificate[0] = leaf.Raw
	agent.Leaf = leaf
	other.Set(func(s *identitytest.State) { s.Shown = &agent })
	if _, err := Enroll(t.Context(), o); err == nil {
		t.Error("an agent's certificate was taken for the collector's")
	}
	// The collector of another host.
	host := ours.Get().Authority.Server("elsewhere.example", time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
	other.Set(func(s *identitytest.State) { s.Shown = &host })
	if _, err := Enroll(t.Context(), o); !errors.Is(err, identity.ErrHost) {
		t.Errorf("another host: %v", err)
	}
	if n := other.Get().Asked; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestApprovalIsWaitedForAndSurvivesTheCommand(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	c.Set(func(s *identitytest.State) { s.Pending = true })
	o := options(t, c)
	var said []string
	o.Say = func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }

	ctx, cancel := context.WithCancel(t.Context())
	o.Wait = func(ctx context.Context, d time.Duration) error {
		if d != 5*time.Second {
			t.Errorf("waits %v, was told to wait 5 s", d)
		}
		cancel()
		return ctx.Err()
	}
	if _, err := Enroll(ctx, o); err == nil || !strings.Contains(err.Error(), "goes on from here") {
		t.Fatalf("broken off: %v", err)
	}
	waits := 0
	o.Wait = func(context.Context, time.Duration) error {
		if waits++; waits == 2 {
			c.Set(func(s *identitytest.State) { s.Pending = false })
		}
		return nil
	}
	if _, err := Enroll(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if s := c.Get(); len(s.Keys) != 1 || s.Asked != 4 {
		t.Errorf("%d keys asked %d times, want one key that asked once, and then three times", len(s.Keys), s.Asked)
	}
	shown := ""
	for _, key := range c.Get().Keys { // in hexadecimal digits
		digits := strings.ToUpper(key)
		shown = digits[:4] + " " + digits[4:8] + " " + digits[8:12] + " " + digits[12:16]
	}
	if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "approves") && strings.Contains(s, shown) }) {
		t.Errorf("it does not say what it waits for, with the key %s: %q", shown, said)
	}
}

// A window that was closed: the service goes on with the request, once it is alone with it, and keeps nothing of the code.
func TestTheServiceFinishesWhatWaitsForApproval(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	c.Set(func(s *identitytest.State) { s.Pending = true })
	o := options(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	o.Wait = func(ctx context.Context, d time.Duration) error { cancel(); return ctx.Err() }
	if _, err := Enroll(ctx, o); !errors.Is(err, ErrLeft) || !Waits(o.Dir) {
		t.Fatalf("broken off: %v; waits: %v", err, Waits(o.Dir))
	}
	files(t, o.Dir) // nobody else can read them

	var said []string
	now, rounds := time.Now(), 0
	service := Options{Dir: o.Dir, Machine: o.Machine, Now: func() time.Time { return now }, Say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	service.Wait = func(context.Context, time.Duration) error {
		switch rounds++; rounds {
		case 1:
			if n := c.Get().Asked; n != 1 {
				t.Errorf("asked %d times while the command may still be there", n)
			}
			now = now.Add(time.Hour)
		case 2, 3: // is still waited for
			if n := c.Get().Asked; n != rounds {
				t.Errorf("asked %d times in round %d", n, rounds)
			}
		case 4:
			c.Set(func(s *identitytest.State) { s.Pending = false })
		default:
			return errors.New("it does not end")
		}
		return nil
	}
	Finish(t.Context(), service, time.Second)
	set, err := identity.Read(o.Dir)
	if err != nil || set.Name.Agent != "pc" || len(said) != 0 {
		t.Fatalf("%v, said %q", err, said)
	}
	if got := files(t, o.Dir); len(got) != 3 || Waits(o.Dir) || len(c.Get().Keys) != 1 {
		t.Errorf("the folder holds %v, %d keys were asked for", got, len(c.Get().Keys))
	}
}

// What was refused is not asked for again.
func TestTheServiceGivesARefusedRequestUp(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	c.Set(func(s *identitytest.State) { s.Pending = true })
	o := options(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	o.Wait = func(ctx context.Context, d time.Duration) error { cancel(); return ctx.Err() }
	if _, err := Enroll(ctx, o); !errors.Is(err, ErrLeft) {
		t.Fatal(err)
	}
	c.Set(func(s *identitytest.State) {
		s.Refuse = &enroll.Refusal{Code: enroll.RefusedRejected, Message: "not this one"}
	})
	var said []string
	later, rounds := time.Now().Add(time.Hour), 0
	Finish(t.Context(), Options{Dir: o.Dir, Now: func() time.Time { return later }, Say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
		Wait: func(context.Context, time.Duration) error {
			if rounds++; rounds == 3 {
				return context.Canceled
			}
			return nil
		}}, time.Second)
	data, err := os.ReadFile(filepath.Join(o.Dir, "joining.json"))
	if n := c.Get().Asked; n != 2 || Waits(o.Dir) || len(said) != 1 || err != nil || strings.Contains(string(data), "CW1") {
		t.Errorf("asked %d times, waits %v, said %q, kept %s (%v)", n, Waits(o.Dir), said, data, err)
	}
}

// The command and the service ask at once: whoever comes second sees that it is done.
func TestTheCommandSeesThatTheServiceFinished(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	c.Set(func(s *identitytest.State) { s.Pending = true })
	o := options(t, c)
	o.Wait = func(ctx context.Context, d time.Duration) error {
		c.Set(func(s *identitytest.State) { s.Pending = false })
		Finish(ctx, Options{Dir: o.Dir, Now: func() time.Time { return time.Now().Add(time.Hour) }}, time.Second)
		return nil
	}
	set, err := Enroll(t.Context(), o)
	if err != nil || set.Name.Agent != "pc" || c.Get().Asked != 2 {
		t.Errorf("%+v, %v, asked %d times", set, err, c.Get().Asked)
	}
}

// The answer was lost: the same code with the same key gets another.
func TestLostAnswer(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	o := options(t, c)
	if _, err := Enroll(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	// As it was before the answer came.
	if err := os.Remove(filepath.Join(o.Dir, "identity.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := Enroll(t.Context(), o); err == nil || !strings.Contains(err.Error(), "used already") {
		t.Errorf("a code used up, by a machine that forgot its request: %v", err)
	}
	c.Set(func(s *identitytest.State) {
		*s = fresh(*s)
		s.Refuse = &enroll.Refusal{Code: "trouble", Message: "no"}
	})
	o.Code = c.Code()
	if _, err := Enroll(t.Context(), o); err == nil {
		t.Fatal("a refusal was taken for an answer")
	}
	c.Set(func(s *identitytest.State) { s.Refuse = nil })
	if _, err := Enroll(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if k := c.Get().Keys; len(k) != 1 {
		t.Errorf("%d keys asked with one code", len(k))
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	for code, want := range map[string]string{
		enroll.RefusedCode: "does not know this code", enroll.RefusedUsed: "another machine", enroll.RefusedTaken: "--name",
		enroll.RefusedExpired: "expired", enroll.RefusedRejected: "said no", enroll.RefusedRevoked: "thrown out", enroll.RefusedBusy: "wait some minutes",
		"something": "words of its own",
	} {
		c.Set(func(s *identitytest.State) { s.Refuse = &enroll.Refusal{Code: code, Message: "words of its own"} })
		o := options(t, c)
		_, err := Enroll(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "clock") {
			t.Errorf("%s: %v", code, err)
		}
		if (code == enroll.RefusedRejected || code == enroll.RefusedRevoked) && !strings.Contains(fmt.Sprint(err), "words of its own") {
			t.Errorf("%s: what the collector's people said is not told: %v", code, err)
		}
		if _, err := identity.Read(o.Dir); !errors.Is(err, identity.ErrNone) {
			t.Errorf("%s: left an identity: %v", code, err)
		}
	}
	c.Set(func(s *identitytest.State) { s.Refuse = &enroll.Refusal{Code: enroll.RefusedExpired, Message: "x"} })
	o := options(t, c)
	o.Now = func() time.Time { return time.Now().AddDate(-3, 0, 0) }
	if _, err := Enroll(t.Context(), o); err == nil || !strings.Contains(err.Error(), "this machine's "+o.Now().UTC().Format("2006-01")) {
		t.Errorf("expired by a clock that differs: %v", err)
	}
}

func TestAddressesAreTriedInOrder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "https://" + l.Addr().String()
	l.Close()
	c := identitytest.NewCollector(t, time.Now)
	o := options(t, c)
	o.Code.Addresses = []string{dead}
	if _, err := Enroll(t.Context(), o); err == nil || !strings.Contains(err.Error(), dead) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
	o.Code.Addresses = []string{dead, c.URL()}
	if _, err := Enroll(t.Context(), o); err != nil {
		t.Errorf("the second address: %v", err)
	}
}

// A damaged identity is not used, and not thrown away unasked.
func TestDamagedIdentityIsReplacedOnlyOnDemand(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	o := options(t, c)
	if _, err := Enroll(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(o.Dir, keys(t, o.Dir)[0])
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Enroll(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--again") {
		t.Errorf("got %v", err)
	}
	c.Set(func(s *identitytest.State) { *s = fresh(*s) })
	o.Code, o.Again = c.Code(), true
	if _, err := Enroll(t.Context(), o); err != nil {
		t.Error(err)
	}
}

package releases_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"aead.dev/minisign"
	"go.uber.org/goleak"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/collector/people"
	"communewatch/collector/registry"
	kept "communewatch/collector/registry/releases"
	"communewatch/collector/releases"
	"communewatch/collector/releases/stages"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
	"communewatch/probes/release"
	"communewatch/probes/release/releasetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func v(t *testing.T, text string) release.Version {
	t.Helper()
	out, err := release.ParseVersion(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type maker struct {
	private minisign.PrivateKey
	public  string
}

func newMaker(t *testing.T) maker {
	t.Helper()
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return maker{private, public.String()}
}

// release is a release's folder.
func (m maker) release(t *testing.T, version string, file []byte) fstest.MapFS {
	t.Helper()
	data := releasetest.Manifest(t, version, file, start)
	return fstest.MapFS{
		release.ManifestFile:  {Data: data},
		release.SignatureFile: {Data: minisign.Sign(m.private, data)},
		releasetest.File:      {Data: file},
	}
}

// world is a collector's releases and what it knows of two sites.
type world struct {
	*releases.Keeper
	o      releases.Options
	store  *kept.Store
	server *httptest.Server

	mu     sync.Mutex // guards what follows
	now    time.Time
	agents []fleet.Agent
	record []audit.Entry
}

func (w *world) Record(_ context.Context, e audit.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.record = append(w.record, e)
	return nil
}

func (w *world) acts() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var acts []string
	for _, e := range w.record {
		acts = append(acts, strings.TrimPrefix(e.Act, "release.")+" by "+e.Who)
	}
	return strings.Join(acts, ", ")
}

func newWorld(t *testing.T, m maker) *world {
	t.Helper()
	w := &world{now: start}
	reg, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	w.store = reg.Releases()
	for _, site := range []string{"s1", "s2"} {
		w.agents = append(w.agents, fleet.Agent{Site: site, Agent: "pc", State: fleet.StateActive, Heard: start,
			Presence: &presence.Presence{Phase: presence.PhaseRunning, Machine: enroll.Machine{System: "linux/amd64", Version: "v1.0.0"}, Update: presence.Update{Enabled: true}}})
	}
	settings := releases.DefaultSettings()
	settings.Enabled, settings.Keys, settings.Downloads = true, []string{m.public}, 1
	w.o = releases.Options{Dir: filepath.Join(t.TempDir(), "releases"), Settings: settings, Store: w.store, Audit: w, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now },
		Agents: func(context.Context) ([]fleet.Agent, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return append([]fleet.Agent{}, w.agents...), nil
		},
		Who: func(rw http.ResponseWriter, r *http.Request) (string, string, bool) {
			site := r.Header.Get("Site")
			if site == "" {
				rw.WriteHeader(http.StatusUnauthorized)
			}
			return site, "pc", site != ""
		}}
	if w.Keeper, err = releases.New(w.o); err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(w.Handler())
	t.Cleanup(w.server.Close)
	return w
}

// get asks as an agent of a site.
func (w *world) get(t *testing.T, site, path string, header ...string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Site", site)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func (w *world) pass(d time.Duration, do func(a *fleet.Agent)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	for i := range w.agents {
		w.agents[i].Heard = w.now
		if do != nil {
			do(&w.agents[i])
		}
	}
}

func TestAReleaseIsTakenInOnlyAsItWasSigned(t *testing.T) {
	m, other := newMaker(t), newMaker(t)
	file := releasetest.Program("1.1.0")
	for name, c := range map[string]struct {
		from fstest.MapFS
		want error
		text string
	}{
		"another's":    {other.release(t, "1.1.0", file), release.ErrForeign, ""},
		"no binary":    {func() fstest.MapFS { f := m.release(t, "1.1.0", file); delete(f, "agent_amd64"); return f }(), fs.ErrNotExist, ""},
		"no signature": {func() fstest.MapFS { f := m.release(t, "1.1.0", file); delete(f, release.SignatureFile); return f }(), fs.ErrNotExist, "no release"},
		"truncated":    {func() fstest.MapFS { f := m.release(t, "1.1.0", file); f["agent_amd64"].Data = file[:40]; return f }(), nil, "cut on its way"},
		"changed": {func() fstest.MapFS {
			f := m.release(t, "1.1.0", file)
			f["agent_amd64"].Data = releasetest.Program("1.1.1")
			return f
		}(), nil, "not the file that was signed"},
		"longer": {func() fstest.MapFS {
			f := m.release(t, "1.1.0", file)
			f["agent_amd64"].Data = releasetest.Program("1.1.0x")
			return f
		}(), nil, "not the file that was signed"},
		"for another machine": {m.release(t, "1.1.0", []byte("MZ and so on")), release.ErrBinary, ""},
	} {
		w := newWorld(t, m)
		_, err := w.Add(t.Context(), c.from)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := w.Releases(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("%s: there are releases: %v, %v", name, list, err)
		}
	}
}

func TestAReleaseComesInAFolderOrAZipAndOnceOnly(t *testing.T) {
	m := newMaker(t)
	w := newWorld(t, m)
	folder := m.release(t, "1.1.0", releasetest.Program("1.1.0"))
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	if err := z.AddFS(folder); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	zipped, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []fs.FS{zipped, folder} { // the same again changes nothing
		if _, err := w.Add(t.Context(), from); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Add(t.Context(), m.release(t, "1.1.0", releasetest.Program("another"))); !errors.Is(err, kept.ErrKnown) {
		t.Errorf("another release of the same version: %v", err)
	}
	if list, err := w.Releases(t.Context()); err != nil || len(list) != 1 || list[0].By != "system" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestWithTooManyReleasesOneIsWithdrawnForTheNext(t *testing.T) {
	m := newMaker(t)
	w := newWorld(t, m)
	next := m.release(t, "1.1.0", releasetest.Program("1.1.0"))
	for n := range 200 {
		r := kept.Release{Version: release.Version{Minor: uint64(n)}, Manifest: []byte("{}"), Signature: []byte("x"), By: "lan"}
		if err := w.store.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Add(t.Context(), next); !errors.Is(err, kept.ErrMany) || w.acts() != "" {
		t.Errorf("one more: %v; recorded: %q", err, w.acts())
	}
	if err := w.Withdraw(t.Context(), release.Version{Minor: 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(t.Context(), next); err != nil {
		t.Error(err)
	}
}

// What expires on its way has not arrived: who did not take it until then never will.
func TestAReleaseThatExpiresOnItsWayIsHalted(t *testing.T) {
	m := newMaker(t)
	w := newWorld(t, m)
	ctx := t.Context()
	if _, err := w.Add(ctx, m.release(t, "1.1.0", releasetest.Program("1.1.0"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1")); err != nil {
		t.Fatal(err)
	}
	takes := func(a *fleet.Agent) {
		if a.Site == "s1" {
			a.Presence = &presence.Presence{Phase: presence.PhaseRunning, Machine: enroll.Machine{System: "linux/amd64", Version: "1.1.0"}, Update: presence.Update{Enabled: true}}
		}
	}
	for _, d := range []time.Duration{time.Minute, 366 * 24 * time.Hour, time.Hour, time.Hour} {
		w.pass(d, takes)
		if err := w.Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if current, err := w.Status(ctx); err != nil || current.State != stages.StateHalted || !strings.Contains(current.Why, "has expired") {
		t.Errorf("%+v, %v", current.Rollout, err)
	}
	if !strings.HasSuffix(w.acts(), "halt by system") {
		t.Errorf("the record says %s", w.acts())
	}
}

func TestAReleaseGoesOut(t *testing.T) {
	m := newMaker(t)
	w := newWorld(t, m)
	file := releasetest.Program("1.1.0")
	ctx := people.With(t.Context(), people.Caller{Name: "lan", Role: people.RoleAdmin, Via: "session"})
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1")); !errors.Is(err, kept.ErrUnknown) {
		t.Errorf("before there is one: %v", err)
	}
	if _, err := w.Add(ctx, m.release(t, "1.1.0", file)); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.get(t, "s1", release.Path); status != http.StatusNoContent {
		t.Errorf("before it goes out: %d", status)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1")); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1")); !errors.Is(err, kept.ErrBusy) {
		t.Errorf("a second time: %v", err)
	}
	status, body := w.get(t, "s1", release.Path)
	offer, err := release.ReadOffer(bytes.NewReader(body))
	if status != http.StatusOK || err != nil {
		t.Fatalf("%d, %v", status, err)
	}
	keys, _ := release.ParseKeys([]string{m.public})
	if _, err := release.Verify([]byte(offer.Manifest), []byte(offer.Signature), keys); err != nil {
		t.Errorf("what an agent gets does not verify: %v", err)
	}
	path := release.FilePath + "1.1.0/agent_amd64"
	for name, c := range map[string]struct {
		site, path string
		header     []string
		status     int
		body       []byte
	}{
		"whole":               {"s1", path, nil, http.StatusOK, file},
		"the rest":            {"s1", path, []string{"Range", "bytes=64-"}, http.StatusPartialContent, file[64:]},
		"not its turn":        {"s2", path, nil, http.StatusForbidden, nil},
		"nobody":              {"", path, nil, http.StatusUnauthorized, nil},
		"another version":     {"s1", release.FilePath + "1.0.0/agent_amd64", nil, http.StatusForbidden, nil},
		"another file":        {"s1", release.FilePath + "1.1.0/manifest.json", nil, http.StatusNotFound, nil},
		"a way out":           {"s1", release.FilePath + "1.1.0/..%2f..%2fregistry.db", nil, http.StatusNotFound, nil},
		"a way out elsewhere": {"s1", release.FilePath + "..%2f1.1.0/agent_amd64", nil, http.StatusForbidden, nil},
	} {
		status, body := w.get(t, c.site, c.path, c.header...)
		if status != c.status || c.body != nil && !bytes.Equal(body, c.body) {
			t.Errorf("%s: %d with %d bytes", name, status, len(body))
		}
	}
	if status, _ := w.get(t, "s2", release.Path); status != http.StatusNoContent {
		t.Errorf("a site whose turn it is not: %d", status)
	}
	// The first site takes it, and reports for half an hour.
	takes := func(a *fleet.Agent) {
		if status, _ := w.store.Current(ctx); status.Turn(stages.Name{Site: a.Site, Agent: a.Agent}) {
			a.Presence = &presence.Presence{Phase: presence.PhaseRunning, Machine: enroll.Machine{System: "linux/amd64", Version: "1.1.0"},
				Update: presence.Update{Enabled: true, State: string(release.StateKept), Version: "1.1.0"}}
		}
	}
	for range 40 {
		w.pass(time.Minute, takes)
		if err := w.Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	current, err := w.Status(ctx)
	if err != nil || current.Stage == 0 || current.State != stages.StateRunning {
		t.Fatalf("%+v, %v", current, err)
	}
	for range 100 {
		w.pass(time.Minute, takes)
		if err := w.Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if current, err = w.Status(ctx); err != nil || current.State != stages.StateComplete || current.Agents[1].Fare != stages.FareDone || current.Agents[1].Running != "1.1.0" {
		t.Fatalf("%+v, %v", current, err)
	}
	if got := w.acts(); !strings.HasPrefix(got, "add by lan, start by lan, stage by lan") || !strings.HasSuffix(got, "complete by lan") {
		t.Errorf("the record says %s", got)
	}
}

func TestItHaltsAndGoesOnByWord(t *testing.T) {
	m := newMaker(t)
	w := newWorld(t, m)
	ctx := t.Context()
	if _, err := w.Add(ctx, m.release(t, "1.1.0", releasetest.Program("1.1.0"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1")); err != nil {
		t.Fatal(err)
	}
	offered := func(site string) bool {
		status, _ := w.get(t, site, release.Path)
		return status == http.StatusOK
	}
	if !offered("s1") {
		t.Fatal("not offered")
	}
	w.pass(time.Minute, func(a *fleet.Agent) {
		if a.Site == "s1" {
			p := *a.Presence
			p.Update = presence.Update{Enabled: true, State: string(release.StateRolledBack), Version: "1.1.0", Problem: "its results did not arrive"}
			a.Presence = &p
		}
	})
	if err := w.Step(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := w.Status(ctx)
	if err != nil || s.State != stages.StateHalted || !strings.Contains(s.Why, "s1/pc went back") || !strings.Contains(s.Why, "its results did not arrive") || offered("s1") {
		t.Fatalf("%+v, %v", s.Rollout, err)
	}
	// The keeper of another process sees it, and says to go on.
	other, err := releases.New(w.o)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute, nil)
	if err := w.Step(ctx); err != nil {
		t.Fatal(err)
	}
	if s, _ := w.Status(ctx); s.State != stages.StateRunning || s.Agents[0].Fare != stages.FareExcused {
		t.Errorf("%+v", s)
	}
	if err := other.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	w.pass(2*time.Second, nil)
	if s, _ := w.Status(ctx); s.State != stages.StatePaused || offered("s1") {
		t.Errorf("%+v", s.Rollout)
	}
	if err := other.Pause(ctx); !errors.Is(err, releases.ErrOver) {
		t.Errorf("paused twice: %v", err)
	}
	if err := w.Withdraw(ctx, v(t, "1.1.0")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.o.Dir, "1.1.0")); err == nil {
		t.Error("its files are still there")
	}
	if err := w.Resume(ctx); !errors.Is(err, releases.ErrOver) {
		t.Errorf("went on: %v", err)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1")); !errors.Is(err, kept.ErrWithdrawn) {
		t.Errorf("begun anew: %v", err)
	}
}

func TestOneAgentCannotTakeAllPlaces(t *testing.T) {
	m := newMaker(t)
	w := newWorld(t, m)
	w.o.Settings.Downloads = 3
	var err error
	if w.Keeper, err = releases.New(w.o); err != nil {
		t.Fatal(err)
	}
	w.server.Config.Handler = w.Handler()
	ctx := t.Context()
	big := releasetest.Program(strings.Repeat("x", 8<<20)) // more than sockets hold
	if _, err := w.Add(ctx, m.release(t, "1.1.0", big)); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1", "s2")); err != nil {
		t.Fatal(err)
	}
	// fetch begins a download and does not read it.
	fetch := func(site string) (status int) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+release.FilePath+"1.1.0/agent_amd64", nil)
		req.Header.Set("Site", site)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = resp.Body.Close()
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		})
		return resp.StatusCode
	}
	for i, c := range []struct {
		site string
		want int
	}{{"s1", 200}, {"s1", 200}, {"s1", 503}, {"s2", 200}, {"s2", 503}} {
		if got := fetch(c.site); got != c.want {
			t.Errorf("download %d, of %s: %d", i+1, c.site, got)
		}
	}
}

// TestAgentsAreCalledWhenItIsTheirTurn: also when another process, the command line, began the roll-out.
func TestAgentsAreCalledWhenItIsTheirTurn(t *testing.T) {
	m := newMaker(t)
	w := newWorld(t, m)
	called := make(chan string, 10)
	w.o.Look = func(site, agent string) { called <- site + "/" + agent }
	var err error
	if w.Keeper, err = releases.New(w.o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if _, err := w.Add(ctx, m.release(t, "1.1.0", releasetest.Program("1.1.0"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s2")); err != nil {
		t.Fatal(err)
	}
	if got := <-called; got != "s2/pc" {
		t.Errorf("%s was called", got)
	}
	if len(called) > 0 {
		t.Errorf("%s was called too", <-called)
	}
	// One that was halted is begun anew, and calls again.
	if err := w.Halt(ctx, "100 % of calls fail"); err != nil {
		t.Fatal(err)
	}
	if last := w.record[len(w.record)-1]; last.Act != "release.halt" || last.Detail != "100 % of calls fail" {
		t.Errorf("the record does not say why: %+v", last)
	}
	if s, err := w.Status(ctx); err != nil || !strings.HasSuffix(s.Why, ": 100 % of calls fail") {
		t.Error(err, s.Why)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1")); err != nil {
		t.Fatal(err)
	}
	if got := <-called; got != "s1/pc" {
		t.Errorf("%s was called", got)
	}
}

// TestAFirstStageCanEnd: one without an agent that can take the release would last for ever, and say nothing.
func TestAFirstStageCanEnd(t *testing.T) {
	m := newMaker(t)
	w := newWorld(t, m)
	ctx := t.Context()
	if _, err := w.Add(ctx, m.release(t, "1.1.0", releasetest.Program("1.1.0"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1", "s99999")); err == nil || !strings.Contains(err.Error(), "no agent of site s99999") {
		t.Error(err)
	}
	w.agents[0].Presence.Update.Enabled = false
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1")); err == nil || !strings.Contains(err.Error(), "s1/pc: updates are switched off") || !strings.Contains(err.Error(), "update pin KEY") {
		t.Error(err)
	}
	if list, err := w.Rollouts(ctx); err != nil || len(list) > 0 {
		t.Error("it was begun", err, list)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s1", "s2")); err != nil {
		t.Error("one of both can", err)
	}
	if err := w.Start(ctx, v(t, "1.1.0"), stages.DefaultPlan("s2")); !errors.Is(err, kept.ErrBusy) || !strings.Contains(err.Error(), "halt it and start it again") {
		t.Error(err)
	}
}

func TestNothingGoesOutWhereUpdatesAreOff(t *testing.T) {
	m := newMaker(t)
	w := newWorld(t, m)
	if _, err := w.Add(t.Context(), m.release(t, "1.1.0", releasetest.Program("1.1.0"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(t.Context(), v(t, "1.1.0"), stages.DefaultPlan("s1")); err != nil {
		t.Fatal(err)
	}
	w.o.Settings.Enabled = false
	off, err := releases.New(w.o)
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(off.Handler())
	defer w.server.Close()
	if status, _ := w.get(t, "s1", release.Path); status != http.StatusNoContent {
		t.Errorf("it is offered: %d", status)
	}
	if err := off.Start(t.Context(), v(t, "1.1.0"), stages.DefaultPlan("s1")); !errors.Is(err, releases.ErrDisabled) {
		t.Errorf("it can be begun: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	m := newMaker(t)
	for want, s := range map[string]releases.Settings{
		"":                  {Enabled: true, Keys: []string{m.public}, Downloads: 1, BytesPerSecond: 1 << 20},
		"keys: name the":    {Enabled: true, Downloads: 1, BytesPerSecond: 1 << 20},
		"keys: key 1":       {Keys: []string{"x"}, Downloads: 1, BytesPerSecond: 1 << 20},
		"downloads: must":   {BytesPerSecond: 1 << 20},
		"bytes_per_second:": {Downloads: 1},
	} {
		var got []string
		s.Validate(func(at, format string, args ...any) { got = append(got, at+": "+fmt.Sprintf(format, args...)) })
		if all := strings.Join(got, "; "); !strings.HasPrefix(all, want) || want == "" && all != "" {
			t.Errorf("%q: %q", want, all)
		}
	}
}

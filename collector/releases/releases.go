// Package releases hands releases of the agent on to the agents whose turn it is, and watches how they fare. It can make
// none and change none: what it hands on carries its maker's signature, which each agent checks by keys of its own (see
// probes/release). It checks it too, so that a mistake is found before it goes out.
//
// A release is put in with Add, and goes out with Start: stage by stage, as package stages decides from what the agents
// say of themselves and from their results. Both, and all else that people say, may come from another process that has
// the registry open: the command line. The Keeper of the running collector, which has Agents, takes the steps.
//
// # Files
//
// Binaries are in dir/VERSION/NAME. A file is written under another name, compared with its sum, flushed and renamed, so
// what is there is whole. The registry says which version there is; what it does not know is removed on start.
package releases

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/collector/people"
	kept "communewatch/collector/registry/releases"
	"communewatch/collector/releases/stages"
	"communewatch/probes/release"
)

// Settings is what the collector's settings file says about updates.
type Settings struct {
	Enabled        bool     `yaml:"enabled"`
	Keys           []string `yaml:"keys"`             // public keys of minisign; releases of others are not taken in
	Downloads      int      `yaml:"downloads"`        // at once; others come again
	BytesPerSecond int      `yaml:"bytes_per_second"` // of all downloads together
}

// DefaultSettings are those of a file that says nothing.
func DefaultSettings() Settings {
	return Settings{Downloads: 16, BytesPerSecond: 4 << 20}
}

// Validate reports what is wrong.
func (s *Settings) Validate(problem func(at, format string, args ...any)) {
	if _, err := release.ParseKeys(s.Keys); err != nil {
		problem("keys", "%v", err)
	} else if s.Enabled && len(s.Keys) == 0 {
		problem("keys", "name the public key of who makes releases (communewatch-release keygen makes one)")
	}
	if s.Downloads < 1 || s.Downloads > 1000 {
		problem("downloads", "must be from 1 to 1000")
	}
	if s.BytesPerSecond < 16<<10 {
		problem("bytes_per_second", "must be at least %d", 16<<10)
	}
}

// Options of a Keeper.
type Options struct {
	Dir      string // of the binaries: data_dir/releases
	Settings Settings
	Store    *kept.Store
	Audit    audit.Recorder // nil: nothing is recorded
	Via      string         // audit.Entry.Via where a context does not say; "": system

	// Agents and Reported are what is known of the agents, and when each last sent results. Without Agents no steps are
	// taken; without Reported, an agent's word counts for its results.
	Agents   func(ctx context.Context) ([]fleet.Agent, error)
	Reported func(ctx context.Context) (map[stages.Name]time.Time, error)
	// Who finds out which agent sends a request; when ok is false it has answered it.
	Who func(w http.ResponseWriter, r *http.Request) (site, agent string, ok bool)
	// Look has an agent ask for a release now; nil: agents ask in their own time.
	Look func(site, agent string)

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default
}

// Keeper is the releases of a collector. All methods may be called concurrently.
type Keeper struct {
	o    Options
	log  *slog.Logger
	keys release.Keys

	slots chan struct{}
	pace  *rate.Limiter
	wake  chan struct{} // somebody said something; Run has a look

	mu      sync.Mutex // guards what follows
	up      time.Time  // since when agents can be heard; zero where this process does not listen
	current stages.Rollout
	offer   *kept.Release // of current, nil: none
	read    time.Time     // when both were read
	fetches map[stages.Name]int
}

// New returns a Keeper. Its door answers at once; steps are taken by Run.
func New(o Options) (*Keeper, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	keys, err := release.ParseKeys(o.Settings.Keys)
	if err != nil {
		return nil, fmt.Errorf("updates: %w", err)
	}
	return &Keeper{o: o, log: o.Log, keys: keys, slots: make(chan struct{}, max(1, o.Settings.Downloads)),
		pace: rate.NewLimiter(rate.Limit(max(o.Settings.BytesPerSecond, chunk)), 2*chunk), wake: make(chan struct{}, 1), fetches: map[stages.Name]int{}}, nil
}

// Errors of a Keeper; compare with errors.Is.
var (
	ErrDisabled = errors.New("updates are switched off; say updates: {enabled: true, keys: [...]} in the collector's settings")
	ErrOver     = errors.New("the release is not going out any more")
)

const (
	stepEvery = 15 * time.Second
	lookEvery = 2 * time.Second // whether another process began something
)

// Run watches the release that goes out, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	if !k.o.Settings.Enabled || k.o.Agents == nil {
		<-ctx.Done()
		return nil
	}
	k.mu.Lock()
	k.up = k.o.Now()
	k.mu.Unlock()
	k.clean(ctx)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failing := false
	var told turn
	var stepped time.Time
	for {
		var err error
		if now := time.Now(); now.Sub(stepped) >= stepEvery {
			err, stepped = k.Step(ctx), now
		}
		if err == nil {
			told, err = k.call(ctx, told)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			k.log.Error("can't watch the release that goes out", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
		case <-tick.C:
		}
	}
}

// turn is a point in a roll-out from which on more agents may take the release.
type turn struct {
	rollout int64
	stage   int
	offers  bool
}

// call has all agents look whose turn it is, when that is news after what they were called for last. Another process may
// have said it: the command line.
func (k *Keeper) call(ctx context.Context, last turn) (turn, error) {
	current, err := k.o.Store.Current(ctx)
	if errors.Is(err, kept.ErrNone) {
		return last, nil
	}
	now := turn{current.ID, current.Stage, current.State.Offers()}
	if err != nil || now == last || k.o.Look == nil {
		return last, err
	}
	if now.offers {
		list, err := k.o.Agents(ctx)
		if err != nil {
			return last, fmt.Errorf("read the fleet: %w", err)
		}
		k.forget()
		for i := range list {
			if list[i].State == fleet.StateActive && current.Turn(stages.Name{Site: list[i].Site, Agent: list[i].Agent}) {
				k.o.Look(list[i].Site, list[i].Agent)
			}
		}
	}
	return now, nil
}

// Step takes what steps are due now.
func (k *Keeper) Step(ctx context.Context) error {
	current, err := k.o.Store.Current(ctx)
	if errors.Is(err, kept.ErrNone) {
		return nil
	}
	if err != nil || !current.State.Offers() {
		return err
	}
	m, err := k.manifest(ctx, current.Version)
	if err != nil {
		return err
	}
	agents, err := k.agents(ctx, m)
	if err != nil {
		return err
	}
	now, up := k.o.Now(), k.heardSince()
	step := func(r stages.Rollout) stages.Rollout {
		if r.State == stages.StateRunning && now.After(m.Expires) { // no agent takes it any more, and so none would be waited for
			r.State, r.Settled, r.Why = stages.StateHalted, time.Time{}, release.ErrExpired.Error()
			return r
		}
		return r.Step(agents, now, up)
	}
	if same(current, step(current)) {
		return nil
	}
	was, is, err := k.o.Store.Change(ctx, func(r stages.Rollout) (stages.Rollout, error) {
		if r.ID != current.ID {
			return r, nil // another one was begun meanwhile
		}
		return step(r), nil
	})
	if err != nil {
		return err
	}
	k.forget()
	switch {
	case is.State == stages.StateHalted && was.State != is.State:
		k.log.Warn("release halted", "version", is.Version, "stage", is.Stage, "why", is.Why)
		return k.record(ctx, "release.halt", is.Version.String(), is.Why)
	case is.State == stages.StateComplete && was.State != is.State:
		k.log.Info("release is everywhere", "version", is.Version)
		return k.record(ctx, "release.complete", is.Version.String(), "")
	case is.Stage != was.Stage:
		k.log.Info("release goes on to its next stage", "version", is.Version, "stage", is.Stage)
		return k.record(ctx, "release.stage", is.Version.String(), fmt.Sprintf("stage %d", is.Stage+1))
	}
	return nil
}

func (k *Keeper) heardSince() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.up
}

func same(a, b stages.Rollout) bool {
	return a.State == b.State && a.Stage == b.Stage && a.Settled.Equal(b.Settled) && a.Why == b.Why
}

// clean removes folders that are no release's.
func (k *Keeper) clean(ctx context.Context) {
	list, err := k.o.Store.List(ctx)
	if err != nil {
		return // told by who reads next
	}
	known := map[string]bool{}
	for _, r := range list {
		known[r.Version.String()] = r.Withdrawn.IsZero()
	}
	entries, _ := os.ReadDir(k.o.Dir) // not there: nothing to do
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.IsDir() && !known[e.Name()] && k.o.Now().Sub(info.ModTime()) > time.Hour { // no Add is at work on it
			_ = os.RemoveAll(filepath.Join(k.o.Dir, e.Name()))
		}
	}
}

// record writes down who did what.
func (k *Keeper) record(ctx context.Context, act, what, detail string) error {
	if k.o.Audit == nil {
		return nil
	}
	who := people.From(ctx)
	via := map[string]string{"session": "screen", "key": "api"}[who.Via]
	if via == "" {
		via = cmp.Or(k.o.Via, "system")
	}
	return k.o.Audit.Record(ctx, audit.Entry{At: k.o.Now(), Who: who.Name, Via: via, Address: who.Address, Act: act, What: what, Detail: detail, OK: true})
}

// Add takes a release in: from a folder, or from what is in a ZIP file. All of its binaries must be there.
func (k *Keeper) Add(ctx context.Context, from fs.FS) (*release.Manifest, error) {
	manifest, err := readBounded(from, release.ManifestFile, release.MaxManifest)
	if err != nil {
		return nil, err
	}
	signature, err := readBounded(from, release.SignatureFile, release.MaxSignature)
	if err != nil {
		return nil, err
	}
	m, err := release.Verify(manifest, signature, k.keys)
	if err != nil {
		return nil, err
	}
	if now := k.o.Now(); now.After(m.Expires) {
		return nil, release.ErrExpired
	}
	if was, err := k.o.Store.Get(ctx, m.Version); err == nil {
		if string(was.Manifest) != string(manifest) {
			return nil, fmt.Errorf("%v: %w", m.Version, kept.ErrKnown)
		}
		if !was.Withdrawn.IsZero() {
			return nil, fmt.Errorf("%v: %w", m.Version, kept.ErrWithdrawn)
		}
	} else if !errors.Is(err, kept.ErrUnknown) {
		return nil, err
	}
	dir := filepath.Join(k.o.Dir, m.Version.String())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, f := range m.Files {
		if err := copyFile(from, dir, f); err != nil {
			return nil, fmt.Errorf("release %v: %s: %w", m.Version, f.Name, err)
		}
	}
	if err := k.o.Store.Put(ctx, kept.Release{Version: m.Version, Manifest: manifest, Signature: signature, By: people.From(ctx).Who()}); err != nil {
		return nil, err
	}
	return m, k.record(ctx, "release.add", m.Version.String(), "")
}

func readBounded(from fs.FS, name string, most int64) ([]byte, error) {
	f, err := from.Open(name)
	if err != nil {
		return nil, fmt.Errorf("that is no release: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return data, nil
}

// copyFile puts a release's binary into dir, if it is what the manifest says.
func copyFile(from fs.FS, dir string, f release.File) (err error) {
	in, err := from.Open(f.Name)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp, err := os.CreateTemp(dir, "."+f.Name+"-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		_ = tmp.Close()
		_ = os.Remove(tmp.Name()) // gone already when all went well
	}()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, sum), io.LimitReader(in, f.Size+1))
	switch {
	case err != nil:
		return err
	case n < f.Size:
		return fmt.Errorf("it has %d bytes and should have %d: it was cut on its way", n, f.Size)
	case n > f.Size || hex.EncodeToString(sum.Sum(nil)) != f.SHA256:
		return errors.New("it is not the file that was signed")
	}
	if err := release.CheckBinary(tmp, f.OS, f.Arch); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, f.Name))
}

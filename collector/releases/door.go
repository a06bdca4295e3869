package releases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	kept "communewatch/collector/registry/releases"
	"communewatch/collector/releases/stages"
	"communewatch/probes/release"
	"communewatch/probes/wire"
)

const (
	chunk      = 32 << 10         // bytes that are written at once
	chunkTime  = 30 * time.Second // for one of them to go out
	leastRate  = 4 << 10          // bytes/s that a download has to take, or others get its place; it goes on later
	grace      = time.Minute      // before that counts
	fetchesPer = 2                // downloads of one agent at once: the second is for one whose first broke off unnoticed
	busyFor    = 60 * time.Second // Retry-After
	currentFor = time.Second      // how long the roll-out is remembered: 136 agents ask in one second, a person waits longer
)

// Handler serves release.Path and what is below release.FilePath.
func (k *Keeper) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+release.Path, k.serveOffer)
	mux.HandleFunc("GET "+release.FilePath+"{version}/{name}", k.serveFile)
	return mux
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(busyFor/time.Second)))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message}) // who is gone needs no answer
}

// mine finds out who asks and which release of which roll-out it may have; ok is false when the request is answered.
func (k *Keeper) mine(w http.ResponseWriter, r *http.Request) (who stages.Name, of int64, mine *kept.Release, ok bool) {
	w.Header().Set(wire.HeaderReceivedAt, strconv.FormatInt(k.o.Now().UnixMilli(), 10))
	w.Header().Set("Cache-Control", "no-store")
	who.Site, who.Agent, ok = k.o.Who(w, r)
	if !ok || !k.o.Settings.Enabled {
		return who, 0, nil, ok
	}
	current, offer, err := k.now(r.Context())
	if err != nil {
		k.log.Warn("can't read which release goes out", "error", err)
		refuse(w, http.StatusServiceUnavailable, "unavailable", "the collector can't say now; come again")
		return who, 0, nil, false
	}
	if offer == nil || !current.Turn(who) {
		return who, 0, nil, true
	}
	return who, current.ID, offer, true
}

// now is the roll-out and its release, at most currentFor old.
func (k *Keeper) now(ctx context.Context) (stages.Rollout, *kept.Release, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if since := k.o.Now().Sub(k.read); !k.read.IsZero() && since >= 0 && since < currentFor {
		return k.current, k.offer, nil
	}
	current, err := k.o.Store.Current(ctx)
	if errors.Is(err, kept.ErrNone) {
		k.current, k.offer, k.read = stages.Rollout{}, nil, k.o.Now()
		return k.current, nil, nil
	}
	if err != nil {
		return current, nil, err
	}
	r, err := k.o.Store.Get(ctx, current.Version)
	if err != nil {
		return current, nil, err
	}
	k.current, k.offer, k.read = current, nil, k.o.Now()
	if r.Withdrawn.IsZero() && current.State.Offers() {
		k.offer = &r
	}
	return k.current, k.offer, nil
}

// forget has the roll-out read anew.
func (k *Keeper) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read = time.Time{}
}

func (k *Keeper) serveOffer(w http.ResponseWriter, r *http.Request) {
	_, rollout, offer, ok := k.mine(w, r)
	switch {
	case !ok:
	case offer == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(release.Offer{Version: offer.Version, Manifest: string(offer.Manifest), Signature: string(offer.Signature), Rollout: rollout})
	}
}

func (k *Keeper) serveFile(w http.ResponseWriter, r *http.Request) {
	who, _, offer, ok := k.mine(w, r)
	if !ok {
		return
	}
	if offer == nil || r.PathValue("version") != offer.Version.String() {
		refuse(w, http.StatusForbidden, "forbidden", "it is not this agent's turn to take that release")
		return
	}
	m, err := release.ParseManifest(offer.Manifest)
	if err != nil {
		k.log.Error("the manifest of a release is damaged", "version", offer.Version, "error", err)
		refuse(w, http.StatusInternalServerError, "internal", "the release is damaged at the collector")
		return
	}
	name := ""
	for _, f := range m.Files {
		if f.Name == r.PathValue("name") {
			name = f.Name
		}
	}
	if name == "" {
		refuse(w, http.StatusNotFound, "not found", "the release has no such file")
		return
	}
	back, ok := k.place(who)
	if !ok {
		refuse(w, http.StatusServiceUnavailable, "unavailable", "as many downloads as may are under way, or as many of this agent; come again")
		return
	}
	defer back()
	f, err := os.Open(filepath.Join(k.o.Dir, offer.Version.String(), name))
	if err != nil {
		k.log.Error("a file of a release is missing; add the release once more", "version", offer.Version, "file", name, "error", err)
		refuse(w, http.StatusInternalServerError, "internal", "the file is missing at the collector")
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(&paced{ResponseWriter: w, control: http.NewResponseController(w), pace: k.pace, ctx: r.Context(), begin: time.Now()}, r, "", time.Time{}, f)
}

// place is one of those who may download at once, until it is given back. One agent can't have them all.
func (k *Keeper) place(who stages.Name) (back func(), ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetches[who] >= fetchesPer {
		return nil, false
	}
	select {
	case k.slots <- struct{}{}:
	default:
		return nil, false
	}
	k.fetches[who]++
	return func() {
		<-k.slots
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.fetches[who]--; k.fetches[who] == 0 {
			delete(k.fetches, who)
		}
	}, true
}

// errSlow ends a download that others have to wait for.
var errSlow = fmt.Errorf("taken at less than %d bytes/s", leastRate)

// paced writes no faster than all downloads may together, and gives up on who takes next to nothing.
type paced struct {
	http.ResponseWriter
	control *http.ResponseController
	pace    *rate.Limiter
	ctx     context.Context
	begin   time.Time
	waited  time.Duration // for the others
	sent    int64         // bytes
}

func (p *paced) Write(data []byte) (written int, err error) {
	for len(data) > 0 {
		part := data[:min(len(data), chunk)]
		begin := time.Now()
		if err := p.pace.WaitN(p.ctx, len(part)); err != nil {
			return written, err
		}
		now := time.Now()
		p.waited += now.Sub(begin)
		if took := now.Sub(p.begin) - p.waited; took > grace && float64(p.sent) < leastRate*took.Seconds() {
			return written, errSlow
		}
		_ = p.control.SetWriteDeadline(now.Add(chunkTime)) // not every writer can, and then the server's own bound holds
		n, err := p.ResponseWriter.Write(part)
		written, p.sent = written+n, p.sent+int64(n)
		if err != nil {
			return written, err
		}
		data = data[n:]
	}
	return written, nil
}

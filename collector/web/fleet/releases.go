package fleet

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"communewatch/collector/people"
	kept "communewatch/collector/registry/releases"
	"communewatch/collector/releases"
	"communewatch/collector/releases/stages"
	"communewatch/probes/release"
)

type releasesPage struct {
	page
	List    []kept.Release
	Status  releases.Status
	Going   bool // there is or was a roll-out
	Faring  []releases.Faring
	Counts  []fareCount
	History []stages.Rollout
}

// fareCount is how many agents fare in one way.
type fareCount struct {
	Fare stages.Fare
	N    int
}

// Rolls tells whether the reader may let agents update.
func (p *page) Rolls() bool { return p.Caller.May(people.ActRelease) && p.Everywhere() }

// Step is the stage of a roll-out as people count.
func (p *releasesPage) Step(stage int) int { return stage + 1 }

func (p *Pages) releasesPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/releases", "fleet.releases")
	if !ok {
		return
	}
	p.showReleases(rw, r, http.StatusOK, at)
}

func (p *Pages) showReleases(rw http.ResponseWriter, r *http.Request, status int, at page) {
	out := releasesPage{page: at}
	var err error
	if out.List, err = p.o.Releases.Releases(r.Context()); err == nil {
		out.History, err = p.o.Releases.Rollouts(r.Context())
	}
	if err == nil {
		if out.Status, err = p.o.Releases.Status(r.Context()); errors.Is(err, kept.ErrNone) {
			err = nil
		} else {
			out.Going = err == nil
		}
	}
	if err != nil {
		p.sorry(rw, r, &out.page, err)
		return
	}
	counts := map[stages.Fare]int{}
	for _, f := range out.Status.Agents {
		if _, seen := out.sites[f.Site]; seen {
			out.Faring = append(out.Faring, f)
			counts[f.Fare]++
		}
	}
	for _, f := range []stages.Fare{stages.FareFailed, stages.FareTrying, stages.FareWaiting, stages.FareDone, stages.FareLater, stages.FareAway, stages.FareUnable, stages.FareExcused} {
		if counts[f] > 0 {
			out.Counts = append(out.Counts, fareCount{f, counts[f]})
		}
	}
	p.render(rw, r, status, "releases", &out)
}

func (p *Pages) changeRelease(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/releases", "fleet.releases")
	if !ok {
		return
	}
	if err := p.doRelease(r, &at); err != nil {
		p.showReleases(rw, r, p.says(r, &at, err), at)
		return
	}
	redirect(rw, r, "/fleet/releases", "release")
}

func (p *Pages) doRelease(r *http.Request, at *page) error {
	k, ctx := p.o.Releases, r.Context()
	switch do := r.PostFormValue("do"); do {
	case "pause":
		return k.Pause(ctx)
	case "resume":
		return k.Resume(ctx)
	case "halt":
		why := field(r, "why")
		if why == "" {
			return errors.New(at.T("fleet.say_why"))
		}
		return k.Halt(ctx, why)
	case "start", "withdraw":
		v, err := release.ParseVersion(r.PostFormValue("version"))
		if err != nil {
			return err
		}
		if r.PostFormValue("sure") == "" {
			return errors.New(at.T("fleet.say_sure"))
		}
		if do == "withdraw" {
			return k.Withdraw(ctx, v)
		}
		plan := stages.DefaultPlan(strings.Fields(strings.ReplaceAll(r.PostFormValue("first"), ",", " "))...)
		if minutes, err := strconv.Atoi(r.PostFormValue("soak")); err == nil {
			plan.SoakSeconds = minutes * 60
		}
		return k.Start(ctx, v, plan)
	}
	return errors.New(at.T("fleet.say_what"))
}

package plans

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"communewatch/collector/assign"
	"communewatch/collector/assign/cost"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/work"
)

// Site is what one agent of a site gets, and what that takes of the site's lines.
type Site struct {
	assign.Given
	SiteName string
	Version  int    // of the plan
	ETag     string // of the work; what an agent that has it says in its presence. "" where nothing is assigned
	Lines    []cost.Line
	Checks   []CheckCost
	// Reporting is what the agent's results take, beside its checks, of whichever path they are sent by.
	Reporting cost.Cost
}

// CheckCost is one check and what it takes.
type CheckCost struct {
	assign.Check
	Cost cost.Cost
}

// For returns what an agent of a site gets; an agent of no name is whichever has no part of its own in the plan.
func (s *Service) For(ctx context.Context, site, agent string) (*Site, error) {
	caller, err := looks(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	if c.plan == nil {
		return nil, ErrNoPlan
	}
	about, err := s.site(ctx, site)
	if err != nil {
		return nil, err
	}
	if !caller.Sees(about.Parent) {
		return nil, ErrUnknownSite
	}
	speeds, err := s.speeds(ctx)
	if err != nil {
		return nil, err
	}
	given := c.plan.For(about, agent, c.values[site])
	out := &Site{Given: given, SiteName: about.Name, Version: c.version.ID}
	for i := range given.Checks {
		out.Checks = append(out.Checks, CheckCost{Check: given.Checks[i], Cost: cost.Of(&given.Checks[i])})
	}
	if !given.Assigned {
		return out, nil
	}
	out.Lines = cost.Lines([]map[probes.Path]cost.Cost{cost.ByPath(given.Checks)}, speeds[site])
	out.Reporting = cost.Reporting(given.Checks)
	ids, err := s.secretIDs(ctx, given.Secrets)
	if err != nil {
		return nil, err
	}
	out.ETag = etagOf(given.Document, given.Secrets, ids)
	return out, nil
}

// site finds a site as it is known today.
func (s *Service) site(ctx context.Context, id string) (inventory.Site, error) {
	sites, err := s.o.Sites(ctx, s.o.Now().In(s.o.Zone))
	if err != nil {
		return inventory.Site{}, err
	}
	for _, site := range sites {
		if site.ID == id {
			return site, nil
		}
	}
	return inventory.Site{}, ErrUnknownSite
}

// secretIDs says as what secrets are kept; 0 for one that is not there.
func (s *Service) secretIDs(ctx context.Context, names []string) (map[string]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	kept, err := s.o.Store.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]int64, len(kept))
	for _, k := range kept {
		ids[k.Name] = k.ID
	}
	return ids, nil
}

// etagOf tells works apart. It goes by which setting of a secret is meant and not by the secret, since an ETag is shown
// and short secrets can be guessed from a hash.
func etagOf(document []byte, secrets []string, ids map[string]int64) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", len(document))
	h.Write(document)
	for _, name := range secrets {
		fmt.Fprintf(h, "%s %d\n", name, ids[name])
	}
	const bytes = 16
	return `"` + hex.EncodeToString(h.Sum(nil)[:bytes]) + `"`
}

// Work returns an agent's work with its ETag; nil where nothing is assigned to it. It is for the agents' door, which knows
// who asks. Where the agent has what etag says already, no secret is opened, and of the work there is the version alone.
func (s *Service) Work(ctx context.Context, site, agent, etag string) (*work.Work, string, error) {
	c, err := s.current(ctx)
	if err != nil || c.plan == nil {
		return nil, "", err
	}
	about, err := s.site(ctx, site)
	if err != nil {
		if errors.Is(err, ErrUnknownSite) {
			return nil, "", nil // an agent may be there before its site is in the list
		}
		return nil, "", err
	}
	given := c.plan.For(about, agent, c.values[site])
	if !given.Assigned {
		return nil, "", nil
	}
	if len(given.Problems) > 0 { // of a site or agent that came after the plan was applied
		return nil, "", fmt.Errorf("work of %s %s: %s", site, agent, given.Problems[0])
	}
	out := &work.Work{Version: c.version.ID}
	if len(given.Secrets) == 0 {
		tag := etagOf(given.Document, nil, nil)
		if tag != etag {
			out.Document = string(given.Document)
		}
		return out, tag, nil
	}
	kept, err := s.o.Store.Secrets(ctx)
	if err != nil {
		return nil, "", err
	}
	ids, sealed := map[string]int64{}, map[string]string{}
	for _, k := range kept {
		ids[k.Name], sealed[k.Name] = k.ID, k.Sealed
	}
	tag := etagOf(given.Document, given.Secrets, ids)
	if tag == etag {
		return out, tag, nil
	}
	out.Document, out.Secrets = string(given.Document), map[string]string{}
	for _, name := range given.Secrets {
		if sealed[name] == "" {
			return nil, "", fmt.Errorf("work of %s %s: secret %s is not there; enter it with: communewatch-collector work secret set %s", site, agent, name, name)
		}
		if out.Secrets[name], err = s.o.Seal.Open(name, sealed[name]); err != nil {
			return nil, "", fmt.Errorf("work of %s %s: %w", site, agent, err)
		}
	}
	return out, tag, nil
}

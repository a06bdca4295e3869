package plans

import (
	"context"
	"path/filepath"

	"communewatch/collector/fleet"
	"communewatch/collector/registry"
	"communewatch/collector/seal"
)

// SealFile is where the key of sealed secrets lies in a collector's data folder.
func SealFile(dataDir string) string { return filepath.Join(dataDir, "seal.key") }

// Of returns a Service on a registry and a collector's data folder. Of the options those about time, limits, the log and
// Changed are taken, and Audit where it is given: the registry's own record otherwise.
func Of(reg *registry.Registry, dataDir string, o Options) *Service {
	o.Store, o.Seal, o.Sites = reg.Work(), seal.New(SealFile(dataDir)), reg.Sites
	o.Agents, o.Agreements = names(reg), reg.Lines().Agreements
	if o.Audit == nil {
		o.Audit = reg.People()
	}
	return New(o)
}

// names lists the agents that may report, by site.
func names(reg *registry.Registry) func(ctx context.Context) (map[string][]string, error) {
	return func(ctx context.Context) (map[string][]string, error) {
		list, err := reg.Agents().Agents(ctx)
		if err != nil {
			return nil, err
		}
		out := map[string][]string{}
		for _, a := range list {
			if a.State == fleet.StateActive {
				out[a.Site] = append(out[a.Site], a.Agent)
			}
		}
		return out, nil
	}
}

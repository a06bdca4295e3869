package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"communewatch/collector"
	"communewatch/collector/registry"
	"communewatch/deploy/lab/bench/program"
	"communewatch/inventory"

	"golang.org/x/sync/errgroup"
)

// station is a collector with sites and a token for each.
type station struct {
	*program.Program
	url    string
	config string
	sites  []string
	tokens []string
}

// prepareStation makes the files of a collector with n sites.
func prepareStation(ctx context.Context, e *env, name string, n int) (*station, error) {
	dir := filepath.Join(e.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	address, err := program.FreeAddress()
	if err != nil {
		return nil, err
	}
	s := &station{url: "http://" + address, config: filepath.Join(dir, "collector.yaml")}
	text := fmt.Sprintf("listen: %q\ndata_dir: data\n", address)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cfg, err := collector.ReadConfig(s.config)
	if err != nil {
		return nil, err
	}
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer reg.Close()
	sites := make([]inventory.Site, n)
	s.sites, s.tokens = make([]string, n), make([]string, n)
	for i := range sites {
		s.sites[i] = fmt.Sprintf("s%05d", i)
		sites[i] = inventory.Site{
			ID: s.sites[i], Code: s.sites[i], Name: fmt.Sprintf("Xã %d", i), Type: "xã", Parent: fmt.Sprintf("Huyện %d", i/15),
			Position: &inventory.LatLon{Lat: 10 + float64(i/120)*0.02, Lon: 104 + float64(i%120)*0.02},
		}
	}
	if _, err := reg.ImportSites(ctx, sites, false); err != nil {
		return nil, err
	}
	// Many callers share a transaction.
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(256)
	for i := range s.sites {
		group.Go(func() error {
			secret, _, err := reg.CreateToken(ctx, registry.Token{Kind: registry.KindAgent, Site: s.sites[i]})
			mu.Lock()
			s.tokens[i] = secret
			mu.Unlock()
			return err
		})
	}
	return s, group.Wait()
}

// startStation prepares a collector and starts it.
func startStation(ctx context.Context, e *env, name string, n int) (*station, error) {
	s, err := prepareStation(ctx, e, name, n)
	if err != nil {
		return nil, err
	}
	return s, s.start(ctx, e)
}

func (s *station) start(ctx context.Context, e *env) error {
	var err error
	if s.Program, err = program.Start(filepath.Join(e.bin, "communewatch-collector"), "serve", "--config", s.config); err != nil {
		return err
	}
	return s.Ready(ctx, s.url+"/health")
}

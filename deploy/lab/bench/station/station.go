// Package station is a collector under measurement, a process of its own with sites and a token for each, and the lines
// that agents of these sites would send.
package station

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"communewatch/collector"
	"communewatch/collector/registry"
	"communewatch/deploy/lab/bench/program"
	"communewatch/inventory"

	"golang.org/x/sync/errgroup"
)

// Station is a collector with sites and a token for each.
type Station struct {
	*program.Program
	URL    string
	Config string // its settings file
	Sites  []string
	Tokens []string
}

// Prepare makes the files of a collector with n sites in dir. settings are added to its settings file.
func Prepare(ctx context.Context, dir string, n int, settings string) (*Station, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	address, err := program.FreeAddress()
	if err != nil {
		return nil, err
	}
	s := &Station{URL: "http://" + address, Config: filepath.Join(dir, "collector.yaml")}
	text := fmt.Sprintf("listen: %q\ntls: {mode: off}\npeople: {anonymous: admin}\ndata_dir: data\n", address) + settings
	if err := os.WriteFile(s.Config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cfg, err := collector.ReadConfig(s.Config)
	if err != nil {
		return nil, err
	}
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer reg.Close()
	sites := make([]inventory.Site, n)
	s.Sites, s.Tokens = make([]string, n), make([]string, n)
	for i := range sites {
		s.Sites[i] = fmt.Sprintf("s%05d", i)
		sites[i] = inventory.Site{
			ID: s.Sites[i], Code: s.Sites[i], Name: fmt.Sprintf("Xã %d", i), Type: "xã", Parent: fmt.Sprintf("Huyện %d", i/15),
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
	for i := range s.Sites {
		group.Go(func() error {
			secret, _, err := reg.CreateToken(ctx, registry.Token{Kind: registry.KindAgent, Site: s.Sites[i]})
			mu.Lock()
			s.Tokens[i] = secret
			mu.Unlock()
			return err
		})
	}
	return s, group.Wait()
}

// Start starts the collector of the programs in bin, and returns when it takes results.
func (s *Station) Start(ctx context.Context, bin string) error {
	var err error
	if s.Program, err = program.Start(filepath.Join(bin, "communewatch-collector"), "serve", "--config", s.Config); err != nil {
		return err
	}
	if err := s.Ready(ctx, s.URL+"/health"); err != nil {
		return err
	}
	// Its doors are open before it has read the recent past.
	for deadline := time.Now().Add(time.Minute); ; {
		replayed, err := s.replayed(ctx)
		if replayed || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the collector takes no results yet:\n%s", s.Output())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Station) replayed(ctx context.Context) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/status", nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	var status struct {
		Store struct {
			Replayed bool `json:"replayed"`
		} `json:"store"`
	}
	err = json.NewDecoder(resp.Body).Decode(&status)
	return status.Store.Replayed, err
}

// AppendRun appends the two lines of one run of a check: nine numbers of a ping, and the verdict row with three numbers and
// two texts.
func AppendRun(b []byte, site string, target int, at int64, seq int) []byte {
	rtt := 0.010 + float64(seq%97)*0.0001
	b = fmt.Appendf(b, "icmp,agent=pc-1,path=broadband,site=%s,target=t%02d sent=10i,send_errors=0i,received=10i,lost=0i,loss_ratio=0,"+
		"rtt_min_seconds=%.6f,rtt_median_seconds=%.6f,rtt_p95_seconds=%.6f,jitter_seconds=%.6f %d\n", site, target, rtt, rtt*1.1, rtt*1.7, rtt/20, at)
	return fmt.Appendf(b, "check,agent=pc-1,kind=icmp,layer=broadband,path=broadband,site=%s,target=t%02d outcome=\"ok\",up=true,"+
		"took_seconds=%.6f,interval_seconds=30,path_proof=\"bound\" %d\n", site, target, 2+rtt, at)
}

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"communewatch/agent"
	"communewatch/collector"
	"communewatch/collector/people"
	"communewatch/collector/registry"
	"communewatch/deploy/lab/database"
	"communewatch/deploy/lab/fleet"
	"communewatch/deploy/lab/gear"
	"communewatch/inventory"
	"communewatch/probes/snmp"
)

// Config is what a lab is made of.
type Config struct {
	Dir      string        // of all its files
	Listen   string        // the collector's address
	Sites    int           // simulated sites
	Block    gear.Block    // of their loopback networks
	Interval time.Duration // between runs of a check
	Devices  bool          // with devices that answer SNMP, and checks that poll them
	Poll     time.Duration // between polls of a device; 0: DefaultPoll
	Calls    bool          // with a reflector, a line to it from each site, and checks that call over it
	Local    bool          // with an agent that measures this machine's own network
	Boundary string        // GeoJSON file for the map, or ""
	Store    string        // collector.StoreEmbedded or collector.StoreInflux, a real one beside the collector; "": embedded
	Past     time.Duration // that TellPast makes up; 0: none
	Log      *slog.Logger  `json:"-"`
}

// Bounds of Config.Interval.
const (
	// minInterval is what the slowest check needs: a portal has 5 s to answer (see siteChecks), and the agent adds one
	// before it cuts a run off. It refuses a check that could only overrun.
	minInterval = 6 * time.Second
	// maxInterval keeps a lab one that can be watched: a fault shows after two or three runs.
	maxInterval = 10 * time.Minute
	// minPoll leaves an old device the time to say all that it has.
	minPoll = 10 * time.Second
)

// DefaultPoll is how often a device is polled. Polls every minute took a third more of a province's processor time, and
// on a busy machine of two cores its pings felt it.
const DefaultPoll = 2 * time.Minute

// Validate says what is wrong with a lab's size or pace, so that it is said once and not by every agent.
func (c Config) Validate() error {
	if c.Sites < 1 || c.Sites > c.Block.MaxSites() {
		return fmt.Errorf("%d sites: choose 1 to %d", c.Sites, c.Block.MaxSites())
	}
	if c.Interval < minInterval || c.Interval > maxInterval {
		return fmt.Errorf("interval %v: choose %v to %v; a run may take %v until its timeouts are over, and a fault shows after two or three runs",
			c.Interval, minInterval, maxInterval, minInterval)
	}
	if c.Poll != 0 && (c.Poll < minPoll || c.Poll > time.Hour) {
		return fmt.Errorf("a poll every %v: choose %v to 1h; a device that does not answer takes most of that", c.Poll, minPoll)
	}
	if c.Past != 0 && (c.Past < minPast || c.Past > maxPast) {
		return fmt.Errorf("a past of %v: choose 0, or %d to %d days", c.Past, minPast/(24*time.Hour), maxPast/(24*time.Hour))
	}
	if c.Store != "" && c.Store != collector.StoreEmbedded && c.Store != collector.StoreInflux {
		return fmt.Errorf("store %.40q: choose %s or %s", c.Store, collector.StoreEmbedded, collector.StoreInflux)
	}
	return nil
}

// Province is a lab's files, made or found again. Nothing runs yet.
type Province struct {
	cfg     Config
	sites   []inventory.Site
	devices []fleet.Device // none without Config.Devices
	kit     *snmp.Kit      // what the agents know of makers and learn of devices, once for all of them
	local   bool

	database *database.Database // nil: the store is embedded, or this process did not prepare the lab
}

// Prepare makes the files of a lab in its folder, or completes those that are there. Sites and tokens are made the
// way an operator makes them, in the registry.
func Prepare(ctx context.Context, cfg Config) (*Province, error) {
	// Relative folders of an agent's settings would be relative to wherever the lab was started.
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir = dir
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	sites, err := provinceSites(cfg.Sites)
	if err != nil {
		return nil, err
	}
	p := &Province{cfg: cfg, sites: sites, local: cfg.Local}
	if err := fewer(cfg); err != nil {
		return nil, err
	}
	if err := p.plan(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"collector", "agents", "ledger"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, dir), 0o700); err != nil {
			return nil, err
		}
	}
	if cfg.Store == collector.StoreInflux {
		if p.database, err = database.New(cfg.Dir); err != nil {
			return nil, err
		}
	}
	collectorConfig, err := p.writeCollector()
	if err != nil {
		return nil, err
	}
	reg, err := registry.Open(ctx, collectorConfig.RegistryFile(), registry.Options{Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	if err = p.writeAgents(ctx, reg); err == nil {
		err = errors.Join(p.importPurchases(ctx, reg), p.importCatalogue(ctx, reg))
	}
	return p, errors.Join(err, reg.Close(), p.save())
}

// fewer refuses a lab with fewer sites than the one that its folder has: the collector knows the others still, and would
// wait for them.
func fewer(cfg Config) error {
	data, err := os.ReadFile(filepath.Join(cfg.Dir, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var had struct{ Sites int }
	if err == nil {
		err = json.Unmarshal(data, &had)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	if cfg.Sites < had.Sites {
		return fmt.Errorf("%s is a lab of %d sites, and %d were asked for; give it --sites %d or more, or name a new folder", cfg.Dir, had.Sites, cfg.Sites, had.Sites)
	}
	return nil
}

// Open finds the lab that Prepare made in a folder, for a process that runs some of its parts.
func Open(dir string, log *slog.Logger) (*Province, error) {
	data, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return nil, fmt.Errorf("%s is not the folder of a lab: %w", dir, err)
	}
	cfg := Config{Log: log}
	if err := json.Unmarshal(data, &cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	cfg.Dir = dir
	sites, err := provinceSites(cfg.Sites)
	if err != nil {
		return nil, err
	}
	p := &Province{cfg: cfg, sites: sites, local: cfg.Local}
	return p, p.plan()
}

// plan finds out which devices the sites have.
func (p *Province) plan() (err error) {
	p.kit = snmp.NewKit()
	if p.cfg.Poll == 0 {
		p.cfg.Poll = DefaultPoll
	}
	if p.cfg.Devices {
		p.devices, err = fleet.Plan(p.sites)
	}
	return err
}

// Devices lists the devices of the simulated sites, site by site; none if the lab has none.
func (p *Province) Devices() []fleet.Device { return p.devices }

// configFile keeps a lab's Config in its folder.
const configFile = "lab.json"

func (p *Province) save() error {
	cfg := p.cfg
	cfg.Local = p.local
	data, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(cfg.Dir, configFile), data, 0o600)
}

// Sites lists the ids of the simulated sites, in order of their numbers.
func (p *Province) Sites() []string {
	ids := make([]string, len(p.sites))
	for i := range p.sites {
		ids[i] = p.sites[i].ID
	}
	return ids
}

// Reachable is the address under which the collector can be reached from this machine.
func (p *Province) Reachable() string { return reachable(p.cfg.Listen) }

func (p *Province) collectorFile() string {
	return filepath.Join(p.cfg.Dir, "collector", "collector.yaml")
}

func (p *Province) agentDir(site string) string { return filepath.Join(p.cfg.Dir, "agents", site) }

func (p *Province) ledgerFile(site string) string { return filepath.Join(p.cfg.Dir, "ledger", site) }

func (p *Province) socket() string { return SocketFile(p.cfg.Dir) }

// SocketFile is where the lab of a folder takes orders.
func SocketFile(dir string) string { return filepath.Join(dir, "lab.sock") }

// visitors is what who is not signed in may do: everything on this machine, and look on from elsewhere.
func (p *Province) visitors() people.Role {
	host, _, err := net.SplitHostPort(p.cfg.Listen)
	if a, perr := netip.ParseAddr(host); err == nil && (host == "localhost" || perr == nil && a.IsLoopback()) {
		return people.RoleAdmin
	}
	return people.RoleViewer
}

func (p *Province) writeCollector() (collector.Config, error) {
	title := "Tỉnh Vĩnh Phúc (mô phỏng)"
	text := fmt.Sprintf("# Made by communewatch-lab.\nlisten: %q\nallow_plaintext: true\ntls: {mode: off}\npeople: {anonymous: %s}\ndata_dir: data\ntitle: %q\n",
		p.cfg.Listen, p.visitors(), title)
	if p.database != nil {
		text += fmt.Sprintf("store: influx\ninflux: {url: %q}\n", p.database.URL())
	}
	if p.cfg.Past > 0 {
		if err := os.WriteFile(filepath.Join(p.cfg.Dir, "collector", "profiles.yaml"), []byte(pastProfiles), 0o600); err != nil {
			return collector.Config{}, err
		}
		text += pastSettings
	}
	if p.cfg.Calls {
		// The port is any that is free: sites learn it from the answers to their offers, and so does the relay of each.
		text += "reflector: {media: \"127.0.0.1:0\"}\n"
	}
	if p.cfg.Boundary != "" {
		abs, err := filepath.Abs(p.cfg.Boundary)
		if err != nil {
			return collector.Config{}, err
		}
		text += fmt.Sprintf("boundaries: %q\n", abs)
	}
	if err := os.WriteFile(p.collectorFile(), []byte(text), 0o600); err != nil {
		return collector.Config{}, err
	}
	return p.collectorConfig()
}

// collectorConfig reads the settings of the collector.
func (p *Province) collectorConfig() (collector.Config, error) {
	return collector.ReadConfig(p.collectorFile())
}

func (p *Province) writeAgents(ctx context.Context, reg *registry.Registry) error {
	sites := p.sites
	if p.local {
		sites = append(sites[:len(sites):len(sites)], localSite())
	}
	if _, err := reg.ImportSites(ctx, sites, false); err != nil {
		return fmt.Errorf("sites: %w", err)
	}
	for i, s := range sites {
		dir := p.agentDir(s.ID)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := makeToken(ctx, reg, s.ID, filepath.Join(dir, "token")); err != nil {
			return err
		}
		text := p.agentHead(s.ID)
		if s.ID == LocalSite {
			checks, err := localChecks()
			if err != nil {
				// A machine without a network is no reason to show no province.
				p.cfg.Log.Warn("no agent for this machine's own network", "error", err)
				p.local = false
				continue
			}
			text += checks
		} else {
			text += p.siteChecks(i)
		}
		if err := os.WriteFile(filepath.Join(dir, "agent.yaml"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// makeToken gets a site a token unless it has one from an earlier run.
func makeToken(ctx context.Context, reg *registry.Registry, site, file string) error {
	if old, err := os.ReadFile(file); err == nil {
		if _, err := reg.Authenticate(ctx, strings.TrimSpace(string(old))); err == nil {
			return nil
		}
	}
	secret, _, err := reg.CreateToken(ctx, registry.Token{Kind: registry.KindAgent, Site: site, Note: "lab"})
	if err != nil {
		return fmt.Errorf("token for %s: %w", site, err)
	}
	return os.WriteFile(file, []byte(secret+"\n"), 0o600)
}

// Operator makes a token for somebody who may start rehearsals.
func (p *Province) Operator(ctx context.Context, name string) (secret string, err error) {
	cfg, err := p.collectorConfig()
	if err != nil {
		return "", err
	}
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: p.cfg.Log})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, reg.Close()) }()
	secret, _, err = reg.CreateToken(ctx, registry.Token{Kind: registry.KindOperator, Note: name})
	return secret, err
}

func (p *Province) agentHead(site string) string {
	return fmt.Sprintf(`# Made by communewatch-lab.
site: %s
agent: pc-1
state_dir: %q
collectors:
  - {url: "http://%s", token_file: token}
spool: {seal_after: 2s, min_free: 0.01}
self_interval: 15s
defaults: {interval: %s}
`, site, filepath.Join(p.agentDir(site), "state"), reachable(p.cfg.Listen), p.cfg.Interval)
}

// reachable turns an address to listen on into one to connect to.
func reachable(listen string) string {
	ap, err := netip.ParseAddrPort(listen)
	switch {
	case strings.HasPrefix(listen, ":"):
		return "127.0.0.1" + listen
	case err == nil && ap.Addr().IsUnspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ap.Port()).String()
	}
	return listen
}

// siteChecks is what the agent of simulated site i checks: each layer by a ping and by services, the conference by
// its signalling.
func (p *Province) siteChecks(i int) string {
	at := func(host byte) netip.Addr { return p.cfg.Block.Addr(i, host) }
	var b strings.Builder
	b.WriteString("paths: {lan: {device: lo}, broadband: {device: lo}, dedicated: {device: lo}}\nchecks:\n")
	ping := func(name, path string, host byte) {
		fmt.Fprintf(&b, "  - {name: %s, kind: icmp, path: %s, address: %s, options: {count: 5, interval: 100ms, wait: 1s}}\n", name, path, at(host))
	}
	web := func(name, path, layer string, host byte) {
		fmt.Fprintf(&b, "  - {name: %s, kind: http, path: %s, layer: %s, address: \"http://%s:%d/\", options: {timeout: 5s, body_contains: communewatch}}\n", name, path, layer, at(host), gear.PortHTTP)
	}
	dns := func(name, path string, host byte) {
		fmt.Fprintf(&b, "  - {name: %s, kind: dns, path: %s, address: portal.lab, options: {timeout: 1s, expect: [%s], resolvers: [{name: %s, address: \"%s:%d\"}]}}\n", name, path, at(host), name, at(host), gear.PortDNS)
	}
	tcp := func(name string, port int) {
		fmt.Fprintf(&b, "  - {name: %s, kind: tcp, path: lan, layer: conference, address: \"%s:%d\", options: {timeout: 2s}}\n", name, at(gear.HostEndpoint), port)
	}
	ping("router", "lan", gear.HostRouter)
	web("router-web", "lan", "lan", gear.HostRouter)
	dns("router-dns", "lan", gear.HostRouter)
	ping("broadband-anchor", "broadband", gear.HostBroadband)
	web("broadband-portal", "broadband", "broadband", gear.HostBroadband)
	ping("dedicated-anchor", "dedicated", gear.HostDedicated)
	web("dedicated-portal", "dedicated", "dedicated", gear.HostDedicated)
	dns("dedicated-dns", "dedicated", gear.HostDedicated)
	tcp("endpoint-h323", gear.PortH323)
	tcp("endpoint-sip", gear.PortSIP)
	web("endpoint-web", "lan", "conference", gear.HostEndpoint)
	if p.cfg.Calls {
		b.WriteString(p.callChecks(i))
	}
	for _, d := range p.devices {
		if d.Site == i {
			b.WriteString(pollCheck(d, at(d.Host), p.cfg.Poll))
		}
	}
	return b.String()
}

// callEvery is how often a site makes a test call: seldom, since the calls of 136 sites share the machine. For the same
// reason they measure no data channel, whose own protocols take more than a light stream of media.
const callEvery = 15 * time.Minute

// callChecks are the checks of simulated site i that speak a conference's own protocols: a call over the site's line to
// the reflector, and questions to the room's endpoint.
func (p *Province) callChecks(i int) string {
	endpoint := p.cfg.Block.Addr(i, gear.HostEndpoint)
	var b strings.Builder
	fmt.Fprintf(&b, "  - {name: conference-call, kind: webrtc, path: dedicated, layer: conference, interval: %v, address: \"http://%s:%d/whip/echo\", options: {profile: low, duration: 5s, data_channel: false, token_file: %q}}\n",
		callEvery, p.cfg.Block.Addr(i, gear.HostDedicated), gear.PortCall, filepath.Join(p.agentDir(p.sites[i].ID), "token"))
	every := max(p.cfg.Interval, time.Minute)
	fmt.Fprintf(&b, "  - {name: endpoint-options, kind: sip, path: lan, layer: conference, interval: %v, address: \"%s:%d\", options: {timeout: 4s}}\n", every, endpoint, gear.PortSIP)
	fmt.Fprintf(&b, "  - {name: endpoint-call-port, kind: h323, path: lan, layer: conference, interval: %v, address: \"%s:%d\"}\n", every, endpoint, gear.PortH323)
	return b.String()
}

// pollCheck is the check that polls a device.
func pollCheck(d fleet.Device, at netip.Addr, every time.Duration) string {
	layer := "lan"
	if d.Name == "endpoint" {
		layer = "conference"
	}
	who := "community: public"
	if d.Own.OnlyV3 {
		who = fmt.Sprintf("v3: {user: %s, auth_key: %s, priv_key: %s}", fleet.UserName, fleet.AuthPhrase, fleet.PrivPhrase)
	}
	return fmt.Sprintf("  - {name: snmp-%s, kind: snmp, path: lan, layer: %s, interval: %v, address: \"%s:%d\", options: {%s, timeout: 1500ms, deadline: %v}}\n",
		d.Name, layer, every, at, gear.PortSNMP, who, min(every*3/4, 45*time.Second))
}

// agentConfig reads the settings of a site's agent.
func (p *Province) agentConfig(site string) (agent.Config, error) {
	return agent.ReadConfigSharing(filepath.Join(p.agentDir(site), "agent.yaml"), p.kit)
}

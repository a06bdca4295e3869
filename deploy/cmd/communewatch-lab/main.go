// Command communewatch-lab runs a whole province on one machine, sets faults in it, and audits what became of its
// results.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"communewatch/collector"
	"communewatch/deploy/lab"
	"communewatch/deploy/lab/audit"
	"communewatch/deploy/lab/chaos"
	"communewatch/deploy/lab/database"
	"communewatch/deploy/lab/demo"
	"communewatch/deploy/lab/fleet"
	"communewatch/deploy/lab/gear"
	"communewatch/deploy/lab/rehearse"
	"communewatch/deploy/lab/scenario"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if runtime.GOOS != "linux" {
		fmt.Fprintln(os.Stderr, "communewatch-lab runs on Linux only: it needs a loopback network with room for every site")
		os.Exit(2)
	}
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "communewatch-lab:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use: "communewatch-lab", Short: "A province on one machine, to watch, to break and to audit",
		SilenceUsage: true, SilenceErrors: true,
	}
	cmd.AddCommand(demoCommand(), faultCommand(), auditCommand(), chaosCommand(), rehearsalCommand(), partCommand())
	return cmd
}

// defaultDir is where a demo keeps its files when it is not told: one per user, so that `fault` and `audit` find it.
func defaultDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("communewatch-demo-%d", os.Getuid()))
}

func labFlags(cmd *cobra.Command, cfg *lab.Config) {
	f := cmd.Flags()
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1:8787", "the collector's address")
	f.IntVar(&cfg.Sites, "sites", 136, "simulated sites")
	f.StringVar(&cfg.Dir, "data", "", "folder to keep everything in (default: a throw-away one)")
	f.DurationVar(&cfg.Interval, "interval", 15*time.Second, "time between runs of a check, 6s to 10m")
	f.StringVar(&cfg.Store, "store", collector.StoreEmbedded, "where the collector keeps results: embedded, or influx, a real InfluxDB 1.8 that the lab starts")
	f.Uint8Var((*uint8)(&cfg.Block), "block", uint8(gear.DefaultBlock), "second byte of the first simulated network")
}

// defaultPast has a whole month in it at least, mostly two, and takes a demo seconds to make up.
const defaultPast = 75

func demoCommand() *cobra.Command {
	var cfg lab.Config
	var o demo.Options
	var days int
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a province until Ctrl-C", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Throwaway = cfg.Dir == ""
			if o.Throwaway {
				cfg.Dir = defaultDir()
			}
			o.Out = cmd.OutOrStdout()
			cfg.Past = time.Duration(days) * 24 * time.Hour
			return demo.Run(cmd.Context(), cfg, o)
		},
	}
	labFlags(cmd, &cfg)
	f := cmd.Flags()
	f.BoolVar(&cfg.Devices, "devices", true, "with devices that answer SNMP and are polled")
	f.DurationVar(&cfg.Poll, "poll", lab.DefaultPoll, "time between polls of a device, 10s to 1h")
	f.BoolVar(&cfg.Calls, "calls", true, "with a reflector, a line to it from each site, and test calls over it")
	f.BoolVar(&cfg.Local, "local", true, "with an agent that measures this machine's own gateway and resolvers")
	f.StringVar(&cfg.Boundary, "boundaries", "", "GeoJSON file with the sites' areas")
	f.StringVar(&o.Scenario, "scenario", "", `file of faults to play ("none" for none; default: a few of each kind)`)
	f.DurationVar(&o.For, "for", 0, "stop after this long (default: at Ctrl-C)")
	f.IntVar(&days, "past", defaultPast, "days of a past that is made up, so that reports and long charts show something; 0 for none")
	return cmd
}

func faultCommand() *cobra.Command {
	var dir string
	var o scenario.Order
	cmd := &cobra.Command{
		Use:   "fault service|device|agent|clock|collector|database|media",
		Short: "Set a fault in a running lab",
		Example: `  communewatch-lab fault service --site s08707 --service broadband-portal --mode slow --delay 4s --for 2m
  communewatch-lab fault device --site s08707 --device router --mode slow --delay 900ms
  communewatch-lab fault agent --site s08707 --mode stop
  communewatch-lab fault clock --site s08707 --skew -3h
  communewatch-lab fault collector --mode stop --for 1m
  communewatch-lab fault database --mode kill --for 2m
  communewatch-lab fault media --site s08707 --direction up --loss 8% --for 5m
  communewatch-lab fault media --hub --rate 20M
Services: ` + strings.Join(gear.ServiceNames(), ", ") + `, all. Modes: down, hang, slow, wrong, up.
Devices: ` + strings.Join(fleet.Names(), ", ") + `, all. Modes: ` + strings.Join(gear.DeviceModes(), ", ") + `.
Database (of a lab with --store influx): ` + strings.Join(database.Modes(), ", ") + `.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Do = args[0]
			if err := lab.Send(cmd.Context(), dir, o); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "done:", o)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "data", defaultDir(), "folder of the lab")
	f.StringSliceVar(&o.Sites, "site", nil, "site ids, separated by commas")
	f.StringVar(&o.Service, "service", "", "service of the site")
	f.StringVar(&o.Device, "device", "", "device of the site")
	f.StringVar(&o.Mode, "mode", "", "what happens to it")
	f.DurationVar(&o.Delay, "delay", 0, "for slow services, devices and databases, and for media")
	f.BoolVar(&o.Hub, "hub", false, "media: the hub's own line, which all sites' calls go through")
	f.StringVar((*string)(&o.Direction), "direction", "", "media: up or down (default both)")
	f.TextVar(&o.Loss, "loss", scenario.Share(0), "media: share of packets lost at random, such as 8%")
	f.Float64Var(&o.Burst, "burst", 0, "media: mean length of a run of losses, in packets")
	f.TextVar(&o.Rate, "rate", scenario.Rate(0), "media: limit in bit/s, such as 600k or 20M")
	f.DurationVar(&o.Jitter, "jitter", 0, "media: up to so much more than --delay")
	f.DurationVar(&o.Skew, "skew", 0, "how far the agent's clock is wrong; 0 sets it right")
	f.DurationVar(&o.For, "for", 0, "undo it after this long")
	return cmd
}

func auditCommand() *cobra.Command {
	var dir string
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "audit", Short: "Compare what the agents took with what the store holds",
		Long: "Compare what the agents took with what the store holds. What the spool of a stopped agent holds is waiting, not lost;\n" +
			"--wait 0s reports it at once.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := audit.Run(cmd.Context(), dir, wait, terminalLog())
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), r.String())
			if !r.OK() {
				return fmt.Errorf("the audit failed")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "data", defaultDir(), "folder of the lab, running or not")
	cmd.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for results that are on their way or in a spool")
	return cmd
}

func chaosCommand() *cobra.Command {
	var cfg lab.Config
	var o chaos.Options
	cmd := &cobra.Command{
		Use: "chaos", Short: "Kill parts at random moments, take the collector or its InfluxDB away, then audit", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.Dir == "" {
				dir, err := os.MkdirTemp("", "communewatch-chaos-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(dir)
				cfg.Dir = dir
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Command = func(dir string, collector bool, agents []string) *exec.Cmd {
				return exec.Command(self, "part", "--data", dir, fmt.Sprintf("--collector=%t", collector), "--agents", strings.Join(agents, ","))
			}
			o.Log = terminalLog()
			cfg.Log = slog.New(slog.DiscardHandler)
			r, err := chaos.Run(cmd.Context(), cfg, o)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d kills\n", r.Kills)
			if cfg.Store == collector.StoreInflux {
				fmt.Fprintln(cmd.OutOrStdout(), &r.Absence)
			}
			fmt.Fprintln(cmd.OutOrStdout(), r.Settled(o.Settle))
			fmt.Fprintln(cmd.OutOrStdout(), r.String())
			if !r.OK() {
				return fmt.Errorf("the audit failed")
			}
			if r.Waiting > 0 {
				return fmt.Errorf("%d results still wait although every agent runs; if this machine is slow, raise --settle", r.Waiting)
			}
			return nil
		},
	}
	labFlags(cmd, &cfg)
	f := cmd.Flags()
	f.Lookup("listen").DefValue = "127.0.0.1:8788"
	cfg.Listen = "127.0.0.1:8788"
	f.BoolVar(&cfg.Devices, "devices", false, "with devices that answer SNMP and are polled")
	f.DurationVar(&cfg.Poll, "poll", lab.DefaultPoll, "time between polls of a device, 10s to 1h")
	f.IntVar(&o.Groups, "groups", 4, "processes that the agents are spread over")
	f.DurationVar(&o.For, "for", 2*time.Minute, "time of random kills")
	f.BoolVar(&o.DatabaseAlone, "database-alone", false, "with --store influx: kill the database alone, not agents and collector")
	f.DurationVar(&o.Away, "away", time.Minute, "time that the InfluxDB is gone after them, without one the collector")
	f.DurationVar(&o.Settle, "settle", time.Minute, "time for what is spooled to arrive")
	f.Uint64Var(&o.Seed, "seed", 1, "of the random moments")
	return cmd
}

func rehearsalCommand() *cobra.Command {
	var cfg lab.Config
	var o rehearse.Options
	var profile string
	cmd := &cobra.Command{
		Use: "rehearsal", Short: "Plant two bad lines, hold a rehearsal of all sites, and compare", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.Sites < 4 {
				return fmt.Errorf("%d sites: two of them are made bad, so 4 at least", cfg.Sites)
			}
			if cfg.Dir == "" {
				dir, err := os.MkdirTemp("", "communewatch-rehearsal-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(dir)
				cfg.Dir = dir
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Command = func(dir string, collector bool, agents []string) *exec.Cmd {
				return exec.Command(self, "part", "--data", dir, fmt.Sprintf("--collector=%t", collector), "--agents", strings.Join(agents, ","))
			}
			o.Out, o.Profiles = cmd.OutOrStdout(), []rehearse.Profile{{Name: profile}, rehearse.Light()}
			cfg.Log = slog.New(slog.DiscardHandler)
			if o.Bad, err = rehearse.Bad(cfg.Sites); err != nil {
				return err
			}
			r, err := rehearse.Run(cmd.Context(), cfg, o)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), r)
			if !r.OK() {
				return fmt.Errorf("the rehearsal did not find what was planted, or more than that")
			}
			return nil
		},
	}
	labFlags(cmd, &cfg)
	f := cmd.Flags()
	f.Lookup("listen").DefValue = "127.0.0.1:8789"
	cfg.Listen = "127.0.0.1:8789"
	f.Lookup("interval").DefValue = "5m0s"
	cfg.Interval = 5 * time.Minute
	f.BoolVar(&cfg.Devices, "devices", false, "with devices that answer SNMP and are polled")
	f.DurationVar(&cfg.Poll, "poll", lab.DefaultPoll, "time between polls of a device, 10s to 1h")
	f.StringVar(&profile, "profile", "low", "of the calls: audio, low, 360p, 720p or 1080p; where this machine does not carry it, a lighter one is taken")
	f.StringVar(&o.Steps, "steps", "10,34,68,all", "how many sites call at once, step by step")
	f.IntVar(&o.StepSeconds, "step-seconds", 15, "of media in each step")
	return cmd
}

// partCommand is what chaos and rehearsals run apart.
func partCommand() *cobra.Command {
	var dir, agents string
	var parts lab.Parts
	cmd := &cobra.Command{
		Use: "part", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := lab.Open(dir, terminalLog())
			if err != nil {
				return err
			}
			if agents != "" {
				parts.Agents = strings.Split(agents, ",")
			}
			l, err := lab.Start(cmd.Context(), p, parts)
			if err != nil {
				return err
			}
			defer l.Stop()
			select {
			case <-cmd.Context().Done():
				return nil
			case err := <-l.Failed():
				return err
			}
		},
	}
	cmd.Flags().StringVar(&dir, "data", "", "folder of the lab")
	cmd.Flags().BoolVar(&parts.Collector, "collector", false, "run the collector")
	cmd.Flags().StringVar(&agents, "agents", "", "run the agents of these sites")
	return cmd
}

func terminalLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

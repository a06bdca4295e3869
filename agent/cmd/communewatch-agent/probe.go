package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"communewatch/agent"
	"communewatch/agent/cmd/communewatch-agent/call"
	"communewatch/agent/cmd/communewatch-agent/exit"
	"communewatch/probes"
	"communewatch/probes/settings"
	"communewatch/probes/snmp/session"
	calls "communewatch/probes/webrtc/report"
	"communewatch/probes/webrtc/text"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// probeKind is a kind of probe as a command: how its options are called as flags.
type probeKind struct {
	kind    probes.Kind
	target  string // of the usage line; "" where there is none to choose
	short   string
	example string
	flags   func(f *pflag.FlagSet)
	options map[string]string // flag -> option
	repeats bool              // --count and --interval repeat the run; else they are options of the kind
}

func probeKinds() []probeKind {
	return append([]probeKind{
		{
			kind: probes.KindICMP, target: "HOST", short: "Send a burst of pings",
			example: "communewatch-agent probe icmp 10.1.2.3 --count 20 --interval 100ms",
			flags: func(f *pflag.FlagSet) {
				f.Int("count", 10, "pings to send")
				f.Duration("interval", 200*time.Millisecond, "`time` between two pings")
				f.Duration("timeout", 2*time.Second, "`time` an answer may take")
				f.Int("size", 56, "payload in `bytes`")
				f.Int("df-size", 0, "also send a packet of so many `bytes` that must not be fragmented")
				f.String("network", "", "ip4 or ip6")
			},
			options: map[string]string{"count": "count", "interval": "interval", "timeout": "wait", "size": "size_bytes", "df-size": "df_size_bytes", "network": "network"},
		},
		{
			kind: probes.KindTCP, target: "HOST:PORT", short: "Open a TCP connection", repeats: true,
			example: "communewatch-agent probe tcp 10.1.2.3:443",
			flags:   func(f *pflag.FlagSet) { f.Duration("timeout", 5*time.Second, "`time` the connection may take") },
			options: map[string]string{"timeout": "timeout"},
		},
		{
			kind: probes.KindDNS, target: "NAME", short: "Ask DNS resolvers, each for itself", repeats: true,
			example: "communewatch-agent probe dns portal.example.gov.vn --resolver 10.0.0.53 --resolver 8.8.8.8",
			flags: func(f *pflag.FlagSet) {
				f.StringSlice("resolver", nil, "`address` of a resolver; may be repeated (default: those of /etc/resolv.conf)")
				f.String("type", "A", "record type: A, AAAA, CNAME, MX, NS, PTR, TXT or SRV")
				f.StringSlice("expect", nil, "address, prefix or name that each answer must match; may be repeated")
				f.Duration("timeout", 2*time.Second, "`time` one try may take")
				f.Int("tries", 2, "questions sent to a resolver before it counts as silent")
			},
			options: map[string]string{"resolver": "resolvers", "type": "type", "expect": "expect", "timeout": "timeout", "tries": "tries"},
		},
		{
			kind: probes.KindHTTP, target: "URL", short: "Make an HTTP request", repeats: true,
			example: "communewatch-agent probe http https://portal.example.gov.vn/ --status 200,302",
			flags: func(f *pflag.FlagSet) {
				f.String("method", "GET", "GET or HEAD")
				f.Duration("timeout", 10*time.Second, "`time` the whole run may take")
				f.IntSlice("status", nil, "status `codes` that are right (default: 200 to 299)")
				f.String("body-contains", "", "`text` that the body must hold")
				f.String("body-matches", "", "regular `expression` that the body must match")
				f.Int("redirects", 0, "redirects to follow")
				f.String("ca-file", "", "PEM `file` of the authorities to trust instead of the system's")
				f.Bool("skip-verify", false, "accept any certificate")
			},
			options: map[string]string{"method": "method", "timeout": "timeout", "status": "status", "body-contains": "body_contains",
				"body-matches": "body_matches", "redirects": "redirects", "ca-file": "ca_file", "skip-verify": "skip_verify"},
		},
		{
			kind: probes.KindSNMP, target: "HOST[:PORT]", short: "Poll a device over SNMP, and say what it is", repeats: true,
			example: "communewatch-agent probe snmp 192.168.1.1 --community-file community",
			flags: func(f *pflag.FlagSet) {
				f.String("community", "", "community of versions 1 and 2c; whoever lists this machine's processes sees it")
				f.String("community-file", "", "`file` with the community")
				f.String("snmp-version", "auto", "protocol `version`: 1, 2c, 3 or auto (3 with a user, else 2c, else 1)")
				f.String("v3", "", "`user` of SNMP version 3")
				f.String("auth", "sha256", "authentication `protocol`: "+strings.Join(session.AuthProtocols(), ", "))
				f.String("auth-key-file", "", "`file` with the authentication passphrase")
				f.String("priv", "aes", "encryption `protocol`: "+strings.Join(session.PrivProtocols(), ", "))
				f.String("priv-key-file", "", "`file` with the encryption passphrase")
				f.String("context", "", "context name of version 3")
				f.Duration("timeout", 2*time.Second, "`time` one answer may take")
				f.Int("retries", 1, "times a question is sent again")
				f.Duration("deadline", 45*time.Second, "`time` the whole run may take")
				f.Bool("up-only", false, "show only interfaces that are in operation")
				f.String("profiles", "", "`folder` with further identification profiles")
			},
			options: map[string]string{"community": "community", "community-file": "community_file", "snmp-version": "version",
				"v3": "v3.user", "auth": "v3.auth", "auth-key-file": "v3.auth_key_file", "priv": "v3.priv", "priv-key-file": "v3.priv_key_file",
				"context": "v3.context", "timeout": "timeout", "retries": "retries", "deadline": "deadline",
				"up-only": "interfaces.up_only", "profiles": "profiles"},
		},
		{
			kind: probes.KindMachine, short: "Describe this machine as a piece of equipment",
			example: "communewatch-agent probe machine --json",
			flags:   func(f *pflag.FlagSet) { f.Duration("timeout", 10*time.Second, "`time` that reading may take") },
			options: map[string]string{"timeout": "timeout"},
		},
		{
			kind: probes.KindSweep, target: "PREFIX", short: "Look through a network of the office for equipment",
			example: "communewatch-agent probe sweep 192.168.1.0/24 --exclude 192.168.1.250 --community-file community",
			flags: func(f *pflag.FlagSet) {
				f.StringSlice("allow", nil, "`prefix` that may be looked through; may be repeated (default: PREFIX)")
				f.StringSlice("exclude", nil, "address or `prefix` to leave alone; may be repeated")
				f.Float64("rate", 20, "`questions` begun per second")
				f.Int("parallel", 8, "`hosts` looked at together")
				f.Duration("longest", 30*time.Minute, "`time` the sweep may take")
				f.String("community", "", "community of SNMP versions 1 and 2c; none: nobody is asked over SNMP")
				f.String("community-file", "", "`file` with it")
				f.String("rules", "", "`folder` of rules that go before the built-in ones")
			},
			options: map[string]string{"allow": "allow", "exclude": "exclude", "rate": "rate", "parallel": "parallel", "longest": "longest",
				"community": "snmp.community", "community-file": "snmp.community_file", "rules": "rules"},
		},
	}, conferenceKinds()...)
}

func newProbe() *cobra.Command {
	kinds := probeKinds()
	cmd := &cobra.Command{
		Use: "probe", Short: "Run one probe now, without settings file and collector",
		Long: "Run one probe now and show what it measured. Nothing is sent or kept.\n\n" +
			"The exit code is 0 if the target is up, 1 if it is not, and 2 if it could not be measured\n" +
			"because of the command line, a missing permission, a missing network device or a meeting.",
		// With it an unknown kind is an error; without it cobra shows this help and says that all is well.
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				var names []string
				for _, k := range kinds {
					names = append(names, string(k.kind))
				}
				last := len(names) - 1
				return exit.Own(fmt.Errorf("%q is no kind of probe; use %s or %s", args[0], strings.Join(names[:last], ", "), names[last]))
			}
			return cmd.Help()
		},
	}
	for _, k := range kinds {
		cmd.AddCommand(newProbeOf(k))
	}
	return cmd
}

// way is how the probe leaves the machine and how its result is shown.
type way struct {
	path, device, source, config string
	json                         bool
	duringMeeting                bool // although the line belongs to others
}

func newProbeOf(k probeKind) *cobra.Command {
	var w way
	var count int
	var interval time.Duration
	cmd := &cobra.Command{
		Use: strings.TrimSpace(fmt.Sprintf("%s %s", k.kind, k.target)), Short: k.short, Example: "  " + k.example,
		Args: func(_ *cobra.Command, args []string) error {
			if k.target == "" && len(args) == 0 || k.target != "" && len(args) == 1 {
				return nil
			}
			if k.target == "" {
				return fmt.Errorf("want no arguments, found %d; for example: %s", len(args), k.example)
			}
			return fmt.Errorf("want one %s, found %d arguments; for example: %s", k.target, len(args), k.example)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			target := probes.SelfDevice
			if k.target != "" {
				target = args[0]
			}
			cfg, err := k.config(cmd.Flags(), target, w)
			if err != nil {
				return exit.Own(err)
			}
			return repeat(cmd, cfg, w.json, max(count, 1), interval)
		},
	}
	f := cmd.Flags()
	k.flags(f)
	if k.repeats {
		f.IntVar(&count, "count", 1, "runs")
		f.DurationVar(&interval, "interval", time.Second, "`time` between the starts of two runs")
	}
	f.StringVar(&w.path, "path", string(probes.PathLAN), "path that the result is for: lan, broadband or dedicated; bound as --config says")
	f.StringVar(&w.device, "device", "", "network `device` to bind to (Linux)")
	f.StringVar(&w.source, "source", "", "source `address` to send from")
	f.StringVar(&w.config, "config", "", "settings `file` whose paths and meetings apply")
	if k.kind == probes.KindWebRTC {
		f.BoolVar(&w.duringMeeting, "during-meeting", false, "call even while a meeting is on by the settings of --config, or by the collector's word to its agent")
	}
	f.BoolVar(&w.json, "json", false, "print JSON, one object per run")
	return cmd
}

// repeat runs the config's only check count times and shows each result.
func repeat(cmd *cobra.Command, cfg agent.Config, asJSON bool, count int, interval time.Duration) error {
	worst := 0
	ctx, stop := hurry(cmd.Context())
	defer stop()
	next := time.NewTicker(max(interval, 10*time.Millisecond))
	defer next.Stop()
	for i := range count {
		if i > 0 {
			select {
			case <-cmd.Context().Done():
				return exit.Silent(max(worst, exit.CodeOwn))
			case <-next.C:
			}
		}
		var made *calls.Call
		results, err := agent.Once(ctx, cfg, agent.Options{Log: slog.New(slog.DiscardHandler), Child: call.Process(),
			OnCall: func(_ string, c *calls.Call) { made = c }})
		if err != nil {
			return exit.Own(err)
		}
		r := results[0]
		if asJSON {
			out := newReport(r)
			out.Call = made
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(out)
		} else if made != nil {
			if err = printHead(cmd.OutOrStdout(), r); err == nil {
				err = text.Write(cmd.OutOrStdout(), made)
			}
		} else {
			err = printResult(cmd.OutOrStdout(), r)
		}
		if err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
		switch {
		case r.Outcome.Own(), r.Outcome == probes.OutcomeHeld:
			worst = exit.CodeOwn
		case r.Outcome != probes.OutcomeOK:
			worst = max(worst, exit.CodeNotUp)
		}
	}
	if worst > 0 {
		return exit.Silent(worst)
	}
	return nil
}

// hurried is a context whose cancellation reads as a deadline: who presses Ctrl-C during a long burst of pings wants to
// see what was measured until then, as ping shows it.
type hurried struct {
	context.Context // Background: package context would look through us for a parent of its own, and ask that
	done            chan struct{}
}

func hurry(ctx context.Context) (h hurried, stop func() bool) {
	h = hurried{context.Background(), make(chan struct{})}
	return h, context.AfterFunc(ctx, func() { close(h.done) })
}

func (h hurried) Done() <-chan struct{} { return h.done }

func (h hurried) Err() error {
	select {
	case <-h.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// config makes the config of the run that flags and target describe.
func (k probeKind) config(f *pflag.FlagSet, target string, w way) (agent.Config, error) {
	var base *agent.Config
	if w.config != "" {
		cfg, err := agent.ReadConfig(w.config)
		if err != nil {
			return agent.Config{}, err
		}
		if w.duringMeeting {
			cfg.DuringMeetings()
		}
		base = &cfg
	}
	options, err := k.given(f)
	if err != nil {
		return agent.Config{}, err
	}
	if k.kind == probes.KindSweep && options["allow"] == nil {
		options["allow"] = []string{target} // who writes a prefix on the command line names it
	}
	document := map[string]any{"checks": []any{map[string]any{
		"name": "probe", "kind": k.kind, "address": target, "path": w.path, "options": options,
	}}}
	if w.device != "" || w.source != "" {
		document["paths"] = map[string]any{w.path: map[string]any{"device": w.device, "source": w.source}}
	}
	data, err := json.Marshal(document) // JSON is YAML
	if err != nil {
		return agent.Config{}, err
	}
	cfg, err := agent.ParseCheck(data, base)
	var bad *settings.Error
	if errors.As(err, &bad) {
		return cfg, k.explain(bad, w.path)
	}
	return cfg, err
}

// given collects the options whose flags were given.
func (k probeKind) given(f *pflag.FlagSet) (map[string]any, error) {
	options := map[string]any{}
	f.Visit(func(flag *pflag.Flag) {
		option, ok := k.options[flag.Name]
		if !ok {
			return
		}
		into := options
		if outer, inner, ok := strings.Cut(option, "."); ok { // "snmp.community" is a key within a key
			if into, ok = options[outer].(map[string]any); !ok {
				into = map[string]any{}
				options[outer] = into
			}
			option = inner
		}
		switch flag.Value.Type() { // the errors can't happen: they are about the type asked for
		case "int":
			into[option], _ = f.GetInt(flag.Name)
		case "float64":
			into[option], _ = f.GetFloat64(flag.Name)
		case "bool":
			into[option], _ = f.GetBool(flag.Name)
		case "intSlice":
			into[option], _ = f.GetIntSlice(flag.Name)
		case "stringSlice":
			into[option], _ = f.GetStringSlice(flag.Name)
		default:
			into[option] = flag.Value.String()
		}
	})
	if k.kind != probes.KindDNS {
		return options, nil
	}
	addresses, _ := options["resolvers"].([]string)
	if addresses == nil {
		addresses = systemResolvers()
	}
	if len(addresses) == 0 {
		return nil, errors.New("--resolver: name the address of at least one resolver to ask")
	}
	var resolvers []any
	for _, a := range addresses {
		name := strings.Trim(strings.NewReplacer(":", "-", "[", "", "]", "", "%", "-").Replace(strings.ToLower(a)), "-")
		resolvers = append(resolvers, map[string]any{"name": name, "address": a})
	}
	options["resolvers"] = resolvers
	return options, nil
}

// systemResolvers reads the resolvers of a Unix system; elsewhere there are none to be found this way.
func systemResolvers() []string {
	data, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == "nameserver" {
			if _, err := netip.ParseAddr(words[1]); err == nil {
				out = append(out, words[1])
			}
		}
	}
	return out
}

// explain says which flags the mistakes are in.
func (k probeKind) explain(bad *settings.Error, path string) error {
	names := map[string]string{
		"checks[0].address": "target", "checks[0].path": "--path",
		"paths." + path: "--path", "paths." + path + ".device": "--device", "paths." + path + ".source": "--source",
	}
	for flag, option := range k.options {
		names["checks[0].options."+option] = "--" + flag
	}
	var errs []error
	seen := map[string]bool{}
	for _, p := range bad.Problems {
		at := p.Path
		for at != "" && names[at] == "" { // "resolvers[0].address" is in --resolver
			at = at[:max(0, strings.LastIndexAny(at, ".["))]
		}
		text := names[at] + ": " + p.Text
		if names[at] == "" {
			text = p.Path + ": " + p.Text
		}
		if !seen[text] {
			errs = append(errs, errors.New(text))
		}
		seen[text] = true
	}
	return errors.Join(errs...)
}

package identify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"communewatch/agent"
	"communewatch/agent/cmd/communewatch-agent/exit"
	"communewatch/agent/kinds"
	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/fingerprint"
	"communewatch/probes/snmp/identify"
	"communewatch/probes/snmp/session"
	"communewatch/probes/sweep"

	"github.com/spf13/cobra"
)

// look asks a host that does not answer SNMP what it says to anybody.
func (a *asking) look(ctx context.Context) ([]probes.Fact, error) {
	host, _, err := net.SplitHostPort(a.Address)
	if err != nil {
		return nil, err
	}
	addr, err := a.Bind.Resolve(ctx, "", host, a.Timeout)
	if err != nil {
		return nil, err
	}
	rules, err := fingerprint.BuiltIn()
	if err != nil {
		return nil, err
	}
	facts, err := fingerprint.Host(ctx, addr, fingerprint.Options{
		Dial: func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
			return a.Bind.Dialer(network, a.Timeout).DialContext(ctx, network, to.String())
		},
		Timeout: a.Timeout, Rules: rules, MAC: sweep.Card(addr),
	})
	return fingerprint.Merge(nil, facts), err
}

// sweepNetwork identifies everything in a network that may be looked through, one after the other as it is found.
func (a *asking) sweepNetwork(ctx context.Context, cmd *cobra.Command, engine *identify.Engine) error {
	if err := a.complete("0.0.0.0"); err != nil {
		return exit.Own(err)
	}
	o := sweep.DefaultOptions()
	var err error
	if o.Allow, err = a.allowed(); err != nil {
		return exit.Own(err)
	}
	o.Exclude, o.Rate, o.Longest = a.exclude, a.rate, a.within
	t := probes.Target{Name: "sweep", Kind: probes.KindSweep, Path: probes.PathLAN, Layer: probes.LayerLAN, Address: a.sweep}
	var problems []error
	o.Validate(t, func(at, format string, args ...any) {
		flag := map[string]string{"address": "--sweep", "longest": "--within"}[at]
		if flag == "" {
			flag = "--" + at
		}
		problems = append(problems, fmt.Errorf("%s: %s", flag, fmt.Sprintf(format, args...)))
	})
	if len(problems) > 0 {
		return exit.Own(errors.Join(problems...))
	}
	probe, err := sweep.New(t, bind.Binding{Path: t.Path, Device: a.Bind.Device, Source: a.Bind.Source}, o, kinds.Asking(engine, func(host netip.Addr) session.Options {
		opts := a.Options
		opts.Address = net.JoinHostPort(host.String(), a.port)
		return opts
	}))
	if err != nil {
		return exit.Own(err)
	}
	begin := time.Now() // as in the rows of an agent: the time of a run is that of its beginning
	points, err := probe.Probe(ctx)
	if err != nil && len(points) == 0 {
		return exit.NotUp(err)
	}
	devices := byDevice(points)
	if !a.json && len(devices) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: nobody answered\n", a.sweep)
	}
	for i, facts := range devices {
		if i > 0 && !a.json {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		address := ""
		for _, f := range facts {
			if f.Name == probes.FactAddress {
				address = f.Value
			}
		}
		if err := a.print(cmd.OutOrStdout(), address, facts, begin); err != nil {
			return err
		}
	}
	return nil
}

// byDevice puts the rows of equipment together again, in the order in which devices were found.
func byDevice(points []probes.Point) [][]probes.Fact {
	var out [][]probes.Fact
	at := map[string]int{}
	for i := range points {
		p := &points[i]
		device := p.Tags.Get("device")
		if _, ok := at[device]; !ok {
			at[device] = len(out)
			out = append(out, nil)
		}
		value, _ := p.Field("value")
		source, _ := p.Field("source")
		sure, _ := p.Field("confidence_ratio")
		out[at[device]] = append(out[at[device]], probes.Fact{
			Name: probes.FactName(p.Tags.Get("fact")), Value: value.Str, Source: source.Str, Confidence: sure.Num,
		})
	}
	return out
}

// allowed is where a sweep by hand may look: what the flags name, else what the sweeps of the settings file may, else
// the networks that this machine's own cards are in.
func (a *asking) allowed() ([]string, error) {
	if len(a.allow) > 0 {
		return a.allow, nil
	}
	if a.config != "" {
		cfg, err := agent.ReadConfig(a.config)
		if err != nil {
			return nil, err
		}
		allow := cfg.SweepAllows()
		if len(allow) == 0 {
			return nil, fmt.Errorf("%s has no sweep check, so nothing says what may be looked through; use --allow PREFIX", a.config)
		}
		return allow, nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("this machine's networks: %w; use --allow PREFIX", err)
	}
	var allow []string
	for _, addr := range addrs {
		p, err := netip.ParsePrefix(addr.String())
		if err == nil && (p.Addr().IsPrivate() || p.Addr().IsLoopback()) && p.Bits() > 0 {
			if s := p.Masked().String(); !slices.Contains(allow, s) {
				allow = append(allow, s)
			}
		}
	}
	if len(allow) == 0 {
		return nil, errors.New("this machine is in no private network; name what may be looked through with --allow PREFIX")
	}
	return allow, nil
}

// withoutSNMP is what identify does where SNMP fails with err: it looks at the host from outside and says so.
func (a *asking) withoutSNMP(ctx context.Context, cmd *cobra.Command, err error) error {
	failed := fmt.Errorf("%s: %w", a.Address, err)
	if a.snmpOnly || probes.OutcomeOf(err).Own() || probes.OutcomeOf(err) == probes.OutcomeUnresolved {
		return exit.NotUp(failed)
	}
	facts, lookErr := a.look(ctx)
	if len(facts) == 0 {
		if lookErr != nil {
			failed = fmt.Errorf("%w; and without SNMP: %w", failed, lookErr)
		}
		return exit.NotUp(failed)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "no SNMP (%s); this is what it says to anybody\n", strings.TrimSpace(err.Error()))
	return a.print(cmd.OutOrStdout(), a.Address, fingerprint.Best(facts), time.Now())
}

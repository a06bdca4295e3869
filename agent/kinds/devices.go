package kinds

import (
	"context"
	"net"
	"net/netip"
	"strconv"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/identify"
	"communewatch/probes/snmp/session"
	"communewatch/probes/sweep"
)

// openSweep gives a sweep its way to devices that speak SNMP, where its options say how to ask them.
func openSweep(t probes.Target, b bind.Binding, o sweep.Options) (probes.Probe, error) {
	if o.SNMP == nil {
		return sweep.New(t, b, o, sweep.SNMP{})
	}
	c, err := o.SNMP.Resolve()
	if err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "snmp: %w", err)
	}
	engine, err := identify.New(nil)
	if err != nil {
		return nil, err
	}
	return sweep.New(t, b, o, Asking(engine, func(host netip.Addr) session.Options {
		return session.Options{
			Address: net.JoinHostPort(host.String(), strconv.Itoa(int(c.Port))), Version: session.Version(c.Version), Community: c.Community,
			User: session.User{Name: c.V3.Name, Auth: c.V3.Auth, AuthKey: c.V3.AuthKey, Priv: c.V3.Priv, PrivKey: c.V3.PrivKey, Context: c.V3.Context},
			Bind: b, Timeout: c.Timeout, Retries: c.Retries,
		}
	}))
}

// Asking is a sweep's way to devices that speak SNMP: how each is asked, and what it then says it is. What is learned of
// devices of one model counts for all hosts of the sweep.
func Asking(engine *identify.Engine, how func(host netip.Addr) session.Options) sweep.SNMP {
	memory := session.NewMemory()
	return sweep.SNMP{
		Open: func(ctx context.Context, host netip.Addr) (ask.Device, error) {
			o := how(host)
			o.Memory = memory
			s := session.New(o)
			if _, err := s.Open(ctx); err != nil {
				return nil, err
			}
			return s, nil
		},
		Identify: func(ctx context.Context, d ask.Device) ([]probes.Fact, error) {
			id, err := engine.Identify(ctx, d)
			if s, ok := d.(*session.Session); ok && err == nil {
				spoken, _ := s.Protocols(ctx)
				id.Facts = append(id.Facts, spoken)
			}
			return id.Facts, err
		},
	}
}

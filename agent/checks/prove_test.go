package checks

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/dns"
)

func TestProofsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, probes.ProofProved
		var fails error
		p := newProver()
		p.ask = func(context.Context, bind.Binding, netip.Addr, bind.Hop) (probes.Proof, netip.Addr, error) {
			asked++
			return answer, netip.MustParseAddr("10.9.9.9"), fails
		}
		b, hop := bind.Binding{Path: probes.PathDedicated}, bind.Hop{TTL: 2}
		step := func(what, host string, wantProof probes.Proof, wantAsked int) error {
			t.Helper()
			proof, err := p.prove(t.Context(), b, hop, host)
			if proof != wantProof || asked != wantAsked {
				t.Errorf("%s: %s after asking %d times, want %s after %d", what, proof, asked, wantProof, wantAsked)
			}
			return err
		}
		step("at first", "10.0.0.1", probes.ProofProved, 1)
		step("again", "10.0.0.1", probes.ProofProved, 1)
		step("another target", "10.0.0.2", probes.ProofProved, 2)
		time.Sleep(provedFor + time.Second)
		answer = probes.ProofWrong
		err := step("when it is old", "10.0.0.1", probes.ProofWrong, 3)
		if err == nil || !strings.Contains(err.Error(), "hop 2") || !strings.Contains(err.Error(), "10.9.9.9") {
			t.Errorf("a wrong path is explained by %v", err)
		}
		time.Sleep(unprovedFor + time.Second)
		answer, fails = probes.ProofUnproven, errors.New("network is unreachable")
		if err := step("what was not proved is asked again sooner", "10.0.0.1", probes.ProofUnproven, 4); err != nil {
			t.Errorf("not being able to ask is %v, want no error: the run says it better", err)
		}
	})
}

// A check that asks several resolvers is no surer of its path than the least sure of its questions.
func TestEveryResolverOfACheckIsProved(t *testing.T) {
	for _, c := range []struct {
		name      string
		resolvers []string
		want      probes.Proof
		wrong     string
	}{
		{"all proved", []string{"10.0.0.1", "10.0.0.1:5353"}, probes.ProofProved, ""},
		{"one silent", []string{"10.0.0.1", "10.0.0.2"}, probes.ProofUnproven, ""},
		{"one by another line", []string{"10.0.0.1", "10.0.0.2", "[10::3]:53"}, probes.ProofWrong, "10::3"},
		{"one on this machine", []string{"127.0.0.53", "10.0.0.1"}, probes.ProofProved, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := dns.DefaultOptions()
			for _, r := range c.resolvers {
				o.Resolvers = append(o.Resolvers, dns.Resolver{Address: r})
			}
			hosts := o.Hosts()
			p := newProver()
			p.ask = func(_ context.Context, _ bind.Binding, dst netip.Addr, _ bind.Hop) (probes.Proof, netip.Addr, error) {
				proof := map[string]probes.Proof{"10.0.0.1": probes.ProofProved, "10.0.0.2": probes.ProofUnproven, "10::3": probes.ProofWrong}[dst.String()]
				return proof, dst, nil
			}
			proof, err := p.proveAll(t.Context(), bind.Binding{Path: probes.PathDedicated}, bind.Hop{TTL: 2}, hosts)
			if proof != c.want || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s, %v; want %s, error about %q", proof, err, c.want, c.wrong)
			}
		})
	}
}

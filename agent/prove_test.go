package agent

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
		b := binding{Binding: bind.Binding{Path: probes.PathDedicated}, hop: bind.Hop{TTL: 2}}
		step := func(what, host string, wantProof probes.Proof, wantAsked int) error {
			t.Helper()
			proof, err := p.prove(t.Context(), b, host)
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

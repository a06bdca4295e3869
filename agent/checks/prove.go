package checks

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
)

// How long a proof of path holds. A route may change within it, but asking before every run would double the packets
// of a check. What was not proved is asked again sooner: routers limit their ICMP errors, and lines come back.
const (
	provedFor   = 5 * time.Minute
	unprovedFor = time.Minute
)

// prover finds out by which path packets leave, and remembers it for a while.
type prover struct {
	ask func(ctx context.Context, b bind.Binding, dst netip.Addr, h bind.Hop) (probes.Proof, netip.Addr, error)

	mu     sync.Mutex // guards proofs, not what its entries hold
	proofs map[proofKey]*proof
}

type proofKey struct {
	path probes.Path
	host string
}

type proof struct {
	mu    sync.Mutex // held while asking: checks of the same host wait for one answer
	until time.Time
	proof probes.Proof
	err   error
}

func newProver() *prover { return &prover{ask: bind.Prove, proofs: map[proofKey]*proof{}} }

// proveAll is the worst of the proofs for several hosts: a run that goes to all of them is as sure of its path as its
// least sure part. They are asked at the same time.
func (p *prover) proveAll(ctx context.Context, b bind.Binding, hop bind.Hop, hosts []string) (probes.Proof, error) {
	proofs, errs := make([]probes.Proof, len(hosts)), make([]error, len(hosts))
	var asking sync.WaitGroup
	for i, host := range hosts {
		asking.Go(func() { proofs[i], errs[i] = p.prove(ctx, b, hop, host) })
	}
	asking.Wait()
	for _, worst := range []probes.Proof{probes.ProofWrong, probes.ProofUnproven, probes.ProofBound} {
		if i := slices.Index(proofs, worst); i >= 0 {
			return worst, errs[i]
		}
	}
	return probes.ProofProved, nil
}

// prove says by which path packets to the host leave. The error explains a wrong path.
func (p *prover) prove(ctx context.Context, b bind.Binding, hop bind.Hop, host string) (probes.Proof, error) {
	p.mu.Lock()
	e := p.proofs[proofKey{b.Path, host}]
	if e == nil {
		e = &proof{}
		p.proofs[proofKey{b.Path, host}] = e
	}
	p.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Now().Before(e.until) {
		return e.proof, e.err
	}
	ctx, cancel := context.WithTimeout(ctx, proveBound)
	defer cancel()
	e.proof, e.err = p.now(ctx, b, hop, host)
	e.until = time.Now().Add(unprovedFor)
	if e.proof == probes.ProofProved {
		e.until = time.Now().Add(provedFor)
	}
	return e.proof, e.err
}

func (p *prover) now(ctx context.Context, b bind.Binding, hop bind.Hop, host string) (probes.Proof, error) {
	dst, err := b.Resolve(ctx, "", host, proveBound)
	if err != nil {
		return b.Proof(), nil // the run itself will say so
	}
	found, seen, err := p.ask(ctx, b, dst, hop)
	if found == probes.ProofWrong {
		return found, fmt.Errorf("hop %d on the way to %s is %s, which belongs to another path than %s: the route, or hop.refuse of this path in the config, is wrong",
			hop.TTL, dst, seen, b.Path)
	}
	if err != nil {
		return b.Proof(), nil // nothing could be sent: the run itself will say so
	}
	return found, nil
}

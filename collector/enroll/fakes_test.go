package enroll_test

import (
	"context"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"communewatch/collector/callers"
	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	"communewatch/probes/enroll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nobody is a fleet that lets nobody in.
type nobody struct{}

func (nobody) Knows(context.Context, [enroll.SecretBytes]byte) (bool, error) { return true, nil }

func (nobody) Ask(context.Context, agents.Asking) (agents.Admitted, error) {
	return agents.Admitted{}, &agents.Refused{Code: enroll.RefusedUsed, Message: "used"}
}

func (nobody) Issued(context.Context, agents.Certificate) error { return nil }

func (nobody) Heard(context.Context, agents.Hearing) error { return nil }

// anybody takes every request for an agent's.
type anybody struct{}

func (anybody) Agent(*http.Request) (registry.Identity, error) {
	return registry.Identity{Token: "t1", Kind: registry.KindAgent, Site: "s1", Agent: "main"}, nil
}

func (anybody) RenewableAgent(*http.Request) (*callers.Certificate, error) {
	return nil, callers.ErrUnauthorized
}

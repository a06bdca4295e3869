package janus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestItTakesCallsInANetworkOfItsOwn asks Janus who it is, from within.
func TestItTakesCallsInANetworkOfItsOwn(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := Start(ctx)
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Command(ctx, "ip", "-4", "-oneline", "address").CombinedOutput()
	if err != nil || !strings.Contains(string(out), address.Addr().String()) || strings.Contains(string(out), "eth0") {
		t.Errorf("in its network are %s: %v", out, err)
	}
	out, err = s.Command(ctx, "ss", "-ltn").CombinedOutput()
	if err != nil || !strings.Contains(string(out), address.String()) {
		t.Errorf("nobody listens at %v: %s: %v", address, out, err)
	}
}

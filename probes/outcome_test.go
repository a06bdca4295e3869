package probes_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"communewatch/probes"
)

func TestOutcomeOf(t *testing.T) {
	wrap := func(err error) error {
		return fmt.Errorf("probe: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)})
	}
	for _, tc := range []struct {
		err  error
		want probes.Outcome
		own  bool
	}{
		{nil, probes.OutcomeOK, false},
		{errors.New("something"), probes.OutcomeFailed, false},
		{wrap(syscall.ECONNREFUSED), probes.OutcomeRefused, false},
		{wrap(syscall.ECONNRESET), probes.OutcomeRefused, false},
		{wrap(syscall.EHOSTUNREACH), probes.OutcomeUnreachable, false},
		{wrap(syscall.ENETUNREACH), probes.OutcomeUnreachable, false},
		{wrap(syscall.ETIMEDOUT), probes.OutcomeTimeout, false},
		{context.DeadlineExceeded, probes.OutcomeTimeout, false},
		{os.ErrDeadlineExceeded, probes.OutcomeTimeout, false},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, probes.OutcomeUnresolved, false},
		{&net.DNSError{Err: "timeout", IsTimeout: true}, probes.OutcomeUnresolved, false},
		{context.Canceled, probes.OutcomeCanceled, true},
		{wrap(syscall.EPERM), probes.OutcomeNoPermission, true},
		{wrap(syscall.EACCES), probes.OutcomeNoPermission, true},
		{wrap(syscall.ENODEV), probes.OutcomeUnbound, true},
		{wrap(syscall.EADDRNOTAVAIL), probes.OutcomeUnbound, true},
		{fmt.Errorf("x: %w", probes.Errorf(probes.OutcomeWrongPath, "hop %d: %w", 2, syscall.ECONNREFUSED)), probes.OutcomeWrongPath, true},
		{errors.Join(errors.New("a"), wrap(syscall.ECONNREFUSED)), probes.OutcomeRefused, false},
	} {
		got := probes.OutcomeOf(tc.err)
		if got != tc.want || got.Own() != tc.own {
			t.Errorf("%v: got %v (own %v), want %v", tc.err, got, got.Own(), tc.want)
		}
	}
}

func TestOutcomeNamesAreInverse(t *testing.T) {
	for i, name := range probes.OutcomeNames() {
		o, ok := probes.ParseOutcome(name)
		if !ok || int(o) != i || o.String() != name {
			t.Errorf("%s: %v %v", name, o, ok)
		}
	}
	if _, ok := probes.ParseOutcome("fine"); ok {
		t.Error("an outcome that does not exist")
	}
	if s := probes.Outcome(200).String(); s != "outcome(200)" {
		t.Error(s)
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "s08707", "pc-1.office_2", strings.Repeat("x", 63)} {
		if err := probes.CheckName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "A", "-a", "a b", "tam-sơn", "a/b", "a\n", strings.Repeat("x", 64)} {
		if probes.CheckName(bad) == nil {
			t.Errorf("%q is no name", bad)
		}
	}
}

func TestTagsStaySorted(t *testing.T) {
	tags := probes.Tags{}.With("site", "s1").With("agent", "a").With("path", "lan").With("agent", "b").With("path", "")
	if len(tags) != 2 || tags[0] != (probes.Tag{Key: "agent", Value: "b"}) || tags.Get("site") != "s1" || tags.Get("path") != "" {
		t.Errorf("got %v", tags)
	}
}

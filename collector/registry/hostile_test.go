package registry

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/inventory"
)

func TestTakeRefuses(t *testing.T) {
	r := openNew(t)
	for name, rc := range map[string]Receipt{
		"no site":       {},
		"odd site":      {Site: "s1\n"},
		"odd agent":     {Site: "s1", Agent: "A B"},
		"boot alone":    {Site: "s1", Agent: "a", Boot: "b"},
		"number alone":  {Site: "s1", Agent: "a", Seq: 1},
		"huge number":   {Site: "s1", Agent: "a", Boot: "b", Seq: math.MaxUint64},
		"long boot":     {Site: "s1", Agent: "a", Boot: strings.Repeat("b", 65), Seq: 1},
		"control":       {Site: "s1", Agent: "a", Boot: "b\x00", Seq: 1},
		"boot no agent": {Site: "s1", Boot: "b", Seq: 1},
		"negative":      {Site: "s1", Points: -1},
	} {
		if err := r.Take(t.Context(), rc); err == nil || !strings.HasPrefix(err.Error(), "receipt: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := r.Accounts(t.Context(), ""); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	// The highest number that is allowed breaks nothing.
	for _, seq := range []uint64{maxSeq, 1} {
		if err := r.Take(t.Context(), Receipt{Site: "s1", Agent: "a", Boot: "b", Seq: seq, ReceivedAt: t0}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := r.Accounts(t.Context(), ""); err != nil || got[0].Missing != maxSeq-2 || got[0].Received != 2 {
		t.Error(got, err)
	}
}

// A token's holder who makes up agents and boots gets no more rows than the site's share.
func TestAccountsPerSiteAreBounded(t *testing.T) {
	r := openNew(t)
	const extra = 500
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for i := c; i < accountsPerSite+extra; i += 16 {
				rc := Receipt{Site: "s1", Agent: "a", Boot: fmt.Sprint("b", i), Seq: 1, ReceivedAt: t0.Add(time.Duration(i) * time.Second)}
				if err := r.Take(t.Context(), rc); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	importSites(t, r, "s2")
	if err := r.Take(t.Context(), Receipt{Site: "s2", Agent: "a", Boot: "b", Seq: 1, ReceivedAt: t0}); err != nil {
		t.Fatal(err)
	}
	if err := r.prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	accounts, err := r.Accounts(t.Context(), "")
	if err != nil || len(accounts) != accountsPerSite+1 {
		t.Fatalf("%d accounts, %v", len(accounts), err)
	}
	if oldest := accounts[0].Boot; oldest != fmt.Sprint("b", extra) {
		t.Errorf("the oldest left is %s, want b%d", oldest, extra)
	}
}

func TestPruneByAge(t *testing.T) {
	r := openNew(t)
	ctx := t.Context()
	old, recent := t0.Add(-keepChanges-time.Hour), t0.Add(-time.Hour)
	for i, at := range []time.Time{old, recent} {
		boot := fmt.Sprint("b", i)
		if err := r.Take(ctx, Receipt{Site: "s1", Agent: "a", Boot: boot, Seq: 1, ReceivedAt: at}); err != nil {
			t.Fatal(err)
		}
		if err := r.AppendChanges(ctx, []Change{{Site: "s1", Layer: "lan", Check: boot, To: "ok", At: at}}); err != nil {
			t.Fatal(err)
		}
	}
	var many []Change // more than one removal takes
	for i := range 2*pruneRows + 1 {
		many = append(many, Change{Site: "s1", Layer: "lan", Check: "b0", To: "down", At: old.Add(-time.Duration(i+1) * time.Second)})
	}
	if err := r.AppendChanges(ctx, many); err != nil {
		t.Fatal(err)
	}
	if err := r.prune(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Accounts(ctx, ""); err != nil || len(got) != 1 || got[0].Boot != "b1" {
		t.Error(got, err)
	}
	if got, err := r.Changes(ctx, "s1", time.Time{}, time.Time{}, 0); err != nil || len(got) != 1 || got[0].Check != "b1" {
		t.Error(got, err)
	}
	if got, err := r.LastChanges(ctx); err != nil || len(got) != 2 {
		t.Error("the newest change of something was forgotten:", got, err)
	}
	// An account that was pruned is begun anew.
	if err := r.Take(ctx, Receipt{Site: "s1", Agent: "a", Boot: "b0", Seq: 2, ReceivedAt: t0}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Accounts(ctx, ""); err != nil || len(got) != 2 || got[1].Boot != "b0" || got[1].Received != 1 {
		t.Error(got, err)
	}
}

func TestTokenRefuses(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1")
	for name, tok := range map[string]Token{
		"no kind":                  {Site: "s1"},
		"unknown kind":             {Kind: "admin", Site: "s1"},
		"no site":                  {Kind: KindAgent},
		"agent alone":              {Kind: KindAgent, Agent: "pc"},
		"odd site":                 {Kind: KindWriter, Site: "S 1"},
		"unknown site of a writer": {Kind: KindWriter, Site: "s2"},
		"odd agent":                {Kind: KindAgent, Site: "s1", Agent: "../x"},
		"control":                  {Kind: KindAgent, Site: "s1", Note: "a\x1b[31m"},
		"long note":                {Kind: KindAgent, Site: "s1", Note: strings.Repeat("x", 201)},
		"unknown site":             {Kind: KindAgent, Site: "s2"},
	} {
		if _, _, err := r.CreateToken(t.Context(), tok); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if list, err := r.Tokens(t.Context()); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}

// The secret itself must be in none of the files.
func TestSecretIsNotKept(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1")
	secret, _, err := r.CreateToken(t.Context(), Token{Kind: KindAgent, Site: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(r.path + "*")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil || strings.Contains(string(data), secret[len("cw1_12345678_"):]) {
			t.Errorf("%s holds the secret (%v)", f, err)
		}
	}
}

// A caller that gives up undoes nothing for the others, and an error of one function stays its own.
func TestGroupMembersAreIndependent(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			switch i % 4 {
			case 0:
				_ = r.Take(gone, Receipt{Site: "s1", Agent: "gone", Boot: "b", Seq: uint64(i + 1), ReceivedAt: t0})
			case 1:
				if err := r.Take(t.Context(), Receipt{Site: "s1", Agent: "a", Boot: "b", Seq: uint64(i/4 + 1), ReceivedAt: t0}); err != nil {
					t.Error(err)
				}
			case 2:
				if err := r.RevokeToken(t.Context(), "nosuch"); err == nil {
					t.Error("no error")
				}
			case 3:
				if _, err := r.ImportSites(t.Context(), []inventory.Site{{ID: fmt.Sprint("t", i), Name: "T"}}, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	accounts, err := r.Accounts(t.Context(), "s1")
	if err != nil || accounts[0].Agent != "a" || accounts[0].Received != 50 || accounts[0].Missing != 0 {
		t.Errorf("%+v %v", accounts, err)
	}
	if sites, err := r.Sites(t.Context(), t0); err != nil || len(sites) != 51 {
		t.Errorf("%d sites, %v", len(sites), err)
	}
}

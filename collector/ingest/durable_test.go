package ingest_test

import (
	"context"
	"testing"

	"communewatch/collector/ingest"
	"communewatch/probes/wire"
)

// TestNothingIsDurableAcrossAFailedSync: a write-back error is told once, so the success after it proves nothing about
// what was acknowledged before. Such batches are never called durable, and their senders see another store.
func TestNothingIsDurableAcrossAFailedSync(t *testing.T) {
	for _, broken := range []string{"store", "registry"} {
		t.Run(broken, func(t *testing.T) {
			h := open(t, ingest.Limits{})
			sync := func(fail error) {
				t.Helper()
				if broken == "store" {
					h.store.setFail(fail)
				} else {
					h.clerk.setSyncFail(fail)
				}
				if err := h.in.Sync(context.Background()); (err != nil) != (fail != nil) {
					t.Fatalf("Sync says %v", err)
				}
			}
			state := func() [3]string {
				h.store.setFail(nil)
				a := h.lines("secret", good)
				return [3]string{a.header.Get(wire.HeaderStore), a.header.Get(wire.HeaderCommit), a.header.Get(wire.HeaderDurable)}
			}
			first := state()
			sync(nil)
			second := state() // never durable
			sync(errDisk)
			third := state() // nor this one
			sync(errDisk)
			if third != [3]string{first[0], "3", "1"} || second[2] != "1" {
				t.Errorf("while syncs fail: %v, then %v", second, third)
			}
			sync(nil)
			fourth := state()
			if fourth[0] == first[0] || fourth[1] != "1" || fourth[2] != "0" {
				t.Errorf("after the sync that worked: %v, before it %v", fourth, third)
			}
			sync(nil)
			if last := state(); last != [3]string{fourth[0], "2", "1"} {
				t.Errorf("a sync without a failure before it: %v after %v", last, fourth)
			}
		})
	}
}

// TestFailedSyncUnderABatch: a batch whose rows were written before a failed sync, and would be acknowledged after the
// next that worked, is to be sent again.
func TestFailedSyncUnderABatch(t *testing.T) {
	h := open(t, ingest.Limits{})
	h.lines("secret", good)
	h.store.appended = func() {
		h.store.appended = nil
		for _, fail := range []error{errDisk, nil} {
			h.clerk.setSyncFail(fail)
			_ = h.in.Sync(context.Background())
		}
	}
	if a := h.send("secret", []byte(good), numbered("1")...); a.status != 503 || a.header.Get("Retry-After") == "" || a.header.Get(wire.HeaderCommit) != "" {
		t.Errorf("%d %q %v", a.status, a.message, a.header)
	}
	if a := h.send("secret", []byte(good), numbered("1")...); a.status != 204 || a.header.Get(wire.HeaderCommit) != "1" {
		t.Errorf("%d %q %v", a.status, a.message, a.header)
	}
}

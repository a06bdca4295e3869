package queue

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type at int

func (a *at) Before(o *at) bool { return *a < *o }

func TestTheEarliestComesFirst(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var q Queue[at, *at]
	var waiting []at
	for range 5000 {
		if len(waiting) == 0 || random.IntN(3) > 0 {
			e := at(random.IntN(500))
			q.Push(e)
			waiting = append(waiting, e)
			continue
		}
		least := slices.Min(waiting)
		if q[0] != least {
			t.Fatalf("the first is %d, the earliest %d", q[0], least)
		}
		if got := q.Pop(); got != least {
			t.Fatalf("got %d, want %d", got, least)
		}
		i := slices.Index(waiting, least)
		waiting = slices.Delete(waiting, i, i+1)
	}
	if len(q) != len(waiting) {
		t.Errorf("%d are left, want %d", len(q), len(waiting))
	}
}

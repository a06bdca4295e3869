package scenario

import (
	"math/rand/v2"
	"slices"
	"time"

	"communewatch/probes"
)

// Default is what a demo plays when it is given nothing else: a few lasting faults of different kinds, so that every
// state can be seen, and then for an hour one passing fault after the other. It is the same at every start. Without
// devices nothing happens to them, and without calls nothing to lines that nobody calls over.
func Default(sites []string, devices, calls bool) Scenario {
	at := func(i int) []string { return []string{sites[i%len(sites)]} }
	steps := []Step{
		{20 * time.Second, Order{Do: DoService, Sites: at(17), Service: "broadband-portal", Mode: "slow", Delay: 4 * time.Second}},
		{22 * time.Second, Order{Do: DoService, Sites: at(42), Service: "endpoint-h323", Mode: "down"}},
		{22 * time.Second, Order{Do: DoService, Sites: at(42), Service: "endpoint-sip", Mode: "down"}},
		{22 * time.Second, Order{Do: DoService, Sites: at(42), Service: "endpoint-web", Mode: "down"}},
		{25 * time.Second, Order{Do: DoService, Sites: at(63), Service: "dedicated-dns", Mode: "wrong"}},
		{27 * time.Second, Order{Do: DoService, Sites: at(101), Service: "dedicated-portal", Mode: "hang"}},
		{28 * time.Second, Order{Do: DoMedia, Sites: at(54), Media: Media{Direction: probes.DirectionUp, Loss: 0.08}}},
		{28 * time.Second, Order{Do: DoMedia, Sites: at(88), Delay: 180 * time.Millisecond, Media: Media{Direction: probes.DirectionDown, Rate: 100_000}}},
		{30 * time.Second, Order{Do: DoAgent, Sites: at(77), Mode: "stop"}},
		{30 * time.Second, Order{Do: DoAgent, Sites: at(118), Mode: "stop"}},
		{35 * time.Second, Order{Do: DoClock, Sites: at(90), Skew: 2 * time.Hour}},
		{3 * time.Minute, Order{Do: DoDevice, Sites: at(12), Device: "router", Mode: "reboot"}},
		{4 * time.Minute, Order{Do: DoDevice, Sites: at(25), Device: "endpoint", Mode: "replaced"}},
	}
	passing := []Order{
		{Do: DoService, Service: "broadband-portal", Mode: "slow", Delay: 4 * time.Second, For: 3 * time.Minute},
		{Do: DoService, Service: "dedicated-portal", Mode: "down", For: 2 * time.Minute},
		{Do: DoService, Service: "endpoint-sip", Mode: "hang", For: 3 * time.Minute},
		{Do: DoService, Service: "router-dns", Mode: "down", For: 2 * time.Minute},
		{Do: DoAgent, Mode: "stop", For: 3 * time.Minute},
		{Do: DoService, Service: "broadband-portal", Mode: "wrong", For: 2 * time.Minute},
		{Do: DoDevice, Device: "router", Mode: "dead", For: 6 * time.Minute},
		{Do: DoDevice, Device: "endpoint", Mode: "slow", Delay: 2500 * time.Millisecond, For: 6 * time.Minute},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for t := time.Minute; t < time.Hour; t += 40 * time.Second {
		o := passing[rng.IntN(len(passing))]
		o.Sites = at(rng.IntN(len(sites)))
		steps = append(steps, Step{t, o})
	}
	steps = slices.DeleteFunc(steps, func(s Step) bool { return s.Do == DoDevice && !devices || s.Do == DoMedia && !calls })
	return Scenario{Steps: steps}
}

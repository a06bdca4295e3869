package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"time"

	"communewatch/deploy/lab/gear/snmp"
	"communewatch/probes/snmp/poll"
	"communewatch/probes/snmp/session"
)

const walkRuns = 7

// stack is the recording of a stack of switches with some 5,000 variables.
const stack = `#! device serial=FOC1531X2AB mac=001de5a12000
#! ports first=10101 count=161 name=Gi1/0/%d descr=GigabitEthernet1/0/%d speed=1000 up=110 kbps=400
1.3.6.1.2.1.1.1.0|4|Cisco IOS Software, C2960X Software (C2960X-UNIVERSALK9-M), Version 15.2(4)E8
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.1208
1.3.6.1.2.1.1.3.0|67|864000000
1.3.6.1.2.1.1.5.0|4|stack
`

// Asker reads a device once, as a process of its own: everything it has if all is set, else what a check polls. It says
// how many variables came.
func Asker(ctx context.Context, out io.Writer, address string, all bool) error {
	s := session.New(session.Options{Address: address, Community: "public", Version: session.V2c})
	if _, err := s.Open(ctx); err != nil {
		return err
	}
	defer s.Close()
	var err error
	if all {
		_, err = s.Walk(ctx, "1.3", 100_000)
	} else {
		_, _, err = poll.Poll(ctx, s, poll.Options{}, nil, time.Now())
	}
	fmt.Fprintln(out, s.Stats().Variables)
	return err
}

// benchSNMP reads a large device with our session and with net-snmp's program, by turns.
func benchSNMP(ctx context.Context, _ *env) (*table, error) {
	tab, err := snmp.ParseTable("stack", []byte(stack))
	if err != nil {
		return nil, err
	}
	r, err := snmp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), snmp.NewDevice(tab, snmp.Own{}, time.Now()))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address := r.Addr().String()
	bulkwalk := func(repetitions string) []string {
		return []string{"snmpbulkwalk", "-v2c", "-c", "public", "-On", "-m", "", "-Cr" + repetitions, address, ".1.3"}
	}
	ways := []struct {
		name string
		args []string
		idle []string // starts the same program to do nothing
	}{
		{"communewatch, all variables", []string{self, "ask", "--all", address}, []string{self, "ask", "--help"}},
		{"snmpbulkwalk, as it is (10 at once)", bulkwalk("10"), []string{"snmpbulkwalk", "--version"}},
		{"snmpbulkwalk, 25 at once", bulkwalk("25"), []string{"snmpbulkwalk", "--version"}},
		{"communewatch, a check's poll", []string{self, "ask", address}, []string{self, "ask", "--help"}},
	}
	costs := make([][]askCost, len(ways))
	for range walkRuns {
		for i, w := range ways {
			idle, _, err := timed(ctx, r.Device(), w.idle)
			if err != nil {
				return nil, err
			}
			c, out, err := timed(ctx, r.Device(), w.args)
			if err != nil {
				return nil, err
			}
			c.wall, c.cpu = c.wall-idle.wall, c.cpu-idle.cpu
			c.start = idle.cpu
			if w.args[0] == self {
				fmt.Sscan(string(out), &c.variables)
			} else {
				c.variables = bytes.Count(out, []byte("\n.1")) + 1 - bytes.Count(out, []byte("No more variables"))
			}
			costs[i] = append(costs[i], c)
		}
	}
	median := func(i int, of func(askCost) float64) float64 {
		var all []float64
		for _, c := range costs[i] {
			all = append(all, of(c))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	t := &table{
		title: "Reading a large device over SNMP",
		about: fmt.Sprintf("A device of %d variables on loopback, version 2c, read by programs that are started for it, by turns; the median of %d. "+
			"The CPU that starting the program takes is taken off time and CPU and stands by itself: an agent starts once. Ratios are to snmpbulkwalk (net-snmp) as it is. "+
			"What a page of answers holds behind the end of a table counts as variables too.", tab.Len(), walkRuns),
		columns: []string{"", "variables", "packets", "time", "CPU", "start", "time ratio", "CPU ratio", "packets ratio"},
	}
	wall := func(c askCost) float64 { return float64(c.wall) }
	cpu := func(c askCost) float64 { return float64(c.cpu) }
	start := func(c askCost) float64 { return float64(c.start) }
	packets := func(c askCost) float64 { return float64(c.packets) }
	short := func(v float64) time.Duration { return time.Duration(v).Round(100 * time.Microsecond) }
	for i, w := range ways {
		last := costs[i][walkRuns-1]
		t.add(w.name, last.variables, last.packets, short(median(i, wall)), short(median(i, cpu)), short(median(i, start)),
			median(i, wall)/median(1, wall), median(i, cpu)/median(1, cpu), median(i, packets)/median(1, packets))
	}
	return t, nil
}

// askCost is what reading a device once took.
type askCost struct {
	wall, cpu, start time.Duration
	packets          uint64
	variables        int
}

// timed runs a program to its end.
func timed(ctx context.Context, d *snmp.Device, args []string) (askCost, []byte, error) {
	asked := d.Asked()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	begin := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return askCost{}, nil, fmt.Errorf("%v: %w", args, err)
	}
	return askCost{wall: time.Since(begin), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), packets: d.Asked() - asked}, out, nil
}

// Package gauges knows where makers keep what no standard MIB has a place for: processor use, memory, temperature. It is
// knowledge and nothing else; another maker is another few lines here.
package gauges

import (
	"strings"

	"communewatch/probes/snmp/ask"
)

// Gauge is a number that makers keep in a branch of their own.
type Gauge struct {
	What  Quantity
	OID   ask.OID // a scalar when it ends in .0, else a column
	Scale float64 // what one unit of the device is in ours
	Most  float64 // values above are none: makers write 101, 65535 or 2147483647 for "not measured"
	Zero  bool    // in a column, 0 is a value and not "no such part"
}

// Quantity is what a gauge measures, in base units.
type Quantity uint8

// The quantities.
const (
	CPU         Quantity = iota // ratio
	MemoryUsed                  // ratio
	MemoryTotal                 // bytes
	Temperature                 // degrees Celsius
	UsedBytes                   // bytes in use, of a column of pools; its counterpart is FreeBytes
	FreeBytes
)

// maker is what the devices of a branch of sysObjectID have.
type maker struct {
	branch ask.OID // of sysObjectID
	gauges []Gauge
}

// makers says where makers keep what no standard MIB has a place for. Each line names the object of the maker's MIB;
// what is not sure is not here. Of several rows of a column the largest counts (the busiest processor, the hottest
// sensor), except for pools of memory, where the first is the processor's.
func makers() []maker {
	ratio := func(what Quantity, oid ask.OID) Gauge { return Gauge{What: what, OID: oid, Scale: 0.01, Most: 100} }
	idle := func(what Quantity, oid ask.OID) Gauge { // a column with rows of processors only, so that 0 is idle
		return Gauge{What: what, OID: oid, Scale: 0.01, Most: 100, Zero: true}
	}
	celsius := func(oid ask.OID) Gauge { return Gauge{What: Temperature, OID: oid, Scale: 1, Most: 150} }
	return []maker{
		{"1.3.6.1.4.1.9.6.1", []Gauge{ // Cisco small business: CISCOSB-rndMng rlCpuUtilDuringLastMinute, 101 when it is not measured
			ratio(CPU, "1.3.6.1.4.1.9.6.1.101.1.8.0"),
		}},
		{"1.3.6.1.4.1.9", []Gauge{
			idle(CPU, "1.3.6.1.4.1.9.9.109.1.1.1.1.7"),                                 // CISCO-PROCESS-MIB cpmCPUTotal1minRev
			ratio(CPU, "1.3.6.1.4.1.9.2.1.57.0"),                                       // OLD-CISCO-SYS-MIB avgBusy1
			{What: UsedBytes, OID: "1.3.6.1.4.1.9.9.48.1.1.1.5", Scale: 1, Most: 1e15}, // CISCO-MEMORY-POOL-MIB ciscoMemoryPoolUsed
			{What: FreeBytes, OID: "1.3.6.1.4.1.9.9.48.1.1.1.6", Scale: 1, Most: 1e15}, // ciscoMemoryPoolFree
			celsius("1.3.6.1.4.1.9.9.13.1.3.1.3"),                                      // CISCO-ENVMON-MIB ciscoEnvMonTemperatureStatusValue
		}},
		{"1.3.6.1.4.1.14988", []Gauge{ // MIKROTIK-MIB, tenths of degrees: mtxrHlTemperature, mtxrHlProcessorTemperature
			{What: Temperature, OID: "1.3.6.1.4.1.14988.1.1.3.10.0", Scale: 0.1, Most: 1500},
			{What: Temperature, OID: "1.3.6.1.4.1.14988.1.1.3.11.0", Scale: 0.1, Most: 1500},
		}},
		{"1.3.6.1.4.1.2011", []Gauge{ // HUAWEI-ENTITY-EXTENT-MIB hwEntityCpuUsage, hwEntityMemUsage, hwEntityTemperature
			ratio(CPU, "1.3.6.1.4.1.2011.5.25.31.1.1.1.1.5"),
			ratio(MemoryUsed, "1.3.6.1.4.1.2011.5.25.31.1.1.1.1.7"),
			celsius("1.3.6.1.4.1.2011.5.25.31.1.1.1.1.11"),
		}},
		{"1.3.6.1.4.1.25506", []Gauge{ // HH3C-ENTITY-EXT-MIB hh3cEntityExtCpuUsage, hh3cEntityExtMemUsage, hh3cEntityExtTemperature
			ratio(CPU, "1.3.6.1.4.1.25506.2.6.1.1.1.1.6"),
			ratio(MemoryUsed, "1.3.6.1.4.1.25506.2.6.1.1.1.1.8"),
			celsius("1.3.6.1.4.1.25506.2.6.1.1.1.1.12"),
		}},
		{"1.3.6.1.4.1.12356.101", []Gauge{ // FORTINET-FORTIGATE-MIB fgSysCpuUsage, fgSysMemUsage, fgSysMemCapacity (KB)
			ratio(CPU, "1.3.6.1.4.1.12356.101.4.1.3.0"),
			ratio(MemoryUsed, "1.3.6.1.4.1.12356.101.4.1.4.0"),
			{What: MemoryTotal, OID: "1.3.6.1.4.1.12356.101.4.1.5.0", Scale: 1024, Most: 1e12},
		}},
		{"1.3.6.1.4.1.11863", []Gauge{ // TPLINK-SYSMONITOR-MIB tpSysMonitorCpu1Minute, tpSysMonitorMemoryUtilization
			idle(CPU, "1.3.6.1.4.1.11863.6.4.1.1.1.1.3"),
			ratio(MemoryUsed, "1.3.6.1.4.1.11863.6.4.1.2.1.1.2"),
		}},
		{"1.3.6.1.4.1.171", []Gauge{ // DLINK-AGENT-MIB agentCPUutilizationIn1min
			ratio(CPU, "1.3.6.1.4.1.171.12.1.1.6.2.0"),
		}},
		{"1.3.6.1.4.1.890.1.15", []Gauge{ // ZYXEL-SYS-MGMT-MIB zySysMgmtCPUUsage
			ratio(CPU, "1.3.6.1.4.1.890.1.15.3.49.1.7.0"),
		}},
		{"1.3.6.1.4.1.890.1.6", []Gauge{ // ZYXEL-ES-SMI's ZyWALL branch: sysCPUUsage, sysRAMUsage
			ratio(CPU, "1.3.6.1.4.1.890.1.6.22.1.1.0"),
			ratio(MemoryUsed, "1.3.6.1.4.1.890.1.6.22.1.2.0"),
		}},
		{"1.3.6.1.4.1.4881", []Gauge{ // RUIJIE-PROCESS-MIB ruijieCPUUtilization1Min, RUIJIE-MEMORY-MIB ruijieMemoryPoolCurrentUtilization
			ratio(CPU, "1.3.6.1.4.1.4881.1.1.10.2.36.1.1.2.0"),
			ratio(MemoryUsed, "1.3.6.1.4.1.4881.1.1.10.2.35.1.1.1.3"),
		}},
		{"1.3.6.1.4.1.2636", []Gauge{ // JUNIPER-MIB jnxOperatingCPU, jnxOperatingBuffer, jnxOperatingTemp
			ratio(CPU, "1.3.6.1.4.1.2636.3.1.13.1.8"),
			ratio(MemoryUsed, "1.3.6.1.4.1.2636.3.1.13.1.11"),
			celsius("1.3.6.1.4.1.2636.3.1.13.1.7"),
		}},
		{"1.3.6.1.4.1.11.2.3.7.11", []Gauge{ // STATISTICS-MIB hpSwitchCpuStat, NETSWITCH-MIB hpLocalMemAllocBytes, hpLocalMemFreeBytes
			ratio(CPU, "1.3.6.1.4.1.11.2.14.11.5.1.9.6.1.0"),
			{What: UsedBytes, OID: "1.3.6.1.4.1.11.2.14.11.5.1.1.2.1.1.1.7", Scale: 1, Most: 1e15},
			{What: FreeBytes, OID: "1.3.6.1.4.1.11.2.14.11.5.1.1.2.1.1.1.6", Scale: 1, Most: 1e15},
		}},
		{"1.3.6.1.4.1.1991", []Gauge{ // FOUNDRY-SN-AGENT-MIB snAgGblCpuUtil1MinAvg, snAgGblDynMemUtil, snChasActualTemperature (half degrees)
			ratio(CPU, "1.3.6.1.4.1.1991.1.1.2.1.52.0"),
			ratio(MemoryUsed, "1.3.6.1.4.1.1991.1.1.2.1.53.0"),
			{What: Temperature, OID: "1.3.6.1.4.1.1991.1.1.1.1.18.0", Scale: 0.5, Most: 250},
		}},
		{"1.3.6.1.4.1.25053.3.1.5", []Gauge{ // RUCKUS-ZD-SYSTEM-MIB ruckusZDSystemCPUUtil, ruckusZDSystemMemoryUtil
			ratio(CPU, "1.3.6.1.4.1.25053.1.2.1.1.1.5.58.0"),
			ratio(MemoryUsed, "1.3.6.1.4.1.25053.1.2.1.1.1.5.59.0"),
		}},
		{"1.3.6.1.4.1.1916", []Gauge{ // EXTREME-SYSTEM-MIB extremeCurrentTemperature
			celsius("1.3.6.1.4.1.1916.1.1.1.8.0"),
		}},
		{"1.3.6.1.4.1.6574", []Gauge{ // SYNOLOGY-SYSTEM-MIB temperature
			celsius("1.3.6.1.4.1.6574.1.2.0"),
		}},
		{"1.3.6.1.4.1.8072", []Gauge{ // NET-SNMP on a Synology says so only in its own branch
			celsius("1.3.6.1.4.1.6574.1.2.0"),
		}},
	}
}

// Of returns the gauges of the device's maker; none where nothing is known of it.
func Of(objectID ask.OID) []Gauge {
	for _, m := range makers() {
		if objectID.Below(m.branch) {
			return m.gauges
		}
	}
	return nil
}

// Scalar reports whether the gauge is a variable, not a column.
func (g Gauge) Scalar() bool { return strings.HasSuffix(string(g.OID), ".0") }

// Value is a reading of the gauge in our unit. In a column that has a row for every part, 0 mostly stands for a part
// that has nothing to measure.
func (g Gauge) Value(v ask.Value) (float64, bool) {
	n, ok := v.Int()
	zeroIsNone := !g.Scalar() && !g.Zero && g.What != UsedBytes && g.What != FreeBytes
	if !ok || float64(n) > g.Most || n < 0 && g.What != Temperature || n == 0 && zeroIsNone {
		return 0, false
	}
	return float64(n) * g.Scale, true
}

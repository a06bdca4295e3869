package poll

import "communewatch/probes/snmp/ask"

// gauge is a number that makers keep in a branch of their own.
type gauge struct {
	what  quantity
	oid   ask.OID // a scalar when it ends in .0, else a column
	scale float64 // what one unit of the device is in ours
	most  float64 // values above are none: makers write 101, 65535 or 2147483647 for "not measured"
	zero  bool    // in a column, 0 is a value and not "no such part"
}

type quantity uint8

const (
	cpu         quantity = iota // ratio
	memoryUsed                  // ratio
	memoryTotal                 // bytes
	temperature                 // degrees Celsius
	usedBytes                   // bytes in use, of a column of pools; its counterpart is freeBytes
	freeBytes
)

// maker is what the devices of a branch of sysObjectID have.
type maker struct {
	branch string // below 1.3.6.1.4.1
	gauges []gauge
}

// makers says where makers keep what no standard MIB has a place for. Each line names the object of the maker's MIB;
// what is not sure is not here. Of several rows of a column the largest counts (the busiest processor, the hottest
// sensor), except for pools of memory, where the first is the processor's.
func makers() []maker {
	ratio := func(what quantity, oid ask.OID) gauge { return gauge{what: what, oid: oid, scale: 0.01, most: 100} }
	idle := func(what quantity, oid ask.OID) gauge { // a column with rows of processors only, so that 0 is idle
		return gauge{what: what, oid: oid, scale: 0.01, most: 100, zero: true}
	}
	celsius := func(oid ask.OID) gauge { return gauge{what: temperature, oid: oid, scale: 1, most: 150} }
	return []maker{
		{"9.6.1", []gauge{ // Cisco small business: CISCOSB-rndMng rlCpuUtilDuringLastMinute, 101 when it is not measured
			ratio(cpu, "1.3.6.1.4.1.9.6.1.101.1.8.0"),
		}},
		{"9", []gauge{
			idle(cpu, "1.3.6.1.4.1.9.9.109.1.1.1.1.7"),                                 // CISCO-PROCESS-MIB cpmCPUTotal1minRev
			ratio(cpu, "1.3.6.1.4.1.9.2.1.57.0"),                                       // OLD-CISCO-SYS-MIB avgBusy1
			{what: usedBytes, oid: "1.3.6.1.4.1.9.9.48.1.1.1.5", scale: 1, most: 1e15}, // CISCO-MEMORY-POOL-MIB ciscoMemoryPoolUsed
			{what: freeBytes, oid: "1.3.6.1.4.1.9.9.48.1.1.1.6", scale: 1, most: 1e15}, // ciscoMemoryPoolFree
			celsius("1.3.6.1.4.1.9.9.13.1.3.1.3"),                                      // CISCO-ENVMON-MIB ciscoEnvMonTemperatureStatusValue
		}},
		{"14988", []gauge{ // MIKROTIK-MIB, tenths of degrees: mtxrHlTemperature, mtxrHlProcessorTemperature
			{what: temperature, oid: "1.3.6.1.4.1.14988.1.1.3.10.0", scale: 0.1, most: 1500},
			{what: temperature, oid: "1.3.6.1.4.1.14988.1.1.3.11.0", scale: 0.1, most: 1500},
		}},
		{"2011", []gauge{ // HUAWEI-ENTITY-EXTENT-MIB hwEntityCpuUsage, hwEntityMemUsage, hwEntityTemperature
			ratio(cpu, "1.3.6.1.4.1.2011.5.25.31.1.1.1.1.5"),
			ratio(memoryUsed, "1.3.6.1.4.1.2011.5.25.31.1.1.1.1.7"),
			celsius("1.3.6.1.4.1.2011.5.25.31.1.1.1.1.11"),
		}},
		{"25506", []gauge{ // HH3C-ENTITY-EXT-MIB hh3cEntityExtCpuUsage, hh3cEntityExtMemUsage, hh3cEntityExtTemperature
			ratio(cpu, "1.3.6.1.4.1.25506.2.6.1.1.1.1.6"),
			ratio(memoryUsed, "1.3.6.1.4.1.25506.2.6.1.1.1.1.8"),
			celsius("1.3.6.1.4.1.25506.2.6.1.1.1.1.12"),
		}},
		{"12356.101", []gauge{ // FORTINET-FORTIGATE-MIB fgSysCpuUsage, fgSysMemUsage, fgSysMemCapacity (KB)
			ratio(cpu, "1.3.6.1.4.1.12356.101.4.1.3.0"),
			ratio(memoryUsed, "1.3.6.1.4.1.12356.101.4.1.4.0"),
			{what: memoryTotal, oid: "1.3.6.1.4.1.12356.101.4.1.5.0", scale: 1024, most: 1e12},
		}},
		{"11863", []gauge{ // TPLINK-SYSMONITOR-MIB tpSysMonitorCpu1Minute, tpSysMonitorMemoryUtilization
			idle(cpu, "1.3.6.1.4.1.11863.6.4.1.1.1.1.3"),
			ratio(memoryUsed, "1.3.6.1.4.1.11863.6.4.1.2.1.1.2"),
		}},
		{"171", []gauge{ // DLINK-AGENT-MIB agentCPUutilizationIn1min
			ratio(cpu, "1.3.6.1.4.1.171.12.1.1.6.2.0"),
		}},
		{"890.1.15", []gauge{ // ZYXEL-SYS-MGMT-MIB zySysMgmtCPUUsage
			ratio(cpu, "1.3.6.1.4.1.890.1.15.3.49.1.7.0"),
		}},
		{"890.1.6", []gauge{ // ZYXEL-ES-SMI's ZyWALL branch: sysCPUUsage, sysRAMUsage
			ratio(cpu, "1.3.6.1.4.1.890.1.6.22.1.1.0"),
			ratio(memoryUsed, "1.3.6.1.4.1.890.1.6.22.1.2.0"),
		}},
		{"4881", []gauge{ // RUIJIE-PROCESS-MIB ruijieCPUUtilization1Min, RUIJIE-MEMORY-MIB ruijieMemoryPoolCurrentUtilization
			ratio(cpu, "1.3.6.1.4.1.4881.1.1.10.2.36.1.1.2.0"),
			ratio(memoryUsed, "1.3.6.1.4.1.4881.1.1.10.2.35.1.1.1.3"),
		}},
		{"2636", []gauge{ // JUNIPER-MIB jnxOperatingCPU, jnxOperatingBuffer, jnxOperatingTemp
			ratio(cpu, "1.3.6.1.4.1.2636.3.1.13.1.8"),
			ratio(memoryUsed, "1.3.6.1.4.1.2636.3.1.13.1.11"),
			celsius("1.3.6.1.4.1.2636.3.1.13.1.7"),
		}},
		{"11.2.3.7.11", []gauge{ // STATISTICS-MIB hpSwitchCpuStat, NETSWITCH-MIB hpLocalMemAllocBytes, hpLocalMemFreeBytes
			ratio(cpu, "1.3.6.1.4.1.11.2.14.11.5.1.9.6.1.0"),
			{what: usedBytes, oid: "1.3.6.1.4.1.11.2.14.11.5.1.1.2.1.1.1.7", scale: 1, most: 1e15},
			{what: freeBytes, oid: "1.3.6.1.4.1.11.2.14.11.5.1.1.2.1.1.1.6", scale: 1, most: 1e15},
		}},
		{"1991", []gauge{ // FOUNDRY-SN-AGENT-MIB snAgGblCpuUtil1MinAvg, snAgGblDynMemUtil, snChasActualTemperature (half degrees)
			ratio(cpu, "1.3.6.1.4.1.1991.1.1.2.1.52.0"),
			ratio(memoryUsed, "1.3.6.1.4.1.1991.1.1.2.1.53.0"),
			{what: temperature, oid: "1.3.6.1.4.1.1991.1.1.1.1.18.0", scale: 0.5, most: 250},
		}},
		{"25053.3.1.5", []gauge{ // RUCKUS-ZD-SYSTEM-MIB ruckusZDSystemCPUUtil, ruckusZDSystemMemoryUtil
			ratio(cpu, "1.3.6.1.4.1.25053.1.2.1.1.1.5.58.0"),
			ratio(memoryUsed, "1.3.6.1.4.1.25053.1.2.1.1.1.5.59.0"),
		}},
		{"1916", []gauge{ // EXTREME-SYSTEM-MIB extremeCurrentTemperature
			celsius("1.3.6.1.4.1.1916.1.1.1.8.0"),
		}},
		{"6574", []gauge{ // SYNOLOGY-SYSTEM-MIB temperature
			celsius("1.3.6.1.4.1.6574.1.2.0"),
		}},
		{"8072", []gauge{ // NET-SNMP on a Synology says so only in its own branch
			celsius("1.3.6.1.4.1.6574.1.2.0"),
		}},
	}
}

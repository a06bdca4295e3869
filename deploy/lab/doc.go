// Package lab is a whole province on one machine: simulated equipment behind real sockets, devices that answer SNMP
// among it, agents that measure it over the real spool and real HTTP, a collector with its stores, and one agent that
// measures this very machine and its network. Faults are ordered from a file or from the command line while it runs,
// and an audit compares what the agents measured with what the store holds.
//
// Everything lives in one folder:
//
//	collector/       the collector's data, as in production, and its settings file
//	agents/SITE/     an agent's settings, token and spool
//	ledger/SITE      what the agent has taken, line by line: the audit's truth
//	influxdb/        with --store influx: the server's files, settings and log
//	purchases.csv    what the province bought, as it was imported
//	lab.sock         where a running lab takes orders
package lab

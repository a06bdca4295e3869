// Package lines builds small networks for tests: namespaces joined by cables that can be pulled, routers between
// them, packet filters that drop an exact share and count it, and a host that answers pings late, twice, in the
// wrong order or not at all. The kernel's own counters are the truth that probes are measured by.
//
// All of it is private to the test: namespaces have no name, so they vanish with the test's process however it
// ends, and nothing of it can reach the machine's network. It needs Linux, root (CAP_SYS_ADMIN and CAP_NET_ADMIN)
// and the command nft; see Need.
package lines

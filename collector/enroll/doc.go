// Package enroll is the door at which agents get their identity and keep it: the first certificate for a join code, its
// renewal, the authorities to trust, and what an agent says of itself. Package probes/enroll has the words of it,
// collector/registry/agents decides who is let in, and collector/authority signs.
//
// # Guessing
//
// A join code's secret has 80 bits, so that nobody finds one while the collector counts: each network (an IPv4 address,
// an IPv6 /64) may try some twenty that do not exist, and then one a minute; all together a few hundred, and then some a
// second. Whoever is over is told to wait, and no more. Codes that exist are neither counted nor held up: a district's
// agents behind one address may all enrol at once, whatever else comes from there, and 80 bits are not found by trying.
//
// # Clocks
//
// Every answer says when it was given (wire.HeaderReceivedAt), on a connection on which the collector has proven who it
// is: a machine whose clock is off by years has no better source. While the collector does not believe its own clock, it says
// nothing of the time and makes no certificate.
package enroll

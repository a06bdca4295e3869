// Package authority is the fleet's own certificate authority: it vouches for the collector, so that agents know whom
// they report to, and for agents, so that the collector knows who reports. It decides whose a certificate is; whether
// that agent may still report is the registry's to say.
//
// # What is in the folder
//
//	authorities.json    the authorities' certificates and keys, what each is for, and the fleet's name
//	server.pem          the certificate of the collector and its key
//	roots.pem           the certificates alone, for browsers and other programs; written for people, never read
//
// All of it is closed to others. The authority is made once, at the first start, and then never again: without it no
// agent is believed and no agent believes. So what is missing or damaged later is an error that names the file. The
// server's certificate, which can be made any time, is made anew.
//
// # One fleet, several authorities
//
// An authority lasts twenty years, and may have to go sooner. The change takes three steps, and nobody has to go anywhere
// for it:
//
//	announce   a next authority is made. Agents learn that they are to trust it, by the connection that they trust now
//	switch     certificates of the collector and of agents come from it from now on; the former one is still trusted
//	retire     the former one is trusted no more
//
// The name of the fleet is the pin of its first authority and stays. It stands in each agent's certificate, so that one
// of another fleet is told from a forged one.
//
// # Times
//
// Certificates of agents last 90 days and the collector's own a year (RFC 5280 certificates, ECDSA P-256); who has one
// makes the next after two thirds of that. They begin a day before they are made, because clocks of offices are wrong.
// Revocation does not need short lives or lists (CRL, OCSP), since the only one to ask is the collector itself.
package authority

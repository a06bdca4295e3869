// Package identity is who an agent is: a key that never leaves its machine, a certificate for it, the authorities that
// it believes, and what it can know of the time.
//
// # On disk
//
// The folder "identity" in the agent's state folder is for the agent's user alone. A key is in a file of its own, named
// by the key (key-....pem, PKCS #8); identity.json names the key and holds the certificate, the authorities and the
// collector's addresses. It is replaced as a whole, so an agent that dies while it enrols or renews has either what it
// had or what it got. What the disk does not take counts all the same, and is written later. clock.json holds the newest time that a collector has told.
//
// # Whom it believes
//
// A server is the collector if an authority of identity.json stands behind its certificate, and the certificate is for
// the host that was dialled and valid now. The system's authorities count for nothing.
//
// # What now is
//
// Machines without a battery for their clock wake up in 1970, or in 2098. A certificate is judged by the later of the
// machine's clock and the floor, which is before now for certain: the newest of the build's time, the beginning of the
// agent's own certificate and what a collector told last. So a clock that is behind does no harm. A clock that differs
// by more than a day from what the collector told is corrected by the difference, for this purpose alone.
//
// Where the clock has gone wrong since, no certificate seems valid. Then the collector is asked for the time over a
// connection that believes every certificate of the own authorities which did not end before the floor, and the answer
// is used only if the certificate was valid at the time told. What that gives away: whoever stole a collector's
// key could use it after its certificate has ended, but only towards an agent that has not heard from its collector
// since then. Nothing but the time is taken from such a connection.
package identity

// Package enroll is what an agent and a collector say to each other about who the agent is: the join code that a person
// carries to a machine, the request for a certificate and its renewal, and the name that stands in the certificate.
//
// # How an agent gets its identity
//
// An operator makes a join code for a site. It holds a secret that is good once, the pin of the authority that vouches
// for the collector (the first half of the SHA-256 of its SubjectPublicKeyInfo, RFC 7469 takes all of it), and the
// collector's addresses. The agent makes a key, which never leaves its machine, connects to an address of the code,
// goes on only if an authority with that pin stands behind the certificate it is shown, and POSTs a Request with a
// certificate signing request (RFC 2986) to Path. So neither side has to trust anything else on the way, and neither
// clock has to be right.
//
// The first request binds the code to its key: the same request may be sent again, after an answer that was lost or to
// ask whether somebody has approved it; another key is refused. An Answer brings the certificate, all authorities to
// trust from now on, and the collector's addresses.
//
// Before its certificate ends an agent POSTs a Renewal to RenewPath, on a connection on which it proved to have the key.
// It looks at TrustPath now and then for new authorities, so that the collector can change its own.
//
// Either side believes the other nothing: everything here is bounded and validated when it is read.
package enroll

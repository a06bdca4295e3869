// Package ship sends batches from the spool to a collector, and knows nothing of what is in them.
//
// # Order
//
// What was measured just now goes first and never waits for anything older: a map is for the present. Everything else
// is backlog and is sent at a bounded rate, so that catching up after an outage does not disturb the very lines that
// are being measured: three batches from its newer end, then one from its older, so that both close.
//
// # What an answer means
//
// The table is in judge, and nowhere else:
//
//	answer                                   meaning                             what happens
//	2xx with a collector's marks             taken                               kept until durable, or forgotten
//	400, 422 with a collector's marks        some rows will never be taken; the  set aside with the reason; go on
//	                                         good ones are kept like those taken
//	413                                      too large                           halved at a line, both halves sent;
//	                                                                             one line alone is set aside
//	401, 403, 404                            thrown out, wrong token, no bucket  kept; asked again in 5 minutes
//	429, 503                                 busy                                kept; Retry-After, else backoff
//	other 5xx, network errors, timeouts      unreachable or broken               kept; backoff
//	none: the certificate is not believed    another server, or a wrong clock    kept; backoff
//	everything else                          not a collector                     kept; backoff
//
// A line's router that waits for somebody to log in answers 200 with a page of its own, or 302, or even 400, to
// everything. So what would make a batch leave the spool needs a collector's marks: headers that only InfluxDB and
// communewatch send, or InfluxDB's error document. Portals answer a bare 204 too, to tell devices that they are online.
//
// Two answers are looked at twice. A 400 of a communewatch collector that did not get as far as numbering the batch may
// be about a request damaged on its way: it is believed the third time. And a denial of one numbered batch, by a
// collector that takes our others, is about that batch's rows (they are of another site, from before the agent was
// moved): the batch is set aside.
//
// A pause after a failure is drawn evenly from 1 s to the time the trouble has lasted, at least 2 s and at most 60 s.
// Pauses so grow by half from one to the next, agents return spread out when a collector does, and none stays away for
// longer than the collector did.
//
// # Several collectors
//
// The first is preferred. An agent stays with the one that works; when it fails, the first of the others that is not
// backing off is next, at once. A preferred one is tried again after a minute, and after twice as long each time it
// disappoints, up to half an hour. One batch is sent at a time, so it is never on its way to two collectors.
//
// # Halves
//
// The halves of a batch that was too large carry the identity of the whole. The collector's receipt of an identity is
// idempotent, and so is storing a row; if only one half arrives, the whole is sent again.
package ship

// Package calls measures the measurer of calls: probe and reflector over lines of which the truth is known, and both of
// them beside the software of others.
//
// The truth is a relay between the two (package relay): it is told what to do to which packet, and writes down what it
// did, packet by packet. What the probe reports has to agree:
//
//   - Counts are exact. Lost packets, their runs and the longest of them, packets overtaken and copies are those of the
//     relay's log, in each direction and medium apart; on a line that does nothing all of them are zero.
//   - Delay: the median round-trip time is not below what the relay's log has as the medians of both ways together, and
//     at most 10 ms above it, which is what four wake-ups of two programs take.
//   - Jitter (RFC 3550) is within 3 ms or a fifth, whichever is more, of what its formula makes of the times at which
//     the relay sent the packets; the 95th percentile of the variation of delay within 5 ms or a fifth.
//   - A limit of rate shows in the ramp as the highest of its steps below the limit.
//
// Times are of a machine that does other things too. An attempt whose times don't agree is made again, up to five
// times; if the relay itself was late in all of them, or the probe says that its machine was busy, the test is skipped
// with these figures. Counts must agree in every attempt: no load excuses a wrong count.
package calls

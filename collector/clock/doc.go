// Package clock is the time as far as the collector may believe its machine.
//
// # Why a clock is not believed
//
// A board whose battery is dead starts in a year long past, and a time server that is wrong sends a machine years ahead.
// What a collector does by the clock and can't take back (rows, codes, sessions and the record that are removed for their
// age, an authority that is left because it ends, hours of results that are filed under it) must not come of that.
//
// So the newest time that was believed is kept on disk, and the machine is asked to go on from there: at most maxAway
// later than that and what has passed since by the processor's own count, which no setting of the clock changes, and at
// most maxBack earlier. A clock that says something else is in doubt. A collector that stood switched off for longer is in
// doubt for a minute too, until its agents have confirmed.
//
// # What is done in doubt
//
// Now goes on from the last time that was believed. The true time is never before that, so that whatever goes by age stays
// where it is. Results are not taken in, because nobody knows what time they are of; agents keep them.
//
// # How doubt ends
//
// By the clock, when it is set right. By agents: each batch says what time it is on the agent's machine, and when those of
// several sites, and most of all that were heard, agree with this machine, it was right. But a leap of years is not theirs to
// confirm, since machines of one network may follow the same wrong time server. Or by a person, who looks at the wall:
// communewatch-collector clock confirm.
//
// # What is not noticed
//
// A clock that is ahead at the very first start, when there is nothing to compare it with but the year in which this
// was written; one that wanders slowly, or by less than maxAway. How far agents' clocks are from this one is on the page of the fleet.
package clock

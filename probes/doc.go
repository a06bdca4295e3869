// Package probes is the language of the house: what a probe is, what it measures along which path, how a run
// ends, and which points it leaves behind. It knows no protocol and opens no socket; each kind of test lives in a
// room of its own below this one (probes/icmp, probes/tcp, ...) and speaks to the rest of the program only in the
// words defined here.
//
// A probe is one bounded run. It returns points that carry what was measured, and an error that says how the run
// ended; whoever runs it adds the identity (site, agent, target, path), the time, and the verdict row "check". So
// a probe can neither forget nor fake its own success.
//
// Schema is the contract between agents and collectors: every measurement, tag and field with its type, unit and
// meaning. CONTRACT.md is generated from it.
package probes

// Package updated holds no code but tests: the real agent, as a service manager runs it, enrolled with a collector that has
// an authority of its own, takes releases that were made and signed by the real tool and let go out by the collector's own
// commands. One that is good is taken site by site, and no result is lost meanwhile; one that starts and never reports
// is taken back by the machine itself, and halts all. What must never run is tried in package attacks.
//
// The collector's clock is set forward where a person would wait for a stage to have gone well.
package updated

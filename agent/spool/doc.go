// Package spool is a bounded, crash-safe queue of batches on disk. It knows no network and no points: what goes in is
// whole lines of text, what comes out is batches of them, each with an identity that stays the same for ever.
//
// # Life of a batch
//
//	Append            Seal                      Acknowledged          Durable
//	lines -> open file -> sealed file (pending) -> sealed file (unsynced) -> gone
//
// Append adds whole lines to the open file with one write(2) and returns: from then on a kill of the process loses
// nothing. Seal turns an open file that is old or large enough into a sealed one: compressed, written beside its place,
// fsynced, renamed, the folder fsynced, and only then is the open file removed. A power cut loses at most what was
// not sealed yet. gzip's checksum makes every later damage visible, and damage costs the one file it hit.
//
// # On disk
//
//	lock                                             held while a process uses the spool
//	00000007-<boot>/open-<boot>-<seq>-<clock>.lp        an open file: plain lines
//	00000007-<boot>/<unixms>-<boot>-<seq>-<clock>.lp.gz  a sealed batch; unixms is when it was sealed
//	quarantine/                                      what could not be read or was refused, each with its reason in a .txt
//
// Each boot of the agent has a numbered folder, so the order of batches is the order of (boot number, seq) and no clock
// has a say in it. Files that the spool did not make are reported once and left alone.
//
// # Bounds
//
// The oldest batches are dropped, and counted, when the spool is larger than MaxBytes, when the disk has less than
// MinFree left, or when a batch is older than MaxAge. Age is not a difference of wall clocks, which may jump by years:
// it is running time, counted in steps of at most a minute (see odometer). So a spool may keep a batch for longer than
// MaxAge, while the machine was off, but a clock never makes it drop one early.
//
// When the disk takes no writes, results wait in memory, up to MaxMemory, and can be delivered from there.
package spool

// Package release is what makers, collectors and agents say about a release of the agent: its manifest, the signature
// over it, where an agent asks for it, and in which words it says what became of it.
//
// # What is signed
//
// A release is a folder: a manifest (JSON), its signature, and one binary for each platform. The manifest names every
// binary with its size and SHA-256, so the one signature covers all. It is minisign's (Ed25519 over the BLAKE2b-512 of
// the file), and so can be checked with `minisign -V` too. Whoever holds the private key decides what runs on the
// agents' machines: it belongs on a machine that is not the collector, and it never comes near one. The collector hands
// releases on and decides who takes one when. It can't make one, nor change one.
//
// # What an agent checks, in this order
//
// Verify: the signature, by the keys in the agent's own settings, before the manifest is parsed. Manifest.For: that it
// has not expired (so that nobody can serve an old release for ever), that it is newer than what runs, unless its maker
// signed it as a rollback, that the running version may update to it, and that it has a binary for the machine. Then
// size and SHA-256 of the binary, and CheckBinary: that the binary is what the manifest says, by its own header.
package release

// Names of the files of a release's folder.
const (
	ManifestFile  = "manifest.json"
	SignatureFile = "manifest.json.minisig"
)

// Where an agent asks.
const (
	Path     = "/api/agent/v1/release"       // GET -> 200 with an Offer, or 204: there is none for this agent now
	FilePath = "/api/agent/v1/release/file/" // and VERSION/NAME; GET, with Range -> 200, 206, 403 when it is not the agent's turn
)

// State is what an agent says, in its presence, of the release it was offered last.
type State string

// The states. The empty State says that it was offered none.
const (
	StateFetched    State = "fetched"     // it is on the disk, verified
	StateTrying     State = "trying"      // it runs, and has not proved itself yet
	StateKept       State = "kept"        // it runs for good
	StateRolledBack State = "rolled_back" // it ran and did not report; the former one runs
	StateRefused    State = "refused"     // it was never run; the problem says why
)

// Package due is the vocabulary in which rollups and the registry speak of what is to be worked out anew.
package due

// Hour is an hour of a site whose windows are older than its rows.
type Hour struct {
	Site  string
	Start int64 // Unix milliseconds, a whole hour
	// Generation rises each time rows of the hour come in, so that who worked it out can tell whether more came since.
	Generation int64
}

package ingest

// Budget returns what is left of the memory for bodies.
func (in *Ingest) Budget() int64 { return in.budget.left.Load() }

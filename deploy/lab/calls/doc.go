// Package calls measures the measurer of calls: probe and reflector over lines of which the truth is known, and both of
// them beside the software of others.
package calls

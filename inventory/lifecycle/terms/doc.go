// Package terms holds the terms in which lifecycle rules speak: the item they look at, every value with its evidence, the
// findings they give and the states, severities and actions these may have.
package terms

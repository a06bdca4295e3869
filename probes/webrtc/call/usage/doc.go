// Package usage is what a call takes of the machine that it is made from.
package usage

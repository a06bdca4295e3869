// Package wording says in Vietnamese and English what lifecycle rules found, what is proposed, and what is missing and
// who can give it. Vietnamese is the first language. Days are written dd/mm/yyyy and amounts of money with dots in both
// languages, since the readers of both sit in the same offices.
//
// A sentence is a template: {name} stands for an argument of the finding, and a part in [brackets] is left out where an
// argument in it is not known.
package wording

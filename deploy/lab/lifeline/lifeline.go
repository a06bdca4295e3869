// Package lifeline ties processes that the lab starts to the lab's own life: a child that outlived its parent would keep
// ports and files, and nobody would know of it.
package lifeline

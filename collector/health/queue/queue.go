// Package queue is a binary heap of what has its time: the earliest is first. It is written for events that are pushed
// by the million when a year is judged anew, so it moves values and boxes none.
package queue

// Event is what a Queue holds by value: it knows which of two comes first.
type Event[E any] interface {
	*E
	Before(*E) bool
}

// Queue is a heap; the first element is the earliest event, the others are in no order. The zero Queue is empty.
type Queue[E any, P Event[E]] []E

// Push adds an event.
func (q *Queue[E, P]) Push(e E) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !P(&h[i]).Before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	*q = h
}

// Pop takes the earliest event out. The queue is not empty.
func (q *Queue[E, P]) Pop() E {
	h := *q
	top := h[0]
	last := len(h) - 1
	h[0] = h[last]
	clear(h[last:])
	h = h[:last]
	for i := 0; ; {
		least := i
		for kid := 2*i + 1; kid <= 2*i+2 && kid < last; kid++ {
			if P(&h[kid]).Before(&h[least]) {
				least = kid
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return top
}

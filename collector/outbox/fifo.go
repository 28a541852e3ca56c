package outbox

// A fifo is a queue. Its zero value is empty.
type fifo[T any] struct {
	items []T
}

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

// pop takes the oldest out, and reports false when there is none.
func (q *fifo[T]) pop() (T, bool) {
	var none T
	if len(q.items) == 0 {
		return none, false
	}
	v := q.items[0]
	q.items[0] = none
	q.items = q.items[1:]
	return v, true
}

func (q *fifo[T]) len() int { return len(q.items) }

package wire

import (
	"context"
	"time"
)

// A Record keeps what an access log says of a request.
type Record interface {
	// Answered notes how long it took until the headers of an upstream's answer
	// had come, or it was clear that none would; and the id by which the
	// upstream knows the request, if it gave one.
	Answered(after time.Duration, id string)
}

type recordKey struct{}

// RecordOf is the record of the request that a context belongs to, or nil.
func RecordOf(ctx context.Context) Record {
	r, _ := ctx.Value(recordKey{}).(Record)
	return r
}

// A RecordContext is that of a request of which a record is kept.
type RecordContext struct {
	context.Context
	Record Record
}

// Value implements [context.Context].
func (c *RecordContext) Value(key any) any {
	if key == (recordKey{}) {
		return c.Record
	}
	return c.Context.Value(key)
}

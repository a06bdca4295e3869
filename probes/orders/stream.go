package orders

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ContentType is that of the stream of orders. A portal that answers every request with a page of its own has another.
const ContentType = "application/x-ndjson"

// HeaderChecks is what an agent says with its request for orders: the webrtc checks it can be told to call with, each
// with its path, as in "hub/dedicated, hub2/broadband"; absent when it has none.
const HeaderChecks = "Communewatch-Calls"

// Errors of a Reader.
var (
	// ErrTooLong is the error of a line that is too long to be an order: what comes is no stream of orders.
	ErrTooLong = fmt.Errorf("a line of more than %d bytes", MaxOrder)
	// ErrInvalid is in the chain of the error for a line that is no order; the stream can be read on.
	ErrInvalid = errors.New("not an order")
)

// AppendLine appends the order as a line of the stream. It does not validate.
func AppendLine(dst []byte, o *Order) ([]byte, error) {
	line, err := json.Marshal(o)
	if err != nil {
		return dst, err
	}
	if len(line) > MaxOrder {
		return dst, fmt.Errorf("order %s: %w", clip(o.ID), ErrTooLong)
	}
	return append(append(dst, line...), '\n'), nil
}

// Reader reads a stream of orders. Memory is taken for one line at most.
type Reader struct {
	r    *bufio.Reader
	long []byte // a line that is longer than r's buffer
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 1024)} // a call is some 200 bytes, a heartbeat one; most of a day is heartbeats
}

// Next reads the next line. A nil order without an error is a heartbeat. Any error but ErrInvalid ends the stream.
func (r *Reader) Next() (*Order, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil, nil
	}
	o := new(Order)
	if err := json.Unmarshal(line, o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return o, nil
}

// line returns the next line, which is valid until the next call. What has no end is no line.
func (r *Reader) line() ([]byte, error) {
	r.long = r.long[:0]
	for {
		piece, err := r.r.ReadSlice('\n')
		if len(r.long)+len(piece) > MaxOrder+1 {
			return nil, ErrTooLong
		}
		switch {
		case err == nil && len(r.long) == 0:
			return piece, nil
		case err == nil:
			return append(r.long, piece...), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		r.long = append(r.long, piece...)
	}
}

// ReadReport reads and validates a report.
func ReadReport(data []byte) (Report, error) {
	var r Report
	if len(data) > MaxReport {
		return r, fmt.Errorf("a report of more than %d bytes", MaxReport)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("not a report: %w", err)
	}
	return r, r.Validate()
}

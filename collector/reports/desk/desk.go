// Package desk is how the command line asks a running collector for a report on lines: the collector has the stores for
// itself, so it makes the report and hands it over its socket.
package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"communewatch/collector/reports"
)

// Path is where a report is asked for, on the socket.
const Path = "/report"

const (
	// maxQuery bounds a question over the socket.
	maxQuery = 64 << 10
	// maxReport bounds an answer: ten thousand lines are some 10 MB.
	maxReport = 256 << 20
)

// Handler answers questions for reports by programs of the same user.
func Handler(from reports.Reporter, zone *time.Location, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q reports.Query
		if err := json.NewDecoder(io.LimitReader(r.Body, maxQuery)).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		// A time that was sent knows its offset, and no calendar.
		q.Period.From, q.Period.To = q.Period.From.In(zone), q.Period.To.In(zone)
		report, err := from.Report(r.Context(), q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(report); err != nil {
			log.Debug("a report was not taken", "error", err)
		}
	})
}

// Ask asks the collector behind a client of its socket. Where none runs, the client's error is returned as it is.
func Ask(ctx context.Context, client *http.Client, q reports.Query) (*reports.Report, error) {
	defer client.CloseIdleConnections()
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://collector"+Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running collector: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, fmt.Errorf("the running collector could not: %s", bytes.TrimSpace(text))
	}
	report := &reports.Report{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReport)).Decode(report); err != nil {
		return nil, errors.Join(errors.New("the running collector's answer can't be read; are both of one version?"), err)
	}
	return report, nil
}

package probes

// FieldType is the type of a field on the wire.
type FieldType uint8

// The field types of the contract.
const (
	TypeFloat FieldType = iota
	TypeInt
	TypeBool
	TypeString
)

// String returns the type's name as CONTRACT.md prints it.
func (t FieldType) String() string { return [...]string{"float", "integer", "boolean", "string"}[t] }

// FieldSpec is one field of a measurement.
type FieldSpec struct {
	Key  string
	Type FieldType
	Unit string // "seconds", "ratio 0..1", "bytes", "" for none
	// Signed numbers may be below zero; all others are counts, sizes and lengths of time, which can't be.
	Signed bool
	Enum   []string // the closed set of values of a string field; nil for free text of at most MaxText bytes
	// Distribution says that percentiles of the number mean something over years, so that they are kept (see
	// collector/rollup); of other numbers count, sum, smallest and largest are.
	Distribution bool
	Doc          string
}

// MaxText bounds a free-text field, in bytes; longer text is cut by the agent and refused by the collector.
const MaxText = 512

// TagSpec is one tag of a measurement.
type TagSpec struct {
	Key  string
	Enum []string // the closed set, or nil where the values are names (CheckName)
	Doc  string
}

// MeasurementSpec is one measurement: one row per run (or per part of a run, told apart by further tags).
type MeasurementSpec struct {
	Name   string
	Doc    string
	Kind   Kind // of the probes that return it alone; "" where several kinds do, or none
	Tags   []TagSpec
	Fields []FieldSpec
	// Ratios are fields that must not be averaged: over a window they are recomputed from summed counts.
	Ratios []RatioSpec
}

// RatioSpec says that field Ratio is the quotient of two counts of the same row.
type RatioSpec struct{ Ratio, Numerator, Denominator string }

// Field returns the spec of the field called key.
func (m *MeasurementSpec) Field(key string) (FieldSpec, bool) {
	for _, f := range m.Fields {
		if f.Key == key {
			return f, true
		}
	}
	return FieldSpec{}, false
}

// Row tells the rows of one run apart that a probe returns of this measurement: the values of the tags beyond site,
// agent, target and path, such as "up/video"; "" where a run has one row.
func (m *MeasurementSpec) Row(tag func(key string) string) string {
	row := ""
	for _, t := range m.Tags {
		switch t.Key {
		case "site", "agent", "target", "path":
			continue
		}
		if row != "" {
			row += "/"
		}
		row += tag(t.Key)
	}
	return row
}

// Tag returns the spec of the tag called key.
func (m *MeasurementSpec) Tag(key string) (TagSpec, bool) {
	for _, t := range m.Tags {
		if t.Key == key {
			return t, true
		}
	}
	return TagSpec{}, false
}

// Schema returns the contract: every measurement that agents write. The value is built anew at each call; callers
// that look things up often keep an index of their own.
func Schema() []MeasurementSpec {
	agentTags := []TagSpec{
		{Key: "site", Doc: "the site's id"},
		{Key: "agent", Doc: "the agent's name, unique within its site"},
	}
	var paths, layers, kinds []string
	for _, p := range Paths() {
		paths = append(paths, string(p))
	}
	for _, l := range Layers() {
		layers = append(layers, string(l))
	}
	for _, k := range Kinds() {
		kinds = append(kinds, string(k))
	}
	targetTags := append(agentTags[:2:2],
		TagSpec{Key: "target", Doc: "the check's name, unique within its agent"},
		TagSpec{Key: "path", Enum: paths, Doc: "the way out of the site that the run was bound to"},
	)
	return append([]MeasurementSpec{
		{
			Name: "check",
			Doc:  "One row per run of every kind, written by the runner: how the run ended.",
			Tags: append(targetTags[:4:4],
				TagSpec{Key: "kind", Enum: kinds, Doc: "the kind of probe"},
				TagSpec{Key: "layer", Enum: layers, Doc: "what the check is evidence for"}),
			Fields: []FieldSpec{
				{Key: "outcome", Type: TypeString, Enum: OutcomeNames(), Doc: "how the run ended"},
				{Key: "up", Type: TypeBool, Doc: "the target answered as it should (outcome ok)"},
				{Key: "took_seconds", Type: TypeFloat, Unit: "seconds", Doc: "length of the run, wall time"},
				{Key: "late_seconds", Type: TypeFloat, Unit: "seconds", Doc: "worst lateness of the agent's own timers during the run: measured times can't be trusted to better than about twice this; absent when nothing was run"},
				{Key: "interval_seconds", Type: TypeFloat, Unit: "seconds", Doc: "time from one run of this check to the next as configured; silence is judged by it"},
				{Key: "path_proof", Type: TypeString, Enum: []string{"proved", "bound", "unproven", "wrong"}, Doc: "how sure the run is of its path"},
				{Key: "error", Type: TypeString, Doc: "why it did not end well, in words; absent when outcome is ok"},
			},
		},
		{
			Name: "icmp",
			Kind: KindICMP,
			Doc:  "One burst of ICMP echo requests. Loss is lost/sent, where sent counts every attempt, also those the system refused to send.",
			Tags: targetTags,
			Fields: []FieldSpec{
				{Key: "sent", Type: TypeInt, Unit: "packets", Doc: "echo requests attempted"},
				{Key: "send_errors", Type: TypeInt, Unit: "packets", Doc: "attempts that the system refused (no route, link down, filtered); part of sent and of lost"},
				{Key: "received", Type: TypeInt, Unit: "packets", Doc: "requests answered in time, duplicates not counted"},
				{Key: "lost", Type: TypeInt, Unit: "packets", Doc: "sent - received"},
				{Key: "loss_ratio", Type: TypeFloat, Unit: "ratio 0..1", Doc: "lost / sent; over a window sum the counts"},
				{Key: "duplicates", Type: TypeInt, Unit: "packets", Doc: "further answers to a request already answered"},
				{Key: "reordered", Type: TypeInt, Unit: "packets", Doc: "answers that came after the answer to a later request (RFC 4737 type-P-reordered)"},
				{Key: "loss_runs", Type: TypeInt, Doc: "number of unbroken runs of lost requests"},
				{Key: "longest_loss_run", Type: TypeInt, Unit: "packets", Doc: "length of the longest such run"},
				{Key: "rtt_min_seconds", Type: TypeFloat, Unit: "seconds", Doc: "smallest round-trip time; absent when nothing was received, as the others"},
				{Key: "rtt_mean_seconds", Type: TypeFloat, Unit: "seconds", Doc: "mean round-trip time"},
				{Key: "rtt_median_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "median, nearest rank"},
				{Key: "rtt_p95_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "95th percentile, nearest rank"},
				{Key: "rtt_max_seconds", Type: TypeFloat, Unit: "seconds", Doc: "largest round-trip time"},
				{Key: "jitter_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "mean |RTT(i)-RTT(i-1)| over consecutive requests that were both answered (RFC 3393 IPDV, round trip); absent below two"},
				{Key: "clock_steps", Type: TypeInt, Doc: "samples whose wall clock stepped under way; their RTT is taken from the monotonic clock"},
				{Key: "df_size_bytes", Type: TypeInt, Unit: "bytes", Doc: "IP packet size of the don't-fragment check; absent when not configured, or when an outage or a slow machine left no result"},
				{Key: "df_ok", Type: TypeBool, Doc: "a packet of df_size_bytes with don't-fragment set was answered"},
			},
			Ratios: []RatioSpec{{Ratio: "loss_ratio", Numerator: "lost", Denominator: "sent"}},
		},
		{
			Name: "tcp",
			Kind: KindTCP,
			Doc:  "One TCP connection, opened and closed.",
			Tags: targetTags,
			Fields: []FieldSpec{
				{Key: "connect_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "SYN to established, without name resolution; absent when not connected"},
			},
		},
		{
			Name: "dns",
			Kind: KindDNS,
			Doc:  "One question to one resolver; each resolver asked is a row of its own.",
			Tags: append(targetTags[:4:4], TagSpec{Key: "resolver", Doc: "the resolver's name in the config"}),
			Fields: []FieldSpec{
				{Key: "query_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "question sent to answer read; absent when there was none"},
				{Key: "rcode", Type: TypeInt, Doc: "DNS response code (RFC 1035 4.1.1): 0 no error, 3 no such name"},
				{Key: "answers", Type: TypeInt, Doc: "records of the asked type in the answer"},
				{Key: "answer_ok", Type: TypeBool, Doc: "the answer holds what the config expects, or something where it expects nothing in particular"},
				{Key: "truncated", Type: TypeBool, Doc: "the UDP answer was cut and the question repeated over TCP"},
			},
		},
		{
			Name: "http",
			Kind: KindHTTP,
			Doc:  "One HTTP request with its phases, each in seconds from the end of the one before.",
			Tags: targetTags,
			Fields: []FieldSpec{
				{Key: "dns_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "name resolution; absent for a literal address"},
				{Key: "connect_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "TCP connection"},
				{Key: "tls_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "TLS handshake; absent without TLS"},
				{Key: "first_byte_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "request written to first byte of the answer"},
				{Key: "total_seconds", Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: "start to end of body"},
				{Key: "status", Type: TypeInt, Doc: "HTTP status code of the last answer"},
				{Key: "body_bytes", Type: TypeInt, Unit: "bytes", Doc: "bytes of body read, at most the configured bound"},
				{Key: "body_ok", Type: TypeBool, Doc: "the body matched what the config expects; absent when it expects nothing"},
				{Key: "cert_expiry_seconds", Type: TypeFloat, Unit: "seconds", Signed: true, Doc: "time until the first certificate of the chain expires; negative when it has; absent without TLS"},
			},
		},
		{
			Name: "agent",
			Doc:  "The agent about itself, every self interval.",
			Tags: agentTags,
			Fields: []FieldSpec{
				{Key: "version", Type: TypeString, Doc: "the program's version"},
				{Key: "os", Type: TypeString, Doc: "operating system and architecture"},
				{Key: "uptime_seconds", Type: TypeFloat, Unit: "seconds", Doc: "time since this start"},
				{Key: "checks", Type: TypeInt, Doc: "checks configured"},
				{Key: "spool_batches", Type: TypeInt, Doc: "batches on disk not yet acknowledged"},
				{Key: "spool_bytes", Type: TypeInt, Unit: "bytes", Doc: "their size on disk"},
				{Key: "spool_age_seconds", Type: TypeFloat, Unit: "seconds", Doc: "age of the oldest of them"},
				{Key: "spool_unsynced", Type: TypeInt, Doc: "batches acknowledged but kept until the collector has them on disk"},
				{Key: "spool_dropped", Type: TypeInt, Doc: "batches dropped since this start because the spool was full or they were too old"},
				{Key: "spool_quarantined", Type: TypeInt, Doc: "batches set aside since this start: damaged, or refused by the collector"},
				{Key: "overruns", Type: TypeInt, Doc: "runs not started since this start because the run before was still going"},
				{Key: "send_failures", Type: TypeInt, Doc: "failed deliveries since this start"},
				{Key: "clock_offset_seconds", Type: TypeFloat, Unit: "seconds", Signed: true, Doc: "collector's clock minus this clock, +- half the round trip; absent before the first answer"},
				{Key: "rss_bytes", Type: TypeInt, Unit: "bytes", Doc: "resident memory of the program"},
				{Key: "cpu_seconds", Type: TypeFloat, Unit: "seconds", Doc: "processor time used since this start"},
			},
		},
	}, append(deviceSchema(targetTags), conferenceSchema(targetTags)...)...)
}

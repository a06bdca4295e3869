package wire

// Headers that a communewatch agent sends with a batch. A writer without them (Telegraf) is served all the same,
// without gap accounting and clock correction.
const (
	// HeaderAgent names the agent; HeaderBoot is the random identity of the start of the agent that made the
	// batch; HeaderSeq counts that start's batches from 1. Together they identify a batch for ever.
	HeaderAgent = "Communewatch-Agent"
	HeaderBoot  = "Communewatch-Boot"
	HeaderSeq   = "Communewatch-Seq"

	// HeaderClock numbers the stretches within a boot during which the agent's clock ran without a jump, from 1.
	// A batch never spans two. All points of one boot and clock share one offset from true time.
	HeaderClock = "Communewatch-Clock"

	// HeaderSentAt is the time of sending by the clock that stamped the batch, Unix milliseconds. It is absent when
	// the batch was stamped by an earlier boot or clock than the present one.
	HeaderSentAt = "Communewatch-Sent-At"
)

// Headers of the collector's answer to a batch.
const (
	// HeaderReceivedAt is the collector's clock when it read the request's header, Unix milliseconds.
	HeaderReceivedAt = "Communewatch-Received-At"

	// HeaderStore identifies one opening of the collector's store, or its life since a disk that had failed works again.
	// HeaderCommit numbers what was acknowledged since then; HeaderDurable is the highest such number known to be on
	// disk. A batch acknowledged as (store, commit) survives a power cut of the collector once an answer with the same
	// store says durable >= commit. If the store changed before that, the batch may be gone and is to be sent again,
	// which is harmless.
	HeaderStore   = "Communewatch-Store"
	HeaderCommit  = "Communewatch-Commit"
	HeaderDurable = "Communewatch-Durable"
)

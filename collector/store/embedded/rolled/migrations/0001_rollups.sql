-- Names of fields by number, as blocks write them. None is ever removed.
CREATE TABLE names (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE series (
	id          INTEGER PRIMARY KEY,
	key         BLOB NOT NULL UNIQUE, -- rollup.SeriesKey
	measurement TEXT NOT NULL,
	site        TEXT NOT NULL,        -- of the tags; empty without
	tags        TEXT NOT NULL         -- JSON, as probes.Tags
) STRICT;

CREATE INDEX series_by_measurement ON series (measurement, site);
CREATE INDEX series_by_site ON series (site);

-- Windows. An id is made of level, series, block and piece, in this order from the highest bits (see id.go), so that a
-- series' windows of a level lie together in order of time. Piece 0 is the whole block; the others are parts of it that
-- were written since.
CREATE TABLE blocks (
	id   INTEGER PRIMARY KEY,
	data BLOB NOT NULL                -- see the room block
) STRICT;

-- Which blocks have pieces besides the whole.
CREATE TABLE pieces (
	level  INTEGER NOT NULL,
	block  INTEGER NOT NULL,
	series INTEGER NOT NULL,
	PRIMARY KEY (level, block, series)
) STRICT, WITHOUT ROWID;

-- What could not be read when it was to be written again, set aside.
CREATE TABLE damaged (
	id    INTEGER NOT NULL,           -- of the block
	found INTEGER NOT NULL,           -- Unix milliseconds
	data  BLOB NOT NULL
) STRICT;

CREATE TABLE series (
    id          INTEGER PRIMARY KEY,
    key         TEXT NOT NULL UNIQUE,  -- rollup.SeriesKey
    measurement TEXT NOT NULL,
    site        TEXT NOT NULL,
    tags        TEXT NOT NULL          -- JSON
) STRICT;
CREATE INDEX series_of_site ON series (site, measurement);

CREATE TABLE windows (
    level    INTEGER NOT NULL,
    series   INTEGER NOT NULL REFERENCES series (id),
    start_ms INTEGER NOT NULL,
    fields   TEXT NOT NULL,            -- JSON
    PRIMARY KEY (level, series, start_ms)
) STRICT, WITHOUT ROWID;

-- How far rollups are worked out, for each store that was ever used: another store begins anew.
CREATE TABLE rollup_frontiers (
    store       TEXT PRIMARY KEY,  -- 'embedded', or an InfluxDB's address and database
    frontier_ms INTEGER NOT NULL   -- hours before it were worked out once
) WITHOUT ROWID;

-- Hours before the frontier that got rows since.
CREATE TABLE rollup_due (
    store      TEXT NOT NULL,
    site       TEXT NOT NULL,
    hour_ms    INTEGER NOT NULL,
    generation INTEGER NOT NULL,   -- rises when more rows come
    PRIMARY KEY (store, site, hour_ms)
) WITHOUT ROWID;

-- Sites that rows came from. Those of the list are not all: a site may be taken off it while its agent goes on.
CREATE TABLE rollup_sites (
    store TEXT NOT NULL,
    site  TEXT NOT NULL,
    PRIMARY KEY (store, site)
) WITHOUT ROWID;

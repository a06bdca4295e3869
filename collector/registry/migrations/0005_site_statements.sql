-- What people said of an office, such as how many work there. Nothing is overwritten, as with device_statements.
CREATE TABLE site_statements (
    id           INTEGER PRIMARY KEY,
    site         TEXT NOT NULL,
    name         TEXT NOT NULL,
    value        TEXT NOT NULL,
    source       TEXT NOT NULL,
    said_by      TEXT NOT NULL,
    at_ms        INTEGER NOT NULL,
    withdrawn_ms INTEGER, -- NULL: in force
    withdrawn_by TEXT NOT NULL DEFAULT ''
);
CREATE INDEX site_statements_site ON site_statements (site, name);

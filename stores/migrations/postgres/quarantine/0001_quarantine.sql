-- Times are milliseconds since 1970. Migrations only add; see the README beside the folders.
-- `is_beside`: of the projection that is being built beside the current one.

-- One row: builds that do not know the migration of this number are refused.
CREATE TABLE compatibility (
    oldest_build BIGINT NOT NULL
);
INSERT INTO compatibility VALUES (1);

CREATE TABLE quarantined (
    projection      TEXT    NOT NULL,
    is_beside       BOOLEAN NOT NULL,
    subject         UUID    NOT NULL,
    topic           TEXT    NOT NULL,
    partition       BIGINT  NOT NULL,
    retry_requested BOOLEAN NOT NULL,
    failed_retries  BIGINT  NOT NULL,
    PRIMARY KEY (projection, is_beside, subject)
);

-- A record may be of several subjects, and then it is kept once for each.
CREATE TABLE quarantined_records (
    projection     TEXT    NOT NULL,
    is_beside      BOOLEAN NOT NULL,
    subject        UUID    NOT NULL,
    log_offset     BIGINT  NOT NULL,
    record_time_ms BIGINT  NOT NULL,
    record         BYTEA   NOT NULL,
    error          TEXT,
    PRIMARY KEY (projection, is_beside, subject, log_offset)
);

-- Rooms that kept records make: they may be in no other table.
CREATE TABLE quarantined_rooms (
    projection TEXT    NOT NULL,
    is_beside  BOOLEAN NOT NULL,
    subject    UUID    NOT NULL,
    log_offset BIGINT  NOT NULL,
    room_id    UUID    NOT NULL,
    PRIMARY KEY (projection, is_beside, subject, log_offset, room_id)
);

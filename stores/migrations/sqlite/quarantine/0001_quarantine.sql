-- Ids are 16-byte blobs, times milliseconds since 1970. `is_beside`: of the projection that is being
-- built beside the current one.

CREATE TABLE quarantined (
    projection      TEXT    NOT NULL,
    is_beside       BOOLEAN NOT NULL,
    subject         BLOB    NOT NULL,
    topic           TEXT    NOT NULL,
    partition       BIGINT  NOT NULL,
    retry_requested BOOLEAN NOT NULL,
    failed_retries  BIGINT  NOT NULL,
    PRIMARY KEY (projection, is_beside, subject)
) WITHOUT ROWID;

-- A record may be of several subjects, and then it is kept once for each.
CREATE TABLE quarantined_records (
    projection     TEXT    NOT NULL,
    is_beside      BOOLEAN NOT NULL,
    subject        BLOB    NOT NULL,
    log_offset     BIGINT  NOT NULL,
    record_time_ms BIGINT  NOT NULL,
    record         BLOB    NOT NULL,
    error          TEXT,
    PRIMARY KEY (projection, is_beside, subject, log_offset)
);

-- Rooms that kept records make: they may be in no other table.
CREATE TABLE quarantined_rooms (
    projection TEXT    NOT NULL,
    is_beside  BOOLEAN NOT NULL,
    subject    BLOB    NOT NULL,
    log_offset BIGINT  NOT NULL,
    room_id    BLOB    NOT NULL,
    PRIMARY KEY (projection, is_beside, subject, log_offset, room_id)
) WITHOUT ROWID;

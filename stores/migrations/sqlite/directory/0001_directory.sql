-- Ids are 16-byte blobs, times milliseconds since 1970.

-- One row a partition; moved by compare-and-set in the transaction of the rows. The schemas announced
-- so far, most of a cursor's bytes and hardly ever new, lie apart: only their number is here.
CREATE TABLE cursors (
    topic       TEXT    NOT NULL,
    partition   BIGINT  NOT NULL,
    next_offset BIGINT  NOT NULL,
    cursor      TEXT    NOT NULL,
    announced   BIGINT  NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

CREATE TABLE announced_schemas (
    topic     TEXT    NOT NULL,
    partition BIGINT  NOT NULL,
    position  BIGINT  NOT NULL,
    schema    TEXT    NOT NULL,
    PRIMARY KEY (topic, partition, position)
) WITHOUT ROWID;

CREATE TABLE accounts (
    account_id       BLOB   NOT NULL PRIMARY KEY,
    username         TEXT,
    display_name     TEXT,
    source           TEXT,
    registered_at_ms BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE rooms (
    room_id       BLOB   NOT NULL PRIMARY KEY,
    root_id       BLOB   NOT NULL,
    parent_id     BLOB,
    kind          TEXT   NOT NULL,
    access        TEXT   NOT NULL,
    history       TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    creator_id    BLOB   NOT NULL,
    created_at_ms BIGINT NOT NULL,
    last_seq      BIGINT NOT NULL,
    member_count  BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE memberships (
    room_id      BLOB   NOT NULL,
    account_id   BLOB   NOT NULL,
    role         TEXT   NOT NULL,
    joined_seq   BIGINT NOT NULL,
    joined_at_ms BIGINT NOT NULL,
    PRIMARY KEY (room_id, account_id)
) WITHOUT ROWID;
-- Clustered by room for lists of members; the other way round for an account's rooms.
CREATE INDEX memberships_by_account ON memberships (account_id, room_id);

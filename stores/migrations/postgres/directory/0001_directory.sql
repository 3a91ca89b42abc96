-- Times are milliseconds since 1970. Migrations only add; see the README beside the folders.

-- One row: builds that do not know the migration of this number are refused.
CREATE TABLE compatibility (
    oldest_build BIGINT NOT NULL
);
INSERT INTO compatibility VALUES (1);

-- One row a partition; moved by compare-and-set in the transaction of the rows. The schemas announced
-- so far, most of a cursor's bytes and hardly ever new, lie apart: only their number is here.
-- Free space in the pages keeps the versions of a row that changes with every batch on one page.
CREATE TABLE cursors (
    topic       TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset BIGINT  NOT NULL,
    cursor      TEXT    NOT NULL,
    announced   BIGINT  NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE announced_schemas (
    topic     TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    position  BIGINT  NOT NULL,
    schema    TEXT    NOT NULL,
    PRIMARY KEY (topic, partition, position)
);

CREATE TABLE accounts (
    account_id       UUID   NOT NULL PRIMARY KEY,
    username         TEXT,
    display_name     TEXT,
    source           TEXT,
    registered_at_ms BIGINT NOT NULL
);

CREATE TABLE rooms (
    room_id       UUID   NOT NULL PRIMARY KEY,
    root_id       UUID   NOT NULL,
    parent_id     UUID,
    kind          TEXT   NOT NULL,
    access        TEXT   NOT NULL,
    history       TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    creator_id    UUID   NOT NULL,
    created_at_ms BIGINT NOT NULL,
    last_seq      BIGINT NOT NULL,
    member_count  BIGINT NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE memberships (
    room_id      UUID   NOT NULL,
    account_id   UUID   NOT NULL,
    role         TEXT   NOT NULL,
    joined_seq   BIGINT NOT NULL,
    joined_at_ms BIGINT NOT NULL,
    PRIMARY KEY (room_id, account_id)
);
-- The key serves lists of members; this one an account's rooms.
CREATE INDEX memberships_by_account ON memberships (account_id, room_id);

CREATE TABLE cursors (
    topic       TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    cursor      TEXT    NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE accounts (
    account_id       BLOB PRIMARY KEY,
    username         TEXT,
    display_name     TEXT,
    source           TEXT,
    registered_at_ms INTEGER NOT NULL
);

CREATE TABLE rooms (
    room_id       BLOB PRIMARY KEY,
    root_id       BLOB    NOT NULL,
    parent_id     BLOB,
    kind          TEXT    NOT NULL,
    access        TEXT    NOT NULL,
    history       TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    creator_id    BLOB    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    last_seq      INTEGER NOT NULL,
    member_count  INTEGER NOT NULL
);

CREATE TABLE memberships (
    room_id      BLOB    NOT NULL,
    account_id   BLOB    NOT NULL,
    role         TEXT    NOT NULL,
    joined_seq   INTEGER NOT NULL,
    joined_at_ms INTEGER NOT NULL,
    PRIMARY KEY (room_id, account_id)
);
CREATE INDEX memberships_by_account ON memberships (account_id, room_id);

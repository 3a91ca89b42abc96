-- Ids are 16-byte blobs. Events and messages lie in the order in which they were written, the log's,
-- with indexes by room: a batch then touches one place of a table and, for each room in it, the end
-- of one small index entry's page. Clustered by (room_id, seq) instead, a batch over many rooms
-- rewrote a page of full rows for each of them: with 2,000 rooms at random and 1,000 messages a batch
-- 24,000 rows/s against 57,000, with 5,000 a batch 41,000 against 99,000; a page of 50 messages took
-- 11 µs from there and takes 40 µs from here. Where few rooms write, and in an import, which comes
-- room by room, rows of a room lie together anyway.

-- One row a partition; moved by compare-and-set in the transaction of the rows. The schemas announced
-- so far, most of a cursor's bytes and hardly ever new, lie apart: only their number is here.
CREATE TABLE cursors (
    topic       TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    cursor      TEXT    NOT NULL,
    announced   INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

CREATE TABLE announced_schemas (
    topic     TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    schema    TEXT    NOT NULL,
    PRIMARY KEY (topic, partition, position)
) WITHOUT ROWID;

CREATE TABLE room_events (
    room_id        BLOB    NOT NULL,
    seq            INTEGER NOT NULL,
    log_offset     INTEGER NOT NULL,
    record_time_ms INTEGER NOT NULL,
    event          BLOB    NOT NULL
);
CREATE UNIQUE INDEX room_events_by_seq ON room_events (room_id, seq);

CREATE TABLE messages (
    room_id    BLOB    NOT NULL,
    seq        INTEGER NOT NULL,
    message_id BLOB    NOT NULL,
    author_id  BLOB    NOT NULL,
    reply_to   BLOB,
    sent_at_ms INTEGER NOT NULL,
    source_id  TEXT,
    text       BLOB    NOT NULL
);
CREATE UNIQUE INDEX messages_by_seq ON messages (room_id, seq);
CREATE UNIQUE INDEX messages_by_id ON messages (room_id, message_id);

-- Intervals of membership, in seqs of the room; left_seq is null while one lasts. Small rows, read by
-- account and room: clustered so.
CREATE TABLE memberships (
    account_id BLOB    NOT NULL,
    room_id    BLOB    NOT NULL,
    joined_seq INTEGER NOT NULL,
    left_seq   INTEGER,
    PRIMARY KEY (account_id, room_id, joined_seq)
) WITHOUT ROWID;
CREATE INDEX members_now ON memberships (room_id, account_id) WHERE left_seq IS NULL;

CREATE TABLE history_rules (
    room_id  BLOB    NOT NULL,
    from_seq INTEGER NOT NULL,
    rule     TEXT    NOT NULL,
    PRIMARY KEY (room_id, from_seq)
) WITHOUT ROWID;

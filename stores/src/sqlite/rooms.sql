CREATE TABLE IF NOT EXISTS cursors (
    topic     TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    cursor    TEXT    NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS room_events (
    room_id        BLOB    NOT NULL,
    seq            INTEGER NOT NULL,
    offset         INTEGER NOT NULL,
    record_time_ms INTEGER NOT NULL,
    event          BLOB    NOT NULL,
    PRIMARY KEY (room_id, seq)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS messages (
    room_id    BLOB    NOT NULL,
    seq        INTEGER NOT NULL,
    message_id BLOB    NOT NULL,
    author_id  BLOB    NOT NULL,
    text       BLOB    NOT NULL,
    reply_to   BLOB,
    sent_at_ms INTEGER NOT NULL,
    source_id  TEXT,
    PRIMARY KEY (room_id, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS messages_by_id ON messages (room_id, message_id);

-- An interval of membership, in seqs of the room; left_seq is null while it lasts.
CREATE TABLE IF NOT EXISTS memberships (
    account_id BLOB    NOT NULL,
    room_id    BLOB    NOT NULL,
    joined_seq INTEGER NOT NULL,
    left_seq   INTEGER,
    PRIMARY KEY (account_id, room_id, joined_seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_now ON memberships (room_id, account_id) WHERE left_seq IS NULL;
CREATE INDEX IF NOT EXISTS rooms_now ON memberships (account_id, room_id) WHERE left_seq IS NULL;

CREATE TABLE IF NOT EXISTS history_rules (
    room_id  BLOB    NOT NULL,
    from_seq INTEGER NOT NULL,
    rule     TEXT    NOT NULL,
    PRIMARY KEY (room_id, from_seq)
) WITHOUT ROWID;

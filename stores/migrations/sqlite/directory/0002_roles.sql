-- Ids are 16-byte blobs. Permissions are names with blanks between.

-- The custom roles of each root.
CREATE TABLE roles (
    root_id     BLOB   NOT NULL,
    role_id     BLOB   NOT NULL,
    name        TEXT   NOT NULL,
    rank        BIGINT NOT NULL,
    permissions TEXT   NOT NULL,
    PRIMARY KEY (root_id, role_id)
) WITHOUT ROWID;

-- What a room says of a role: a built-in one's name, or a custom one's id as text.
CREATE TABLE role_overrides (
    room_id     BLOB   NOT NULL,
    role        TEXT   NOT NULL,
    root_id     BLOB   NOT NULL,
    allow_names TEXT   NOT NULL,
    deny_names  TEXT   NOT NULL,
    PRIMARY KEY (room_id, role)
) WITHOUT ROWID;
-- A role that is removed takes with it what the rooms of its tree say of it.
CREATE INDEX role_overrides_by_root ON role_overrides (root_id, role);

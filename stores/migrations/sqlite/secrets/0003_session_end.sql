-- Every process learns, again and again, which sessions have ended of late. Empty for those that live,
-- and for those that a build before this one ended.
ALTER TABLE session ADD COLUMN ended_at_ms BIGINT;
CREATE INDEX session_end ON session (ended_at_ms) WHERE ended_at_ms IS NOT NULL;

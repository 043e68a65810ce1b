-- One row for each attempt to refresh an audience, written when it has ended. What is due, what is
-- being retried and what fails is read from here, so that whichever process comes next carries on.
--
-- Realtime attempts are kept for a week, because they are many; those of a calendar for 400 days, so
-- that one that runs once a year still finds its last.

CREATE TABLE IF NOT EXISTS refreshes
(
    client_id UInt32 CODEC(ZSTD(1)),
    audience LowCardinality(String) CODEC(ZSTD(1)),
    -- the instant of the schedule that the attempt is for
    scheduled_for DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    started DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    ended DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    -- published, held (not published, as it is meant to be) or failed
    outcome LowCardinality(String) CODEC(ZSTD(1)),
    -- counts from 1; it goes up with every attempt after one that failed
    attempt UInt16 CODEC(ZSTD(1)),
    -- why it failed or was held; empty where it was published
    error String CODEC(ZSTD(3)),
    -- who asked for it
    by LowCardinality(String) CODEC(ZSTD(1)),
    -- what the stored events looked like when it began; empty where nobody needs to know
    mark String CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (client_id, audience, ended, attempt)
TTL toDateTime(ended) + toIntervalDay(7) DELETE WHERE mark != '',
    toDateTime(ended) + toIntervalDay(400) DELETE
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

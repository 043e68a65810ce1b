-- Records that were refused for what they say, to be looked at, corrected and sent again. They hold
-- no raw identifier: `record` has the key of its device for `did`. Kept for 90 days.
CREATE TABLE IF NOT EXISTS dead_letters
(
    client_id UInt32 CODEC(ZSTD(1)),
    -- begins with the time of receipt, so that ids are in order; the same letter has the same id
    id String CODEC(ZSTD(1)),
    received DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1)),
    position UInt32 CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1)),
    field String CODEC(ZSTD(1)),
    value String CODEC(ZSTD(1)),
    record String CODEC(ZSTD(3))
)
ENGINE = MergeTree
ORDER BY (client_id, id)
TTL toDateTime(received) + toIntervalDay(90)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- What became of what each source sent: a row each time some of it was stored. Kept for 90 days.
CREATE TABLE IF NOT EXISTS ingested
(
    client_id UInt32 CODEC(ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1)),
    received DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    accepted UInt64 CODEC(T64, ZSTD(1)),
    duplicate UInt64 CODEC(T64, ZSTD(1)),
    refused UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (client_id, source, received)
TTL toDateTime(received) + toIntervalDay(90)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

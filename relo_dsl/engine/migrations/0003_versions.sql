-- Versions of published audiences: who entered and who left with each, and what became of it.
--
-- Measured on 2 M members (embedded, bytes a row): device 16.00 without a codec, 15.90 with ZSTD,
-- 16.06 with LZ4: a key is a hash, and each stands once in an audience, so there is nothing to
-- compress and no codec to pay for. All other columns together take 0.1.
-- Sorted by device, because a withdrawal asks for devices in every audience, and because the
-- members of a version are then read in one ordered pass, whatever their number.

-- Only changes: who entered (1) and who left (0) with a version. Its members are the devices whose
-- latest change, in published versions up to it, is that they entered; rows of versions that were
-- never published do not count. `ordinal` is that of the version within its audience.
CREATE TABLE IF NOT EXISTS membership
(
    client_id UInt32 CODEC(ZSTD(1)),
    audience LowCardinality(String) CODEC(ZSTD(1)),
    device FixedString(16) CODEC(NONE),
    ordinal UInt32 CODEC(T64, ZSTD(1)),
    version LowCardinality(String) CODEC(ZSTD(1)),
    entered UInt8 CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (client_id, audience, device, ordinal)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- The steps of each version, one row each, never changed: prepared, published or abandoned; held
-- for one that was kept back; surplus, right and pruned for what was found or done about it later.
CREATE TABLE IF NOT EXISTS versions
(
    client_id UInt32 CODEC(ZSTD(1)),
    audience LowCardinality(String) CODEC(ZSTD(1)),
    version String CODEC(ZSTD(1)),
    step LowCardinality(String) CODEC(ZSTD(1)),
    recorded DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    ordinal UInt32 CODEC(T64, ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    built DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    expires DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    fingerprint String CODEC(ZSTD(1)),
    mask UInt8 CODEC(ZSTD(1)),
    size UInt64 CODEC(T64, ZSTD(1)),
    entered UInt64 CODEC(T64, ZSTD(1)),
    departed UInt64 CODEC(T64, ZSTD(1)),
    withheld UInt64 CODEC(T64, ZSTD(1)),
    duration_ms UInt64 CODEC(T64, ZSTD(1)),
    rows_read UInt64 CODEC(T64, ZSTD(1)),
    bytes_read UInt64 CODEC(T64, ZSTD(1)),
    author String CODEC(ZSTD(1)),
    -- 1: published although a limit spoke against it
    forced UInt8 CODEC(ZSTD(1)),
    -- 1: its set was filled anew, not changed in place
    whole UInt8 CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (client_id, audience, version, recorded)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Devices that were erased: they are never published again.
CREATE TABLE IF NOT EXISTS erasures
(
    client_id UInt32 CODEC(ZSTD(1)),
    device FixedString(16) CODEC(NONE),
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (client_id, device)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

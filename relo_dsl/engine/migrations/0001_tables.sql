-- Every statement can run again: a migration that was interrupted starts over.
--
-- Measured on 4 M generated events of 200,000 devices (embedded, bytes an event):
--   time   T64+ZSTD 4.65, Delta+ZSTD 5.41, DoubleDelta+ZSTD 5.93, ZSTD alone 6.02, and T64 is
--          also the fastest to read;
--   device 3.11 unpartitioned, 11.08 partitioned by month (every month repeats the devices), so
--          there are no partitions: retention is a TTL by row;
--   tie    8: the first bytes of a hash do not compress, and are not tried;
--   client_id, event_type, flags, carried, retain_months together below 0.01.
-- `tie` at the end of the sorting key changed neither size nor speed and is left out of it.
-- fsync: an insert that returned is on the disk.

CREATE TABLE IF NOT EXISTS events
(
    client_id UInt32 CODEC(ZSTD(1)),
    event_type LowCardinality(String) CODEC(ZSTD(1)),
    device FixedString(16) CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(T64, ZSTD(1)),
    flags UInt8 CODEC(ZSTD(1)),
    -- 1: the event brought its flags; 0: they are the device's consent at that time
    carried UInt8 CODEC(ZSTD(1)),
    retain_months UInt16 CODEC(ZSTD(1)),
    -- the first 8 bytes of the SHA-256 of the event id: orders equal times, finds duplicates
    tie UInt64 CODEC(NONE),
    -- JSON of the properties that the catalog did not name; empty where there are none
    rest String CODEC(ZSTD(3))
)
ENGINE = MergeTree
ORDER BY (client_id, event_type, device, time)
TTL time + toIntervalMonth(retain_months) + toIntervalDay(7)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row for an identify itself (name '') and one for each of its traits.
CREATE TABLE IF NOT EXISTS traits
(
    client_id UInt32 CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    device FixedString(16) CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(T64, ZSTD(1)),
    tie UInt64 CODEC(ZSTD(1)),
    flags UInt8 CODEC(ZSTD(1)),
    carried UInt8 CODEC(ZSTD(1)),
    retain_months UInt16 CODEC(ZSTD(1)),
    -- 0: the trait was set to null
    present UInt8 CODEC(ZSTD(1)),
    v_string LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    v_number Nullable(Decimal(38, 9)) CODEC(ZSTD(1)),
    v_boolean Nullable(Bool) CODEC(ZSTD(1)),
    -- tenths of milliseconds: a local date is its midnight UTC and one tenth
    v_time Nullable(DateTime64(4, 'UTC')) CODEC(ZSTD(1)),
    -- latitude and longitude; empty where there is none
    v_point Array(Float64) CODEC(ZSTD(1)),
    v_strings Array(LowCardinality(String)) CODEC(ZSTD(1)),
    v_numbers Array(Decimal(38, 9)) CODEC(ZSTD(1)),
    -- the value as JSON, whatever its type
    value String CODEC(ZSTD(3))
)
ENGINE = MergeTree
ORDER BY (client_id, name, device, time, tie)
TTL time + toIntervalMonth(retain_months) + toIntervalDay(7)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS consent
(
    client_id UInt32 CODEC(ZSTD(1)),
    device FixedString(16) CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(T64, ZSTD(1)),
    flags UInt8 CODEC(ZSTD(1)),
    tie UInt64 CODEC(NONE)
)
ENGINE = MergeTree
ORDER BY (client_id, device, time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS scores
(
    client_id UInt32 CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    device FixedString(16) CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(T64, ZSTD(1)),
    tie UInt64 CODEC(ZSTD(1)),
    flags UInt8 CODEC(ZSTD(1)),
    carried UInt8 CODEC(ZSTD(1)),
    value Decimal(38, 9) CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (client_id, name, device, time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- A list is uploaded whole, in one insert, under a new version; the highest version is the list.
-- A row whose device is 16 zero bytes marks the version as there, so that a list may be empty.
CREATE TABLE IF NOT EXISTS lists
(
    client_id UInt32 CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    version UInt64 CODEC(ZSTD(1)),
    device FixedString(16) CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (client_id, name, version, device)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

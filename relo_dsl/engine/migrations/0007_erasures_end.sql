-- Whether the erasure of a device was done to its end: a second row says so. Those that are there
-- already were.
ALTER TABLE erasures ADD COLUMN IF NOT EXISTS finished UInt8 DEFAULT 1 CODEC(ZSTD(1));

-- Consent that was changed in part: the bits that went and came. `flags` are what that made of the
-- device's flags, worked out again where something older arrives later. Both 0: `flags` were said.
ALTER TABLE consent
    ADD COLUMN IF NOT EXISTS cleared UInt8 DEFAULT 0 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS granted UInt8 DEFAULT 0 CODEC(ZSTD(1));

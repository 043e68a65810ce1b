-- An `identify` is no event: no retention ends it, and no TTL may drop its traits.
--
-- A TTL that is not there cannot be removed, so one that drops nothing comes first: then both
-- statements can run again, and whatever stops between them loses no row.

ALTER TABLE traits MODIFY TTL time DELETE WHERE false SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE traits REMOVE TTL;

ALTER TABLE traits DROP COLUMN IF EXISTS retain_months;

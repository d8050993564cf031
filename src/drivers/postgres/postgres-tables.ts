/**
 * What weft has in a database, in a schema of its own:
 *
 *     head       a row a system: the count of its changes. Who changes something locks it first, so changes become visible in the order in which they are counted, and whoever
 *                has read up to a count has missed nothing before. `epoch` names the data: with others of the same system they were lost
 *     endpoint   a row an endpoint; `value` null: it was removed, which is kept for ten minutes for who follows. `floor` of head: what was removed up to there is forgotten
 *     plane      a row a control plane, that counts as long as it lives
 *     item       keys and values
 *
 * Each change is one call of a function: one round trip, one transaction. It says on the channel "weft" what has changed.
 */
export function layoutOf(schema: string): string {
  return `
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('weft layout'));
CREATE SCHEMA IF NOT EXISTS ${schema};
CREATE TABLE IF NOT EXISTS ${schema}.head (
  system text PRIMARY KEY, epoch text NOT NULL DEFAULT md5(random()::text || clock_timestamp()::text),
  version bigint NOT NULL DEFAULT 0, floor bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS ${schema}.endpoint (
  system text, id text, version bigint NOT NULL, owner text NOT NULL, value text, removed_at timestamptz,
  PRIMARY KEY (system, id)
);
CREATE INDEX IF NOT EXISTS endpoint_version ON ${schema}.endpoint (system, version);
CREATE TABLE IF NOT EXISTS ${schema}.plane (system text, plane text, beat bigint NOT NULL, PRIMARY KEY (system, plane));
CREATE TABLE IF NOT EXISTS ${schema}.item (
  system text, key text COLLATE "C", version text NOT NULL, value bytea NOT NULL, PRIMARY KEY (system, key)
);

CREATE OR REPLACE FUNCTION ${schema}.lock_head(of_system text) RETURNS ${schema}.head LANGUAGE plpgsql AS $$
DECLARE
  found_head ${schema}.head;
BEGIN
  SELECT * INTO found_head FROM ${schema}.head h WHERE h.system = of_system FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO ${schema}.head (system) VALUES (of_system) ON CONFLICT DO NOTHING;
    SELECT * INTO found_head FROM ${schema}.head h WHERE h.system = of_system FOR UPDATE;
  END IF;
  RETURN found_head;
END $$;

CREATE OR REPLACE FUNCTION ${schema}.change_endpoints(of_system text, changes json)
RETURNS TABLE (change_number int, made_version bigint) LANGUAGE plpgsql AS $$
DECLARE
  at bigint := (${schema}.lock_head(of_system)).version;
  began bigint := at;
  change record;
  there ${schema}.endpoint;
BEGIN
  FOR change IN
    SELECT * FROM json_to_recordset(changes) AS c(number int, id text, owner text, expected bigint, value text) ORDER BY c.number
  LOOP
    SELECT * INTO there FROM ${schema}.endpoint e WHERE e.system = of_system AND e.id = change.id AND e.value IS NOT NULL;
    change_number := change.number;
    made_version := NULL;
    IF change.value IS NULL THEN
      IF there.owner = change.owner THEN
        at := at + 1;
        made_version := at;
        UPDATE ${schema}.endpoint e SET version = at, value = NULL, removed_at = clock_timestamp()
          WHERE e.system = of_system AND e.id = change.id;
      END IF;
    ELSIF coalesce(there.version, 0) = change.expected THEN
      at := at + 1;
      made_version := at;
      INSERT INTO ${schema}.endpoint AS e (system, id, version, owner, value)
        VALUES (of_system, change.id, at, change.owner, change.value)
        ON CONFLICT (system, id) DO UPDATE
        SET version = excluded.version, owner = excluded.owner, value = excluded.value, removed_at = NULL;
    END IF;
    RETURN NEXT;
  END LOOP;
  IF at > began THEN
    UPDATE ${schema}.head h SET version = at WHERE h.system = of_system;
    PERFORM pg_notify('weft', 'endpoints ' || of_system);
  END IF;
END $$;

CREATE OR REPLACE FUNCTION ${schema}.forget_removed(of_system text, older interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  highest bigint;
BEGIN
  PERFORM ${schema}.lock_head(of_system);
  WITH gone AS (
    DELETE FROM ${schema}.endpoint e WHERE e.system = of_system AND e.value IS NULL AND e.removed_at < clock_timestamp() - older
    RETURNING e.version
  ) SELECT max(gone.version) INTO highest FROM gone;
  UPDATE ${schema}.head h SET floor = greatest(h.floor, highest) WHERE h.system = of_system AND highest IS NOT NULL;
END $$;

CREATE OR REPLACE FUNCTION ${schema}.change_item(
  of_system text, of_key text, new_value bytea, expected text, OUT done boolean, OUT made_version text
) LANGUAGE plpgsql AS $$
DECLARE
  head ${schema}.head := ${schema}.lock_head(of_system);
  there text := (SELECT i.version FROM ${schema}.item i WHERE i.system = of_system AND i.key = of_key);
BEGIN
  done := expected = 'any' OR coalesce(there, 'absent') = expected;
  IF NOT done OR (new_value IS NULL AND there IS NULL) THEN
    RETURN;
  END IF;
  IF new_value IS NULL THEN
    DELETE FROM ${schema}.item i WHERE i.system = of_system AND i.key = of_key;
  ELSE
    made_version := head.epoch || '.' || (head.version + 1);
    INSERT INTO ${schema}.item AS i (system, key, version, value) VALUES (of_system, of_key, made_version, new_value)
      ON CONFLICT (system, key) DO UPDATE SET version = excluded.version, value = excluded.value;
  END IF;
  UPDATE ${schema}.head h SET version = h.version + 1 WHERE h.system = of_system;
  PERFORM pg_notify('weft', 'item ' || of_system || ' ' || of_key);
END $$;

CREATE TABLE IF NOT EXISTS ${schema}.layout_1 ();
COMMIT;`;
}

/** There when layoutOf() was carried out. */
export function layoutMark(schema: string): string {
  return `${schema}.layout_1`;
}

-- The table of postgresStore(), as its migrate() makes it, schema version 1. For UNLOGGED, other names or another schema,
-- change them here, and give the same to postgresStore(). It may run again, and in several processes at once.
BEGIN;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SELECT pg_advisory_xact_lock(7236842270182404);
CREATE TABLE IF NOT EXISTS "public".holdfast_schema (table_name text PRIMARY KEY, version integer NOT NULL);
DO $$ BEGIN
  IF (SELECT version FROM "public".holdfast_schema WHERE table_name = 'holdfast_sessions') > 1 THEN
    RAISE EXCEPTION 'newer than 1' USING ERRCODE = 'HF001';
  END IF;
  IF current_setting('server_encoding') <> 'UTF8' THEN
    RAISE EXCEPTION 'the database must have the encoding UTF8' USING ERRCODE = 'HF002';
  END IF;
END $$;
CREATE TABLE IF NOT EXISTS "public"."holdfast_sessions" (
  id text COLLATE "C" PRIMARY KEY,
  version bigint NOT NULL,
  payload text NOT NULL,
  idle_deadline bigint NOT NULL,
  absolute_deadline bigint NOT NULL,
  user_id text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX IF NOT EXISTS "holdfast_sessions_by_deadline" ON "public"."holdfast_sessions" (idle_deadline);
CREATE INDEX IF NOT EXISTS "holdfast_sessions_by_user" ON "public"."holdfast_sessions" (user_id) WHERE user_id IS NOT NULL;
INSERT INTO "public".holdfast_schema VALUES ('holdfast_sessions', 1)
  ON CONFLICT (table_name) DO UPDATE SET version = excluded.version;
COMMIT;

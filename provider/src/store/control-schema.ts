/**
 * The control schema, as a list of steps: a store made by an earlier version of the package is brought up to date by the
 * steps that it lacks. A step that has been published is never changed.
 */
export const controlSchema = "pgmigration";

export const controlSchemaSteps: readonly string[] = [
  `
CREATE TABLE pgmigration.migration (
  name text PRIMARY KEY,
  spec jsonb NOT NULL,
  spec_revision bigint NOT NULL DEFAULT 1,
  state text NOT NULL DEFAULT 'InProgress',
  sub_state text NOT NULL DEFAULT 'PerformingPreRequisiteSteps',
  reached_sub_state text,
  error text,
  generation bigint NOT NULL DEFAULT 0,
  worker jsonb,
  source_server jsonb,
  target_server jsonb,
  validation_started_at timestamptz,
  validation_ended_at timestamptz,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz
);
COMMENT ON TABLE pgmigration.migration IS 'One row a migration into this server: what is wanted (without secrets) and what was reached';

CREATE TABLE pgmigration.database (
  migration text NOT NULL REFERENCES pgmigration.migration ON DELETE CASCADE,
  name text NOT NULL,
  target_name text NOT NULL,
  phase text NOT NULL DEFAULT 'queued',
  state text NOT NULL DEFAULT 'InProgress',
  message text,
  being_created boolean NOT NULL DEFAULT false,
  target_oid bigint,
  slot text,
  publications text[] NOT NULL DEFAULT '{}',
  deferred_plan jsonb,
  follow jsonb,
  started_at timestamptz,
  ended_at timestamptz,
  PRIMARY KEY (migration, name)
);
COMMENT ON COLUMN pgmigration.database.slot IS 'Set before the slot is made and cleared after it is dropped: what must be cleaned up on the source';
COMMENT ON COLUMN pgmigration.database.deferred_plan IS 'Online: the entries of the dump that run only after the cutover';

CREATE TABLE pgmigration.unit (
  migration text NOT NULL,
  database text NOT NULL,
  id int NOT NULL,
  kind text NOT NULL CHECK (kind IN ('table', 'index')),
  table_schema text NOT NULL,
  table_name text NOT NULL,
  entry text NOT NULL,
  condition text,
  state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'loading', 'completed', 'errored')),
  generation bigint,
  bytes_total bigint NOT NULL DEFAULT 0,
  rows_estimated bigint NOT NULL DEFAULT 0,
  bytes_copied bigint NOT NULL DEFAULT 0,
  rows_copied bigint NOT NULL DEFAULT 0,
  error text,
  started_at timestamptz,
  ended_at timestamptz,
  PRIMARY KEY (migration, database, id),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);
COMMENT ON COLUMN pgmigration.unit.condition IS 'For one of several parts of a table: which of its rows';
CREATE INDEX unit_open ON pgmigration.unit (migration, database, kind, id) WHERE state = 'queued';
CREATE INDEX unit_table ON pgmigration.unit (migration, database, table_schema, table_name);

CREATE TABLE pgmigration.comparison (
  migration text NOT NULL,
  database text NOT NULL,
  table_schema text NOT NULL,
  table_name text NOT NULL,
  source_rows bigint NOT NULL,
  target_rows bigint NOT NULL,
  equal boolean NOT NULL,
  differences jsonb,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (migration, database, table_schema, table_name),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);

CREATE TABLE pgmigration.finding (
  migration text NOT NULL REFERENCES pgmigration.migration ON DELETE CASCADE,
  id bigint GENERATED ALWAYS AS IDENTITY,
  database text,
  type text NOT NULL,
  state text NOT NULL,
  code text,
  object text,
  object_type text,
  message text NOT NULL,
  remedy text,
  PRIMARY KEY (migration, id)
);

CREATE TABLE pgmigration.event (
  migration text NOT NULL REFERENCES pgmigration.migration ON DELETE CASCADE,
  id bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  database text,
  level text NOT NULL,
  message text NOT NULL,
  PRIMARY KEY (migration, id)
);

CREATE TABLE pgmigration.request (
  migration text NOT NULL REFERENCES pgmigration.migration ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('cutover', 'cancel', 'stop')),
  database text NOT NULL DEFAULT '',
  requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (migration, kind, database)
);
COMMENT ON COLUMN pgmigration.request.database IS 'Empty: all databases of the migration';

CREATE TABLE pgmigration.cutover_step (
  migration text NOT NULL REFERENCES pgmigration.migration ON DELETE CASCADE,
  id bigint GENERATED ALWAYS AS IDENTITY,
  database text NOT NULL,
  step text NOT NULL,
  seconds double precision NOT NULL,
  PRIMARY KEY (migration, id)
);
`,
  `
CREATE TABLE pgmigration.sample (
  migration text NOT NULL REFERENCES pgmigration.migration ON DELETE CASCADE,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  kept_until timestamptz NOT NULL,
  bytes_copied bigint NOT NULL,
  bytes_total bigint NOT NULL,
  lag_bytes bigint NOT NULL,
  latency_seconds double precision NOT NULL,
  PRIMARY KEY (migration, at)
);
COMMENT ON TABLE pgmigration.sample IS 'How throughput and lag went: every two seconds of late, every minute of the last day, every hour before';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN verification jsonb;
COMMENT ON COLUMN pgmigration.database.verification IS 'Online: the last comparison at one point of both sides, and what asked for it';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN fence jsonb;
COMMENT ON COLUMN pgmigration.database.fence IS 'Settings of the source that a fence covers: set before it is put up and cleared after it is taken down';
`,
  `
ALTER TABLE pgmigration.unit ADD small boolean NOT NULL DEFAULT false, ADD ready boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN pgmigration.unit.small IS 'A small table, or an index of one: claimed together with others';
COMMENT ON COLUMN pgmigration.unit.ready IS 'False for an index until its table is complete';
DROP INDEX pgmigration.unit_open;
CREATE INDEX unit_open ON pgmigration.unit (migration, database, kind, id) WHERE state = 'queued' AND ready;
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN rollback_replication jsonb;
COMMENT ON COLUMN pgmigration.database.rollback_replication IS 'How the stream back to the source stands: set before it is made and cleared after it is removed';
`,
  `
ALTER TABLE pgmigration.comparison ADD COLUMN compared_by text CHECK (compared_by IN ('content', 'counts'));
COMMENT ON COLUMN pgmigration.comparison.compared_by IS 'Every stored value, or only the number of rows; null where an earlier version has not said';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN shared_copy jsonb, ADD COLUMN copy_state jsonb;
COMMENT ON COLUMN pgmigration.database.shared_copy IS 'The base copy that other workers may share now, and that a successor may go on with';
COMMENT ON COLUMN pgmigration.database.copy_state IS 'What they need for that';
ALTER TABLE pgmigration.unit ADD claimed_by text, ADD session_pid int, ADD session_since text, ADD target_xid bigint,
  ADD build jsonb, ADD left_out jsonb, ADD returned boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN pgmigration.unit.session_pid IS 'The session on the target that does it, with session_since, its backend_start';
COMMENT ON COLUMN pgmigration.unit.target_xid IS 'The transaction on the target that does it, from right before its COMMIT: what becomes of that is what becomes of the unit';
COMMENT ON COLUMN pgmigration.unit.returned IS 'A worker that is gone had begun it';
CREATE INDEX unit_loading ON pgmigration.unit (migration, database) WHERE state = 'loading';
CREATE TABLE pgmigration.held_snapshot (
  migration text NOT NULL,
  database text NOT NULL,
  copy text NOT NULL,
  snapshot text NOT NULL,
  PRIMARY KEY (migration, database, snapshot),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);
COMMENT ON TABLE pgmigration.held_snapshot IS 'Where a base copy''s snapshot lives on, should the session that exported it end';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN retained_wal jsonb;
COMMENT ON COLUMN pgmigration.database.retained_wal IS 'Bytes of WAL that the source keeps for the slot, and how many it may keep';
`,
  `
ALTER TABLE pgmigration.unit ADD late boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN pgmigration.unit.late IS 'A table of which the rows need those of others: it waits for all tables that are not late';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN target_fence jsonb;
COMMENT ON COLUMN pgmigration.database.target_fence IS 'As fence, of a fence around the target, put up when it is returned from';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN comparing jsonb;
COMMENT ON COLUMN pgmigration.database.comparing IS 'How far the comparison is that runs now; null while none does';
`,
  `
ALTER TABLE pgmigration.migration ADD COLUMN owner jsonb;
COMMENT ON COLUMN pgmigration.migration.owner IS 'The Pulumi resource that this record belongs to, and the token that proves it';
`,
];

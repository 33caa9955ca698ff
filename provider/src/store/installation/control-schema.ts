/**
 * The steps that create the control schema. A store of an earlier version is upgraded by the steps that it lacks. Never
 * change a published step.
 */
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
COMMENT ON TABLE pgmigration.migration IS 'One row per migration into this server: its spec (without secrets) and its state';

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
COMMENT ON COLUMN pgmigration.database.slot IS 'Set before the slot is created, cleared after it is dropped: objects to remove on the source';
COMMENT ON COLUMN pgmigration.database.deferred_plan IS 'Online: the entries of the dump that run only after the cutover';

CREATE TABLE pgmigration.copy_task (
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
COMMENT ON COLUMN pgmigration.copy_task.condition IS 'SQL condition on the rows, if the table is copied in parts';
CREATE INDEX copy_task_open ON pgmigration.copy_task (migration, database, kind, id) WHERE state = 'queued';
CREATE INDEX copy_task_table ON pgmigration.copy_task (migration, database, table_schema, table_name);

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
COMMENT ON TABLE pgmigration.sample IS 'History of throughput and lag: recent samples every two seconds, then one per minute for a day, then one per hour';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN verification jsonb;
COMMENT ON COLUMN pgmigration.database.verification IS 'Online: the last comparison at one LSN, and what requested it';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN fence jsonb;
COMMENT ON COLUMN pgmigration.database.fence IS 'Settings of the source that the fence replaced: set before it is raised, cleared after it is removed';
`,
  `
ALTER TABLE pgmigration.copy_task ADD small boolean NOT NULL DEFAULT false, ADD ready boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN pgmigration.copy_task.small IS 'A small table, or an index of one. Small tasks are claimed together';
COMMENT ON COLUMN pgmigration.copy_task.ready IS 'False for an index until its table is complete';
DROP INDEX pgmigration.copy_task_open;
CREATE INDEX copy_task_open ON pgmigration.copy_task (migration, database, kind, id) WHERE state = 'queued' AND ready;
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN rollback_replication jsonb;
COMMENT ON COLUMN pgmigration.database.rollback_replication IS 'State of the rollback replication: set before it is created, cleared after it is removed';
`,
  `
ALTER TABLE pgmigration.comparison ADD COLUMN compared_by text CHECK (compared_by IN ('content', 'counts'));
COMMENT ON COLUMN pgmigration.comparison.compared_by IS 'Every stored value, or only the number of rows';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN shared_copy jsonb, ADD COLUMN copy_state jsonb;
COMMENT ON COLUMN pgmigration.database.shared_copy IS 'The initial copy that helpers may share now, and that a successor may continue';
COMMENT ON COLUMN pgmigration.database.copy_state IS 'Details for helpers and successors';
ALTER TABLE pgmigration.copy_task ADD claimed_by text, ADD session_pid int, ADD session_since text, ADD target_xid bigint,
  ADD build jsonb, ADD skipped jsonb, ADD returned boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN pgmigration.copy_task.session_pid IS 'Process ID of the target session that executes the task; session_since is its backend_start';
COMMENT ON COLUMN pgmigration.copy_task.target_xid IS 'The target''s transaction that completes the task, recorded before its COMMIT. Its outcome is the outcome of the task';
COMMENT ON COLUMN pgmigration.copy_task.returned IS 'The task was returned to the queue because its worker died';
CREATE INDEX copy_task_loading ON pgmigration.copy_task (migration, database) WHERE state = 'loading';
CREATE TABLE pgmigration.held_snapshot (
  migration text NOT NULL,
  database text NOT NULL,
  copy text NOT NULL,
  snapshot text NOT NULL,
  PRIMARY KEY (migration, database, snapshot),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);
COMMENT ON TABLE pgmigration.held_snapshot IS 'Sessions that hold a copy''s snapshot besides the session that exported it';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN retained_wal jsonb;
COMMENT ON COLUMN pgmigration.database.retained_wal IS 'Bytes of WAL that the source retains for the slot, and the limit';
`,
  `
ALTER TABLE pgmigration.copy_task ADD deferred boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN pgmigration.copy_task.deferred IS 'The rows require rows of other tables: it waits for all tables that are not deferred';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN target_fence jsonb;
COMMENT ON COLUMN pgmigration.database.target_fence IS 'Settings of the target that the fence of a return replaced';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN comparing jsonb;
COMMENT ON COLUMN pgmigration.database.comparing IS 'Progress of the running comparison; otherwise null';
`,
  `
ALTER TABLE pgmigration.migration ADD COLUMN owner jsonb;
COMMENT ON COLUMN pgmigration.migration.owner IS 'The owner of the record, and the token that proves the ownership';
`,
  `
ALTER TABLE pgmigration.copy_task ADD postponed text;
COMMENT ON COLUMN pgmigration.copy_task.postponed IS 'Why the rows were not copied under the snapshot: the table joins the stream later';
`,
  `
ALTER TABLE pgmigration.database ADD snapshot_lsn text, ADD cutover_lsn text;
COMMENT ON COLUMN pgmigration.database.snapshot_lsn IS 'Position in the source''s WAL at which the rows were read';
COMMENT ON COLUMN pgmigration.database.cutover_lsn IS 'Position in the source''s WAL up to which changes were applied';
ALTER TABLE pgmigration.comparison ADD lsn text,
  ADD occasion text CHECK (occasion IN ('copy', 'cutover', 'verification', 'return'));
COMMENT ON COLUMN pgmigration.comparison.lsn IS 'Position in the WAL of the source, or at a return of the target. Null after an offline copy: snapshot_lsn';
ALTER TABLE pgmigration.finding ADD at timestamptz NOT NULL DEFAULT clock_timestamp(), ADD during text;
COMMENT ON COLUMN pgmigration.finding.during IS 'Substate of the migration at that time';
CREATE TABLE pgmigration.earlier_finding (
  migration text NOT NULL REFERENCES pgmigration.migration ON DELETE CASCADE,
  key text NOT NULL,
  database text,
  type text NOT NULL,
  state text NOT NULL,
  code text,
  object text,
  object_type text,
  message text NOT NULL,
  remedy text,
  at timestamptz NOT NULL,
  during text,
  withdrawn_by text NOT NULL CHECK (withdrawn_by IN ('attempt', 'check')),
  withdrawn_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (migration, key)
);
COMMENT ON TABLE pgmigration.earlier_finding IS 'Findings of earlier attempts and checks';
CREATE TABLE pgmigration.state_change (
  migration text NOT NULL REFERENCES pgmigration.migration ON DELETE CASCADE,
  id bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  database text,
  state text NOT NULL,
  sub_state text NOT NULL,
  error text,
  PRIMARY KEY (migration, id)
);
COMMENT ON COLUMN pgmigration.state_change.database IS 'Null: the state of the whole migration. sub_state is the phase of a database';
CREATE TABLE pgmigration.sequence_value (
  migration text NOT NULL,
  database text NOT NULL,
  schema text NOT NULL,
  name text NOT NULL,
  last_value bigint NOT NULL,
  is_called boolean NOT NULL,
  set_on text NOT NULL CHECK (set_on IN ('source', 'target')),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (migration, database, schema, name),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);
COMMENT ON TABLE pgmigration.sequence_value IS 'The last values that were carried to the other server';
CREATE TABLE pgmigration.omitted_object (
  migration text NOT NULL,
  database text NOT NULL,
  key text NOT NULL,
  object_type text,
  object text NOT NULL,
  code text,
  reason text NOT NULL,
  remedy text,
  PRIMARY KEY (migration, database, key),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);
COMMENT ON TABLE pgmigration.omitted_object IS 'Objects of the source that the copy did not create on the target';
`,
  `
CREATE TABLE pgmigration.table_changes (
  migration text NOT NULL,
  database text NOT NULL,
  table_schema text NOT NULL,
  table_name text NOT NULL,
  inserts bigint NOT NULL,
  updates bigint NOT NULL,
  deletes bigint NOT NULL,
  PRIMARY KEY (migration, database, table_schema, table_name),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);
COMMENT ON TABLE pgmigration.table_changes IS 'Changes that are applied since the copy, as the database of the target counts them';
`,
  `
CREATE TABLE pgmigration.target_check (
  migration text PRIMARY KEY REFERENCES pgmigration.migration ON DELETE CASCADE,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  is_complete boolean NOT NULL,
  problems jsonb NOT NULL
);
COMMENT ON TABLE pgmigration.target_check IS 'The last check of the target by pg-migration check-target';
`,
  `
ALTER TABLE pgmigration.copy_task ADD error_code text;
COMMENT ON COLUMN pgmigration.copy_task.error_code IS 'SQLSTATE of the error; empty if it is not that of a server';
`,
  `
CREATE TABLE pgmigration.comparison_task (
  migration text NOT NULL,
  database text NOT NULL,
  id int NOT NULL,
  copy text NOT NULL,
  tables jsonb NOT NULL,
  bytes bigint NOT NULL,
  claimed_by text,
  results jsonb,
  PRIMARY KEY (migration, database, id),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);
COMMENT ON TABLE pgmigration.comparison_task IS 'Groups of tables that the workers of a shared copy compare under its snapshot';
COMMENT ON COLUMN pgmigration.comparison_task.results IS 'Null until the group is compared. Only reads: a group may be compared again';
`,
  `
CREATE TABLE pgmigration.shared_comparison (
  migration text NOT NULL,
  database text NOT NULL,
  id text NOT NULL,
  generation bigint NOT NULL,
  description jsonb NOT NULL,
  target_rests_at timestamptz,
  PRIMARY KEY (migration, database),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);
COMMENT ON TABLE pgmigration.shared_comparison IS 'The comparison that helpers may share now, under the snapshots of its leader';
COMMENT ON COLUMN pgmigration.shared_comparison.target_rests_at IS 'From then on the target is read, and the time limit of a cutover runs';
COMMENT ON COLUMN pgmigration.comparison_task.copy IS 'shared_comparison.id';
COMMENT ON TABLE pgmigration.comparison_task IS 'Tables, or parts of one table, that one process compares';
CREATE TABLE pgmigration.helper (
  migration text NOT NULL REFERENCES pgmigration.migration ON DELETE CASCADE,
  worker text NOT NULL,
  engine_version text NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (migration, worker)
);
COMMENT ON TABLE pgmigration.helper IS 'Workers that stand by to share comparisons';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN awaited_window text;
COMMENT ON COLUMN pgmigration.database.awaited_window IS 'The cutover window that the database waits for, by the clock of the worker';
`,
  `
CREATE TABLE pgmigration.lend_stream (
  migration text NOT NULL,
  database text NOT NULL,
  borrower text NOT NULL,
  pool text NOT NULL,
  engine_version text NOT NULL,
  state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'lent', 'ended')),
  term bigint,
  skip jsonb,
  start_lsn text,
  applied_lsn text,
  lag_bytes float8 NOT NULL DEFAULT 0,
  pending_transactions int NOT NULL DEFAULT 0,
  error text,
  reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (migration, database),
  FOREIGN KEY (migration, database) REFERENCES pgmigration.database ON DELETE CASCADE
);
COMMENT ON TABLE pgmigration.lend_stream IS 'Streams that workers of other pool processes ask for, or apply for the worker of the migration';
COMMENT ON COLUMN pgmigration.lend_stream.term IS 'Rises when the stream is lent or taken back. Changes with an older term are refused';
`,
  `
ALTER TABLE pgmigration.database ADD COLUMN overwritable_oid bigint;
COMMENT ON COLUMN pgmigration.database.overwritable_oid IS 'The database of the target that existed when overwriteDbsInTarget was set, or when the cancellation was withdrawn';
`,
];

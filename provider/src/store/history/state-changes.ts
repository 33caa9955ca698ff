import { holdsLease } from "../lease.js";

/** Statement that records a change of the migration's state: `$3` state, `$4` substate, `$5` error. Repeated states are omitted. */
export const recordState = `
  INSERT INTO pgmigration.state_change (migration, state, sub_state, error)
  SELECT name, $3, $4, $5 FROM pgmigration.migration
   WHERE name = $1 AND generation = $2
     AND (state, sub_state, coalesce(error, '')) IS DISTINCT FROM ($3, $4, coalesce($5, ''))`;

/** Statement that records a change of a database's state: `$3` name, `$4` phase, `$5` state, `$7` message. */
export const recordDatabaseState = `
  INSERT INTO pgmigration.state_change (migration, database, state, sub_state, error)
  SELECT migration, name, coalesce($5, state), coalesce($4, phase), CASE WHEN $5 = 'Failed' THEN $7 END
    FROM pgmigration.database
   WHERE migration = $1 AND name = $3 AND ${holdsLease}
     AND (coalesce($5, state), coalesce($4, phase)) IS DISTINCT FROM (state, phase)`;

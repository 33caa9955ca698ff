import type { Finding } from "../../findings.js";
import { specOf, type Inputs } from "../../inputs/inputs.js";
import { existingDatabase } from "../../store/installation/records-database.js";
import { validate } from "../../validation/validate.js";

/** Validates a migration that is not recorded. Nothing changes except for a temporary database on the target. */
export const validateInputs = (inputs: Inputs): Promise<Finding[]> =>
  validate({
    // Nothing is recorded: any existing database serves.
    spec: { ...specOf(inputs), maintenanceDatabase: existingDatabase(inputs) },
    source: inputs.source,
    target: inputs.target,
    ownDatabases: new Set(),
    occupied: new Map(),
  });

/** Records serve Pulumi programs and this command. Their texts name properties and Pulumi's commands: these are ours. */
const terms: readonly (readonly [RegExp, string])[] = [
  [/\b(?:run )?pulumi (?:up|preview)\b/g, "pg-migration update"],
  [/\b(?:run )?pulumi destroy\b/g, "pg-migration delete"],
  [/\b(?:run )?pulumi refresh\b/g, "pg-migration show"],
  [/\b(?:set )?overwriteDbsInTarget(?: to true|: true)?/g, "--overwrite"],
  [/\b(?:set )?triggerCutover(?: to true|: true)?/g, "--cutover"],
  [/\b(?:set )?setupLogicalReplicationOnSourceDbIfNeeded(?: to true|: true)?/g, "--setup-replication"],
  [/\bcancel (?:set )?to true|\bcancel: true/g, "--cancel"],
  [/\bset rollback to return, or to drop\b/g, "--rollback return, or --rollback drop"],
  [/\bset rollback to (keep|return|drop)\b/g, "--rollback $1"],
  [/\b(?:set )?startDataMigration(?: to true|: true)?/g, "--start"],
  [/\bmigrationWindowStartTimeInUtc\b/g, "--window-start"],
  [/\bmigrationWindowEndTimeInUtc\b/g, "--window-end"],
  [/\b(?:set )?cutoverWindow(?: to)?\b/g, "--cutover-window"],
  [/\b(?:set )?schemaChanges(?: to (carry|pause)|: "(carry|pause)")?/g, "--schema-changes $1$2"],
  [/\bmaxCopyRate\b/g, "--max-copy-rate"],
  [/\bapplySessions\b/g, "--apply-sessions"],
  [/\bmaxReplicaLag\b/g, "--max-replica-lag"],
  [/\bdbsToTriggerCutoverOn\b/g, "--cutover"],
  [/\bdbsToCancelMigrationOn\b/g, "--cancel"],
  [/\b(?:set )?verifyNow\b/g, "--verify-now"],
  [/\bdbsToMigrate\b/g, "--databases"],
  [/\bmigrationMode\b/g, "--migration-mode"],
  [/\bmigrationOption\b/g, "--migration-option"],
  [/\bmigrationName\b/g, "--name"],
  [/\bsource\.(host|port|user)\b/g, "--source-$1"],
  [/\btarget\.(host|port|user)\b/g, "--$1"],
  [/\b(?:set )?sslMode\b/g, "--sslmode or --source-sslmode"],
  [/\bsslRootCert\b/g, "--sslrootcert or --source-sslrootcert"],
];

/**
 * A message or remedy in the words of the command. A property without a flag keeps its name: it goes into the
 * `--properties` file.
 *
 * @example inCommandTerms("set overwriteDbsInTarget to true") === "--overwrite"
 */
export const inCommandTerms = (text: string): string =>
  text
    // The place of a damaged value in the records keeps its name: `spec.migrationName`.
    .split(/(\bspec(?:\.\w+)+)/)
    .map((part, index) => (index % 2 === 1 ? part : translated(part)))
    .join("");

const translated = (text: string): string =>
  terms.reduce((former, [pattern, term]) => former.replace(pattern, term), text);

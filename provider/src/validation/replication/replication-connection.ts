import { connect } from "../../postgres/connection/connect.js";
import type { Finding } from "../../findings.js";
import { withAccessCommands } from "../../platforms/let-in.js";
import { connectionFinding } from "../connection-finding.js";
import type { ValidationContext } from "../context.js";

/**
 * Replication connections have their own rules: before 10, pg_hba.conf has to contain `replication`, and many poolers
 * do not support them. Only opening one in each database shows whether it works.
 */
export async function replicationConnections({
  source,
  sources,
  sourcePlatform,
}: ValidationContext): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [database, session] of sources) {
    try {
      await (await connect(source, { database, purpose: "validate", replication: true })).end();
    } catch (error) {
      // If the whole server is gone, this fails as well, and the validation is retried.
      await session.query("SELECT");
      const where = { database, type: "ServerParametersValidation", object: database, objectType: "Database" } as const;
      findings.push(
        connectionFinding(withAccessCommands(error, source, sourcePlatform), "no connection for replication", where),
      );
    }
  }
  return findings;
}

import { connect } from "../../postgres/connection/connect.js";
import type { Finding } from "../../findings.js";
import { connectionFinding } from "../connection-finding.js";
import type { ValidationContext } from "../context.js";

/**
 * A connection for replication is let in by rules of its own: before 10, pg_hba.conf has to name `replication`, and many
 * poolers know none. Tried in each database, since nothing but trying answers that.
 */
export async function replicationConnections({ source, sources }: ValidationContext): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const database of sources.keys()) {
    try {
      await (await connect(source, { database, purpose: "validate", replication: true })).end();
    } catch (error) {
      const where = { database, type: "ServerParametersValidation", object: database, objectType: "Database" } as const;
      findings.push(connectionFinding(error, "no connection for replication", where));
    }
  }
  return findings;
}

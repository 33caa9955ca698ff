import { startAzureLikeServer } from "../../test/support/servers/azure-like";
import { EmbeddedServer, type Login } from "../../test/support/servers/embedded-server";
import { createAdventureWorks } from "../adventureworks/create-adventureworks";

export const database = "adventureworks";

export interface Lab {
  /** The on-premises server. */
  readonly source: EmbeddedServer;
  /** The server as Azure gives it, and its administrator, who is no superuser. */
  readonly target: EmbeddedServer;
  readonly administrator: Login;
}

/** Starts the lab's two servers and fills the source with AdventureWorks. */
export async function startLab(options: { scale: number; keep: boolean; say: (line: string) => void }): Promise<Lab> {
  const { keep: outlive, say } = options;
  const source = await EmbeddedServer.start({ major: 14, outlive, parameters: { wal_level: "logical" } });
  try {
    say(`source: PostgreSQL 14 on 127.0.0.1:${source.port}, as on premises`);
    const { server: target, administrator } = await startAzureLikeServer({ major: 17, outlive });
    say(`target: PostgreSQL 17 on 127.0.0.1:${target.port}, as Azure gives it; ${administrator.user} is no superuser`);
    try {
      await source.query(`CREATE DATABASE ${database}`);
      const created = await createAdventureWorks({ ...source.login, database }, { scale: options.scale });
      say(
        `AdventureWorks at scale ${options.scale}: ${created.tables} tables, ${created.rows.toLocaleString("en")} rows`,
      );
      return { source, target, administrator };
    } catch (error) {
      await target.stop();
      throw error;
    }
  } catch (error) {
    await source.stop();
    throw error;
  }
}

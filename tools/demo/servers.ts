import { startAzureLikeServer } from "../../test/support/servers/azure-like";
import { EmbeddedServer, type Login } from "../../test/support/servers/embedded-server";
import { createAdventureWorks } from "../adventureworks/create-adventureworks";

export const database = "adventureworks";

export interface Lab {
  /** The on-premises server. */
  readonly source: EmbeddedServer;
  /** A server like Azure's, and its administrator, who is not a superuser. */
  readonly target: EmbeddedServer;
  readonly administrator: Login;
}

/** Starts the lab's two servers and fills the source with AdventureWorks. */
export async function startLab(options: { scale: number; keep: boolean; say: (line: string) => void }): Promise<Lab> {
  const { keep: outlive, say } = options;
  const source = await EmbeddedServer.start({ major: 14, outlive, parameters: { wal_level: "logical" } });
  try {
    say(`source: PostgreSQL 14 on 127.0.0.1:${source.port}, like a server on premises`);
    const { server: target, administrator } = await startAzureLikeServer({ major: 17, outlive });
    say(
      `target: PostgreSQL 17 on 127.0.0.1:${target.port}, like a server of Azure: ${administrator.user} is not a superuser`,
    );
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

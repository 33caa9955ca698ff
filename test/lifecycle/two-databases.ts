import { Lab } from "../support/lab";
import type { Resource } from "../support/resource";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

/** A lab, and two new databases for each test of a `describe`, which one migration migrates. */
export class TwoDatabases {
  names: [string, string] = ["", ""];
  #lab: Lab | undefined;

  constructor() {
    before(async () => {
      // As many slots as the rollback replications of two databases need.
      this.#lab = await Lab.start({ target: { parameters: { max_replication_slots: 3 } } });
    });
    beforeEach(async () => {
      this.names = [await this.lab.database(table), await this.lab.database(table)];
    });
    after(() => this.#lab?.stop());
  }

  get lab(): Lab {
    if (!this.#lab) throw new Error("the lab runs only during its tests");
    return this.#lab;
  }

  /** The number of slots on the source. */
  async slots(): Promise<number> {
    return (await this.lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary")).length;
  }

  statesOf(resource: Resource): string[] {
    return this.names.map((name) => resource.status.currentSubStateDetails.dbDetails[name]!.migrationState);
  }
}

import { type AzureLikeOptions, startAzureLikeServer } from "../../support/servers/azure-like";
import { EmbeddedServer, type Login, type Major } from "../../support/servers/embedded-server";
import type { OutputPlugin } from "../../../provider/src/cdc/source/slot";
import { RandomChanges } from "../random-changes";
import { Scene, type Servers } from "../scene";

export interface StageOptions {
  readonly from: Major;
  readonly to: AzureLikeOptions["major"];
  /** Parameters of the source in addition to `wal_level`. */
  readonly parameters?: Readonly<Record<string, string | number>>;
  readonly targetParameters?: Readonly<Record<string, string | number>>;
}

/**
 * Both servers for the tests of the `describe` that creates the stage. It has at most one scene at a time, and closes it after
 * each test.
 */
export class Stage implements Servers {
  #servers: Servers | undefined;
  #scene: Scene | undefined;
  #changes: RandomChanges | undefined;

  constructor({ from, to, parameters, targetParameters = {} }: StageOptions) {
    before(async () => {
      const source = await EmbeddedServer.start({ major: from, parameters: { wal_level: "logical", ...parameters } });
      const { server: target, administrator } = await startAzureLikeServer({ major: to, parameters: targetParameters });
      this.#servers = { source, target, administrator };
    });
    afterEach(async () => {
      await this.#changes?.stop();
      await this.#scene?.close();
      this.#changes = this.#scene = undefined;
    });
    after(async () => {
      await this.#servers?.source.stop();
      await this.#servers?.target.stop();
    });
  }

  get source(): EmbeddedServer {
    return this.#begun.source;
  }

  get target(): EmbeddedServer {
    return this.#begun.target;
  }

  get administrator(): Login {
    return this.#begun.administrator;
  }

  get #begun(): Servers {
    if (!this.#servers) throw new Error("the servers of a stage run only during its tests");
    return this.#servers;
  }

  /** Opens a scene; see {@link Scene.open}. */
  async open(ddl: string, plugin?: OutputPlugin): Promise<Scene> {
    return (this.#scene = await Scene.open(this, ddl, plugin));
  }

  /** Writes random changes to the `randomTables` of a scene in several sessions, until the test ends. */
  async write(scene: Scene, sessions: number): Promise<RandomChanges> {
    const opened = await Promise.all(Array.from({ length: sessions }, () => this.source.connect(scene.database)));
    return (this.#changes = new RandomChanges(opened));
  }
}

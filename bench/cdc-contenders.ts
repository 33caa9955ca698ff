import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { FollowOptions } from "../provider/dist/cdc/follow-options.js";
import { initProgress, type SlotIdentity } from "../provider/dist/cdc/target/progress.js";
import { dropSlot } from "../provider/dist/cdc/source/drop-slot.js";
import type { Login } from "../test/support/servers/embedded-server";
import { targetMajor } from "./cores/bench-servers";
import type { Servers } from "./cores/measurement";
import type { ProcessWatch, Usage } from "./cores/process-watch";

export interface Drain extends Servers {
  /** Measures from the start of the drain to the arrival of the last change. */
  readonly watch: ProcessWatch;
  /** Logins through a proxy, which delays requests if the load has a delay. */
  readonly delayedSource: Login;
  readonly delayedTarget: Login;
  /** The database on both servers. On the target it has the data as of the slot. */
  readonly database: string;
  readonly slot: SlotIdentity;
  readonly publications: readonly string[];
  /** Resolves when the target has the last change. */
  readonly arrived: () => Promise<void>;
}

/** Applies a slot's changes to the target, and drops the slot. */
export interface Drainer {
  readonly name: string;
  readonly version?: string;
  readonly drain: (drain: Drain) => Promise<Usage>;
}

const migration = "bench";

export const ours: Drainer = {
  name: "pulumi-pg-migration",
  async drain({ watch, source, target, delayedTarget, database, slot, publications, arrived }) {
    const session = await target.connect(database);
    await initProgress(session, migration, 0, slot);
    await session.end();
    const options: FollowOptions = {
      source: { ...source.login, sslMode: "Disable" },
      target: { ...delayedTarget, sslMode: "Disable" },
      ...{ database, targetDatabase: database, slot: slot.slot, publications, migration, generation: 1 },
    };
    const follower = fork(join(__dirname, "cdc-follower.mjs"), { execArgv: [] });
    await once(follower, "message");
    watch.start();
    follower.send(options);
    await arrived();
    const usage = watch.end();
    follower.send("end");
    await once(follower, "exit");
    await dropSlot(options.source, database, slot.slot);
    return usage;
  },
};

export const subscription: Drainer = {
  name: "native subscription",
  version: String(targetMajor),
  async drain({ watch, target, delayedSource: { host, port, user, password }, database, slot, publications, arrived }) {
    const uri = `postgres://${user}:${password}@${host}:${port}/${database}`;
    await target.query(
      `CREATE SUBSCRIPTION bench CONNECTION '${uri}' PUBLICATION ${publications.join(", ")}
         WITH (enabled = false, create_slot = false, slot_name = '${slot.slot}', copy_data = false)`,
      { database },
    );
    watch.start();
    await target.query("ALTER SUBSCRIPTION bench ENABLE", { database });
    await arrived();
    const usage = watch.end();
    await target.query("DROP SUBSCRIPTION bench", { database });
    return usage;
  },
};

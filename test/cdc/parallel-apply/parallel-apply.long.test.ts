import { Stage } from "../apply/stage";
import { followParallel } from "./killed-sessions";

const kills = Number(process.env.PG_MIGRATION_TEST_KILLS ?? 15);

for (const [from, to] of [
  [10, 18],
  [14, 16],
  [16, 17],
  [18, 18],
] as const)
  describe(`several apply sessions from ${from} to ${to}`, () => {
    followParallel(new Stage({ from, to, parameters: { wal_sender_timeout: "5s" } }), kills);
  });

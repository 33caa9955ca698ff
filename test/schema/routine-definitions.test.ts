import assert from "node:assert/strict";
import { connect } from "../../provider/src/postgres/connection/connect";
import { routines } from "../../provider/src/schema/catalogue/kinds/routines";
import { readSchema } from "../../provider/src/schema/catalogue/read-schema";
import { EmbeddedServer } from "../support/servers/embedded-server";

const combinations = (options: readonly string[]): string[] =>
  options.reduce<string[]>((all, option) => [...all, ...all.map((one) => `${one} ${option}`)], [""]);

const words = "SECURITY DEFINER";
const body = `AS $$ SELECT '${words}'::text /* ${words}\n LANGUAGE sql\n ${words}\n\n */ $$`;
const argument = `a text DEFAULT E'\\n ${words}\\n'`;
const signature = `(${argument}, "b ${words}" int DEFAULT 1)`;
const functionOptions = ["WINDOW", "IMMUTABLE", "PARALLEL SAFE", "STRICT", "LEAKPROOF", "COST 7", "SET app.a = 'b'"];

const routinesOf = (major: number): string[] => [
  ...combinations(functionOptions).map(
    (options) => `FUNCTION f${signature} RETURNS text LANGUAGE sql ${options} ${body}`,
  ),
  `FUNCTION f${signature} RETURNS TABLE (c text) LANGUAGE sql ROWS 5 ${body}`,
  ...(major < 11
    ? []
    : ["", "SET app.a = 'b'"].map((option) => `PROCEDURE f${signature} LANGUAGE sql ${option} ${body}`)),
  ...(major < 14 ? [] : ["", "STABLE"]).map(
    (option) => `FUNCTION f${signature} RETURNS text LANGUAGE sql ${option} BEGIN ATOMIC SELECT ' ${words}'::text; END`,
  ),
];

for (const major of [10, 14, 17, 18] as const)
  it(`the definition of a routine on PostgreSQL ${major} is the same with SECURITY DEFINER as without, and has its whole body`, async () => {
    const server = await EmbeddedServer.start({ major });
    const session = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    try {
      const definition = async (): Promise<string> =>
        (await readSchema(session, [routines], "text")).map((one) => one.definition).join();
      for (const routine of routinesOf(major)) {
        const kind = routine.slice(0, routine.indexOf(" "));
        await session.query(`CREATE ${kind} public.${routine.slice(kind.length + 1)}`);
        const invoker = await definition();
        assert(invoker.includes(routine.includes("ATOMIC") ? `SELECT ' ${words}'::text` : body.slice(6, -2)), invoker);
        await session.query(`ALTER ${kind} public.f SECURITY DEFINER`);
        assert.equal(await definition(), invoker);
        await session.query(`DROP ${kind} public.f`);
      }
    } finally {
      await session.end();
      await server.stop();
    }
  });

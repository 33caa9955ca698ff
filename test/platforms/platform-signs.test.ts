import assert from "node:assert/strict";
import type { SourceType } from "../../provider/src/inputs/inputs";
import { platformWith, type ServerSigns } from "../../provider/src/platforms/detect-platform";

const none: ServerSigns = {
  version: "PostgreSQL 16.2 on x86_64-pc-linux-gnu",
  ...{ parameterClasses: [], roles: [], schemas: [] },
  ...{ hasAuroraVersion: false, isSuperuser: false, database: "shop", user: "reader" },
};
const own = "self-managed server on Linux";
const herokuNames = { database: "d8r4vq2ltgq9ua", user: "u0123456789abc" };

describe("signs of the source's platform", () => {
  const cases: readonly (readonly [string, Partial<ServerSigns>, SourceType | undefined, string])[] = [
    ["Heroku's names", herokuNames, undefined, "Heroku Postgres"],
    ["names without digits", { database: "datawarehouse", user: "userreporting" }, undefined, own],
    ["a database's name without digits", { ...herokuNames, database: "datawarehouse" }, undefined, own],
    ["a role's name without digits", { ...herokuNames, user: "userreporting" }, undefined, own],
    ["Heroku's names and a superuser", { ...herokuNames, isSuperuser: true }, undefined, own],
    ["Heroku's names and sourceType", herokuNames, "OnPremises", own],
    ["a role", { roles: ["rds_superuser"] }, undefined, "Amazon RDS"],
    ["a role and sourceType", { roles: ["rds_superuser"] }, "GCP_CloudSQL", "Cloud SQL"],
    ["a parameter and sourceType", { parameterClasses: ["rds"] }, "OnPremises", "Amazon RDS"],
    ["a function and sourceType", { hasAuroraVersion: true }, "AWS_RDS", "Amazon Aurora"],
    ["a schema and sourceType", { schemas: ["heroku_ext"] }, "OnPremises", "Heroku Postgres"],
  ];
  for (const [title, signs, sourceType, name] of cases)
    it(`${title} show: ${name}`, () => {
      assert.equal(platformWith({ ...none, ...signs }, sourceType).name, name);
    });
});

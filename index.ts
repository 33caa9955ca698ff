import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type PgMigrationArgs } from "pulumi-pg-migration";

/*
 * Every key of the stack's configuration (`pulumi config set`) is an input of PgMigration, under its name; lists and
 * objects are JSON. What concerns a server may be set piece by piece:
 *
 *   pulumi config set sourceHost db.example.com        pulumi config set targetHost my.postgres.database.azure.com
 *   pulumi config set sourceUser postgres              pulumi config set targetUser azureadmin
 *   pulumi config set --secret sourcePassword          pulumi config set --secret targetPassword
 *   pulumi config set dbsToMigrate '["adventureworks"]'
 *
 * A key that is no input is refused, with the nearest one that is.
 */
const config = new pulumi.Config();

/** `sourceHost` is `source.host`. */
const piece = /^(source|target)(Host|Port|User|Password|PasswordCommand|SslMode|SslRootCert)$/;

type Given = Record<string, unknown>;

/** Texts stand for numbers and switches, too: the inputs are checked where they are used. */
const valueOf = (text: string): unknown => (/^\s*[[{]/.test(text) ? JSON.parse(text) : text);

/** These hold passwords, set with `--secret`; the resource keeps them so. */
const mayBeSecret = /password|secret|webhook|^(source|target)$/i;

const given = (key: string): unknown =>
  mayBeSecret.test(key) ? config.requireSecret(key).apply(valueOf) : valueOf(config.require(key));

function inputsFromConfiguration(): Given {
  const prefix = `${config.name}:`;
  const keys = Object.keys(pulumi.runtime.allConfig()).filter((key) => key.startsWith(prefix));
  const inputs: Given = {};
  for (const key of keys.map((one) => one.slice(prefix.length))) {
    const [, side, property] = piece.exec(key) ?? [];
    if (side === undefined || property === undefined) inputs[key] = given(key);
    else
      inputs[side] = {
        ...(inputs[side] as Given | undefined),
        [property[0]!.toLowerCase() + property.slice(1)]: given(key),
      };
  }
  return inputs;
}

const inputs = inputsFromConfiguration() as PgMigrationArgs;
const migration = new PgMigration(config.get("migrationName") ?? "migration", inputs);

export const status = migration.currentStatus;
export const connection = migration.targetConnection;

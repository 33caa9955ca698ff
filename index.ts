import * as pulumi from "@pulumi/pulumi";
import { PgMigration, type PgMigrationArgs } from "pulumi-pg-migration";

/*
 * Every key of the stack's configuration (`pulumi config set`) is an input of PgMigration with the same name. Lists and
 * objects are JSON. The properties of a server can be set one by one:
 *
 *   pulumi config set sourceHost db.example.com        pulumi config set targetHost my.postgres.database.azure.com
 *   pulumi config set sourceUser postgres              pulumi config set targetUser azureadmin
 *   pulumi config set --secret sourcePassword          pulumi config set --secret targetPassword
 *   pulumi config set dbsToMigrate '["adventureworks"]'
 *
 * Unknown keys are rejected, with a suggestion.
 */
const config = new pulumi.Config();

/** `sourceHost` is `source.host`. */
const piece = /^(source|target)(Host|Port|User|Password|Auth|SslMode|SslRootCert)$/;

type Given = Record<string, unknown>;

/** Numbers and booleans stay strings: PgMigration converts and checks them. A password may look like JSON. */
function valueOf(key: string, text: string): unknown {
  if (!/^\s*[[{]/.test(text) || /password$/i.test(key)) return text;
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message contains a part of the text.
    throw new Error(`the configuration ${key} is invalid JSON`);
  }
}

/** These contain passwords, set with `--secret`. They stay secrets in the state. */
const mayBeSecret = /password|auth|secret|webhook|^(source|target)$/i;

/**
 * Parses at once. Pulumi prints an error of a promise with everything that the promise refers to, which takes a minute.
 */
function given(key: string): unknown {
  const value = valueOf(key, config.require(key));
  return mayBeSecret.test(key) ? pulumi.secret(value) : value;
}

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

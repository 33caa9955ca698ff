import * as pulumi from "@pulumi/pulumi";

export interface ConnectionParts {
  readonly host: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface ConnectionStrings {
  /** A command without the password: psql prompts for it, or reads PGPASSWORD. */
  readonly psql: string;
  /** The URI of libpq, for pg_dump, psycopg and many other clients. */
  readonly libpq: string;
  readonly jdbc: string;
  /** Npgsql. */
  readonly dotnet: string;
  /** For the `pg` package, which checks the server's certificate in every mode. */
  readonly node: string;
}

const port = 5432;

/** Connection strings for common clients. Secret, because all except psql's contain the password. */
export function connectionStrings(parts: pulumi.Input<ConnectionParts>): pulumi.Output<ConnectionStrings> {
  return pulumi.secret(pulumi.output(parts).apply(format));
}

function format({ host, user, password, database }: ConnectionParts): ConnectionStrings {
  const [userPart, passwordPart, databasePart] = [user, password, database].map(encodeURIComponent);
  const authority = `${userPart}:${passwordPart}@${host}:${port}/${databasePart}`;
  return {
    psql: `psql ${shellWord(`host=${host} port=${port} dbname=${libpqValue(database)} user=${libpqValue(user)} sslmode=require`)}`,
    libpq: `postgresql://${authority}?sslmode=require`,
    jdbc: `jdbc:postgresql://${host}:${port}/${databasePart}?user=${userPart}&password=${passwordPart}&sslmode=require`,
    dotnet: `Host=${host};Port=${port};Database=${npgsqlValue(database)};Username=${npgsqlValue(user)};Password=${npgsqlValue(password)};SSL Mode=Require`,
    node: `postgres://${authority}?sslmode=verify-full`,
  };
}

/** Quotes a value that is more than one word (PostgreSQL manual, "Keyword/Value Connection Strings"). */
const libpqValue = (text: string): string =>
  /^[\w.-]+$/.test(text) ? text : `'${text.replace(/[\\']/g, (character) => `\\${character}`)}'`;

const shellWord = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** In ADO.NET, a quote inside a quoted value is doubled. */
const npgsqlValue = (text: string): string => (/^[\w.-]+$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`);

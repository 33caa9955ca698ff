import * as pulumi from "@pulumi/pulumi";

export interface ConnectionParts {
  readonly host: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface ConnectionStrings {
  /** A command; the password is asked for, or taken from PGPASSWORD. */
  readonly psql: string;
  /** libpq's URI, as pg_dump, psycopg and many others take it. */
  readonly libpq: string;
  readonly jdbc: string;
  /** Npgsql. */
  readonly dotnet: string;
  /** The `pg` package, which checks the server's certificate in each of its modes: this one says so. */
  readonly node: string;
}

const port = 5432;

/** Secret, since all but the first hold the password. */
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

/** Quoted when it would not be read as one word otherwise (PostgreSQL manual, "Keyword/Value Connection Strings"). */
const libpqValue = (text: string): string =>
  /^[\w.-]+$/.test(text) ? text : `'${text.replace(/[\\']/g, (character) => `\\${character}`)}'`;

const shellWord = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** ADO.NET's connection strings double a quote inside quotes. */
const npgsqlValue = (text: string): string => (/^[\w.-]+$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`);

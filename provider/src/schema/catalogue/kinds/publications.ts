import { isUsersPublication } from "../../../cdc/source/publication.js";
import { type Kind, ofDatabase, sorted } from "../kind.js";

/** Publications of migrations change during a migration, and are not read. */
export const publications: Kind = (version) => {
  if (version < 100000) return undefined;
  return {
    ...ofDatabase("pg_publication", "o.pubname"),
    kind: "'publication'",
    where: isUsersPublication,
    owner: "o.pubowner",
    settings: {
      "all tables": "o.puballtables",
      operations: `concat_ws(', ', ${operations(version)})`,
      tables: sorted(`ARRAY(${publishedTables(version)})`),
      ...(version >= 130000 ? { "via root": "o.pubviaroot" } : {}),
      ...(version >= 180000 ? { "generated columns": "o.pubgencols::text" } : {}),
      ...(version >= 150000
        ? {
            schemas: sorted(
              "ARRAY(SELECT n.nspname::text FROM pg_publication_namespace p JOIN pg_namespace n ON n.oid = p.pnnspid WHERE p.pnpubid = o.oid)",
            ),
          }
        : {}),
    },
  };
};

const operations = (version: number): string =>
  ["insert", "update", "delete", ...(version >= 110000 ? ["truncate"] : [])]
    .map((name) => `CASE WHEN o.pub${name} THEN '${name}' END`)
    .join(", ");

function publishedTables(version: number): string {
  const parts =
    version >= 150000
      ? `, (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = p.prrelid AND a.attnum = ANY (p.prattrs)),
         'WHERE ' || pg_get_expr(p.prqual, p.prrelid)`
      : "";
  return `SELECT concat_ws(' ', r.identity${parts}) FROM pg_publication_rel p JOIN relation r ON r.oid = p.prrelid WHERE p.prpubid = o.oid`;
}

/**
 * A migration reports subscriptions, and creates none. Their connections are not read. Before 14 only superusers may read their OIDs.
 */
export const subscriptions: Kind = (version) =>
  version < 140000
    ? undefined
    : {
        ...ofDatabase("pg_subscription", "o.subname"),
        kind: "'subscription'",
        where: "o.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        owner: "o.subowner",
        settings: { slot: "o.subslotname::text", publications: "o.subpublications", enabled: "o.subenabled" },
      };

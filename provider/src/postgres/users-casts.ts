import type { Client } from "pg";

/** Types before and after, as format_type prints them. */
export interface Conversion {
  readonly from: string;
  readonly to: string;
}

/**
 * The conversions for which the server calls a function with a body written by a user. A cast of a domain or an array is that of its
 * base type or of its elements.
 */
export async function conversionsByUsers(
  session: Client,
  conversions: readonly Conversion[],
): Promise<ReadonlySet<Conversion>> {
  if (conversions.length === 0) return new Set();
  const { rows } = await session.query<{ place: string }>(
    `WITH RECURSIVE part (place, side, oid) AS (
       SELECT place, side, to_regtype(name)::oid
         FROM ROWS FROM (unnest($1::text[]), unnest($2::text[])) WITH ORDINALITY AS conversion (before, after, place)
        CROSS JOIN LATERAL (VALUES ('from', before), ('to', after)) AS one (side, name)
       UNION
       SELECT place, side, CASE typtype WHEN 'd' THEN typbasetype ELSE typelem END
         FROM part JOIN pg_type t ON t.oid = part.oid WHERE typtype = 'd' OR typcategory = 'A'
     )
     SELECT DISTINCT f.place
       FROM part f JOIN part t ON t.place = f.place AND t.side = 'to'
       JOIN pg_cast c ON c.castsource = f.oid AND c.casttarget = t.oid
       JOIN pg_proc p ON p.oid = c.castfunc JOIN pg_language l ON l.oid = p.prolang
      WHERE f.side = 'from' AND p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')`,
    [conversions.map(({ from }) => from), conversions.map(({ to }) => to)],
  );
  return new Set(rows.map(({ place }) => conversions[Number(place) - 1]!));
}

-- The fiscal year starts in July and is named after the calendar year in which it ends.
CREATE FUNCTION sales.fiscalyear(day timestamp without time zone) RETURNS integer
  LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT pg_catalog.date_part('year', $1 + interval '6 months')::pg_catalog.int4 $$;

CREATE FUNCTION sales.linetotal(quantity integer, price numeric, discount numeric) RETURNS numeric
  LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT pg_catalog.round($1 * $2 * (1.0 - $3), 6) $$;

CREATE FUNCTION production.touch() RETURNS trigger
  LANGUAGE plpgsql
  AS $$
BEGIN
  NEW.modifieddate := pg_catalog.now();
  RETURN NEW;
END
$$;

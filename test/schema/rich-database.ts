import type { Major } from "../support/servers/embedded-server";

/** The role that owns the rich database's objects, and a role with privileges on some. */
export const owner = "app_owner";
export const reader = "App Reader";

/** 63 bytes, the maximum length of a name, with two-byte letters and one of one byte. */
export const longestName = `${"ü".repeat(31)}x`;

/** Text in a function's body that looks like an entry of a dump, and like commands of psql. */
const pastedDump = `
--
-- TOC entry 1 (class 1259 OID 1)
-- Name: stolen; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.stolen (id integer);

\\restrict abcdef
\\unrestrict abcdef
-- Completed on 2020-01-01
--
-- PostgreSQL database dump complete
--
`;

/** Roles and schemas, created by a superuser. */
export const richRoles = `
  CREATE ROLE ${owner};
  CREATE ROLE "${reader}";
  CREATE SCHEMA "Sales Data" AUTHORIZATION ${owner};
  CREATE SCHEMA app AUTHORIZATION ${owner};
`;

/** One object of each kind that a role without superuser rights can create, and names that require quoting. */
export function richSchema(major: Major): string {
  return [
    "SET search_path = ''",
    `SET ROLE ${owner}`,
    types,
    ...(major >= 14 ? [multirange] : []),
    routines,
    ...(major >= 14 ? [sqlBodies] : []),
    tables,
    ...(major >= 14 ? [generated] : []),
    ...(major >= 18 ? [notNullByName] : []),
    partitions,
    indexes,
    ...(major >= 14 ? [newerIndexes] : []),
    views,
    hardNames,
    access,
    "RESET ROLE",
  ].join(";\n");
}

const types = `
  CREATE TYPE app.mood AS ENUM ('sad', 'it''s ok', 'HAPPY;');
  CREATE TYPE app.address AS (street text, "Zip Code" varchar(10));
  CREATE DOMAIN app.positive AS integer DEFAULT 1 NOT NULL CONSTRAINT is_positive CHECK (VALUE > 0);
  CREATE DOMAIN app.addresses AS app.address[];
  CREATE TYPE app.floatrange AS RANGE (subtype = float8, subtype_diff = pg_catalog.float8mi);
  CREATE COLLATION app.plain (LOCALE = 'C');
  CREATE TEXT SEARCH DICTIONARY app.stems (TEMPLATE = pg_catalog.snowball, LANGUAGE = english);
  CREATE TEXT SEARCH CONFIGURATION app.search (COPY = pg_catalog.english);
  ALTER TEXT SEARCH CONFIGURATION app.search ALTER MAPPING FOR asciiword WITH app.stems;
  COMMENT ON TYPE app.mood IS 'how it is; -- not a comment ''quoted'''`;

const multirange = `
  CREATE TYPE app.span AS RANGE (subtype = timestamptz, multirange_type_name = app.spans)`;

const routines = `
  CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $body$
  BEGIN
    NEW.changed := now(); -- it's $now$ ; $$
    RETURN NEW;
  END $body$;
  CREATE FUNCTION app.pasted() RETURNS text LANGUAGE sql AS $x$ SELECT '${pastedDump}'::text $x$;
  CREATE FUNCTION app.twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
  CREATE FUNCTION app.defaults(a integer, b text DEFAULT 'x;y', VARIADIC c integer[] DEFAULT '{}', OUT d text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO app, "Sales Data" AS $$ SELECT b || a $$;
  CREATE FUNCTION app.add_positive(integer, integer) RETURNS integer LANGUAGE sql IMMUTABLE
    AS 'SELECT $1 + greatest($2, 0)';
  CREATE AGGREGATE app.sum_positive(integer) (SFUNC = app.add_positive, STYPE = integer, INITCOND = '0');
  CREATE FUNCTION app.same_mood(app.mood, app.mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
  CREATE OPERATOR app.=== (LEFTARG = app.mood, RIGHTARG = app.mood, FUNCTION = app.same_mood, COMMUTATOR = OPERATOR(app.===));
  COMMENT ON FUNCTION app.pasted() IS '${pastedDump}'`.replace("FUNCTION = app.same_mood", "PROCEDURE = app.same_mood");

const sqlBodies = `
  CREATE FUNCTION app.body(n integer) RETURNS text LANGUAGE sql
  BEGIN ATOMIC
    SELECT CASE WHEN n > 1 THEN 'many;' ELSE CASE n WHEN 1 THEN 'one' END END;
    SELECT 'last''s;'::text;
  END;
  CREATE PROCEDURE app.reset(INOUT n integer DEFAULT 0) LANGUAGE plpgsql AS $$ BEGIN n := 0; COMMIT; END $$`;

const tables = `
  CREATE TABLE app.customer (
    id integer GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 5) PRIMARY KEY,
    name text COLLATE app.plain NOT NULL UNIQUE,
    mood app.mood DEFAULT 'it''s ok',
    home app.address,
    changed timestamptz DEFAULT now(),
    CONSTRAINT "name; is (not) empty" CHECK (name <> '')
  );
  CREATE TABLE app.invoice (
    id serial PRIMARY KEY,
    customer integer NOT NULL REFERENCES app.customer ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    amount numeric(12, 2) DEFAULT 0.00,
    during app.floatrange,
    EXCLUDE USING gist (during WITH &&) DEFERRABLE
  );
  ALTER TABLE app.invoice ADD CONSTRAINT not_checked CHECK (amount > 0) NOT VALID;
  ALTER TABLE app.invoice ADD CONSTRAINT not_followed FOREIGN KEY (id) REFERENCES app.customer NOT VALID;
  ALTER TABLE app.invoice ALTER COLUMN amount SET STATISTICS 250, ALTER COLUMN amount SET (n_distinct = -0.5);
  ALTER TABLE app.customer ALTER COLUMN name SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
  CREATE TABLE app.base (id integer DEFAULT app.twice(21), note text) WITH (fillfactor = 70, autovacuum_enabled = off);
  CREATE TABLE app.derived (extra jsonb DEFAULT '{"a": ";"}') INHERITS (app.base);
  CREATE TABLE app.without_columns ();
  CREATE UNLOGGED TABLE app.fleeting (OF_NOTE text);
  CREATE TABLE app.of_type OF app.address;
  CREATE SEQUENCE app.counter AS smallint START 7 INCREMENT -1 MINVALUE -100 MAXVALUE 7 CYCLE;
  CREATE RULE keep AS ON DELETE TO app.base DO INSTEAD (UPDATE app.base SET note = 'gone;' WHERE id = OLD.id; NOTIFY base);
  CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF name ON app.customer FOR EACH ROW
    WHEN (NEW.name IS NOT NULL) EXECUTE PROCEDURE app.touch();
  CREATE TRIGGER off_trigger AFTER DELETE ON app.customer FOR EACH ROW EXECUTE PROCEDURE app.touch('it''s', 'an;argument');
  ALTER TABLE app.customer DISABLE TRIGGER off_trigger;
  CREATE CONSTRAINT TRIGGER late AFTER INSERT ON app.invoice DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE PROCEDURE app.touch();
  COMMENT ON COLUMN app.customer.name IS E'two\\nlines';
  COMMENT ON CONSTRAINT "name; is (not) empty" ON app.customer IS 'c';
  COMMENT ON TRIGGER touch ON app.customer IS 't'`;

const generated = `
  CREATE TABLE app.computed (a integer, many app.positive[], doubled integer GENERATED ALWAYS AS (app.twice(a)) STORED,
    by_default integer GENERATED BY DEFAULT AS IDENTITY)`;

const notNullByName = `
  CREATE TABLE app.strict (a integer CONSTRAINT must_have NOT NULL, b integer, v integer GENERATED ALWAYS AS (a * 2) VIRTUAL);
  ALTER TABLE app.strict ADD CONSTRAINT later NOT NULL b NOT VALID`;

/**
 * Keys on a partitioned table exist from 11 on. Before, the indexes are on the partitions, and later ones are added.
 */
const partitions = `
  CREATE TABLE app.event (at date NOT NULL, kind text, id bigint) PARTITION BY RANGE (at);
  CREATE TABLE app.event_2024 PARTITION OF app.event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
    PARTITION BY LIST (kind);
  CREATE TABLE app.event_2024_a PARTITION OF app.event_2024 (id NOT NULL) FOR VALUES IN ('a', 'it''s');
  CREATE TABLE "Sales Data"."event 2025" PARTITION OF app.event FOR VALUES FROM ('2025-01-01') TO (MAXVALUE);
  CREATE INDEX ON app.event_2024_a (id)`;

const indexes = `
  CREATE INDEX customer_lower ON app.customer (lower(name) text_pattern_ops DESC NULLS LAST);
  CREATE INDEX customer_twice ON app.customer (app.twice(id)) WHERE mood = 'sad';
  CREATE UNIQUE INDEX invoice_one ON app.invoice (customer, id) WITH (fillfactor = 60);
  CREATE INDEX invoice_gist ON app.invoice USING gist (during);
  ALTER TABLE app.invoice CLUSTER ON invoice_one;
  ALTER TABLE app.invoice REPLICA IDENTITY USING INDEX invoice_pkey;
  CREATE STATISTICS app.customer_both (ndistinct, dependencies) ON name, mood FROM app.customer;
  COMMENT ON INDEX app.customer_lower IS 'i'`;

const newerIndexes = `
  CREATE INDEX customer_covering ON app.customer (id) INCLUDE (name);
  CREATE STATISTICS app.expression ON (id + 1), name FROM app.customer;
  ALTER INDEX app.customer_twice ALTER COLUMN 1 SET STATISTICS 300;
  CREATE INDEX event_kind ON app.event (kind);
  ALTER TABLE app.event ADD CONSTRAINT event_key PRIMARY KEY (at, kind, id);
  ALTER TABLE app.event ADD CONSTRAINT event_again FOREIGN KEY (at, kind, id) REFERENCES app.event`;

const views = `
  CREATE VIEW app.customers WITH (security_barrier = true) AS SELECT id, name, mood FROM app.customer WHERE name <> ';';
  CREATE VIEW app.happy AS SELECT * FROM app.customers WHERE mood = 'HAPPY;' WITH LOCAL CHECK OPTION;
  CREATE VIEW app.by_key AS SELECT c.id, c.name, count(*) AS invoices
    FROM app.customer c JOIN app.invoice i ON i.customer = c.id GROUP BY c.id;
  CREATE VIEW app.on_by_key AS SELECT max(invoices) AS most FROM app.by_key;
  CREATE MATERIALIZED VIEW app.totals AS SELECT customer, sum(amount) AS total FROM app.invoice GROUP BY customer;
  CREATE MATERIALIZED VIEW app.grand_total AS SELECT sum(total) AS total FROM app.totals;
  CREATE MATERIALIZED VIEW app.from_by_key AS SELECT * FROM app.by_key;
  CREATE MATERIALIZED VIEW app.never_filled AS SELECT 1 AS one WITH NO DATA;
  CREATE UNIQUE INDEX ON app.totals (customer);
  CREATE FUNCTION app.keyed(app.by_key) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
  COMMENT ON MATERIALIZED VIEW app.totals IS 'm'`;

const hardNames = `
  CREATE TABLE "Sales Data"."Order ""Lines""; Type: VIEW; Schema: x" ("select" integer PRIMARY KEY, "a.b" text, "ÄÖ" text);
  CREATE TABLE "Sales Data"."two
lines" (id integer CONSTRAINT "key
of two" PRIMARY KEY);
  CREATE TABLE "Sales Data"."${longestName}" ("${longestName}" integer, "$$" text, "--" text, "/*" text);
  CREATE INDEX "index
of two" ON "Sales Data"."two
lines" (id);
  CREATE INDEX ON "Sales Data"."${longestName}" ("--", "/*", "$$");
  COMMENT ON TABLE "Sales Data"."two
lines" IS '$tag$ /* '`;

const access = `
  CREATE FUNCTION app.may_see(text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT $1 <> ''hidden''';
  ALTER TABLE app.customer ENABLE ROW LEVEL SECURITY;
  ALTER TABLE app.customer FORCE ROW LEVEL SECURITY;
  CREATE POLICY seen ON app.customer FOR SELECT TO "${reader}", PUBLIC USING (app.may_see(name));
  CREATE POLICY own ON app.customer AS RESTRICTIVE USING (true) WITH CHECK (name <> 'TO missing_role');
  GRANT USAGE ON SCHEMA app TO "${reader}";
  GRANT SELECT, UPDATE (mood) ON app.customer TO "${reader}" WITH GRANT OPTION;
  GRANT SELECT ON app.invoice TO PUBLIC;
  REVOKE UPDATE ON app.invoice FROM ${owner};
  REVOKE ALL ON FUNCTION app.twice(integer) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION app.twice(integer) TO "${reader}";
  GRANT USAGE ON TYPE app.mood TO "${reader}";
  GRANT USAGE ON SEQUENCE app.counter TO "${reader}";
  ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} IN SCHEMA app GRANT SELECT ON TABLES TO "${reader}";
  ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`;

import type { HardDatabase } from "./databases";

/** Databases designed to break a migration: every kind of object in the form that is hardest to migrate. */
export const nastyDatabases: readonly HardDatabase[] = [
  {
    name: "odd names",
    sql: `
  CREATE SCHEMA "back\\slash"; CREATE SCHEMA "new
line"; CREATE SCHEMA "per%cent"; CREATE SCHEMA "dol$lar$$"; CREATE SCHEMA "emoji 😀"; CREATE SCHEMA " "; CREATE SCHEMA "'"; CREATE SCHEMA "SELECT"; CREATE SCHEMA "a.b"; CREATE SCHEMA "/*"; CREATE SCHEMA "--";
  CREATE TABLE "back\\slash"."t\\n" ("c\\t" text, "new
line" text, E int, "tab	x" int); INSERT INTO "back\\slash"."t\\n" VALUES (E'a\\\\b\\n', E'\\t', 1, 2);
  CREATE TABLE "new
line"."ta
ble" (id int CONSTRAINT "pk
x" PRIMARY KEY, "co
l" int CONSTRAINT "chk
y" CHECK ("co
l" > 0)); INSERT INTO "new
line"."ta
ble" VALUES (1, 1);
  CREATE INDEX "in
dex" ON "new
line"."ta
ble" ("co
l"); CREATE VIEW "new
line"."vi
ew" AS SELECT * FROM "new
line"."ta
ble";
  CREATE TABLE "per%cent"."%s%n" ("%I" int, "100%" text); INSERT INTO "per%cent"."%s%n" VALUES (1, '%');
  CREATE TABLE "dol$lar$$"."$1" ("$$" int, "a$b" text DEFAULT '$$x$$'); INSERT INTO "dol$lar$$"."$1" VALUES (1);
  CREATE FUNCTION "dol$lar$$"."$f$"("$1" text DEFAULT '$_$') RETURNS text LANGUAGE sql AS $q$ SELECT '$_$ $$ $f$' || $1 $q$;
  CREATE TABLE "emoji 😀"."😀" ("💾" text PRIMARY KEY); INSERT INTO "emoji 😀"."😀" VALUES ('👩‍👩‍👧');
  CREATE TABLE " "." " (" " int PRIMARY KEY, "  " int); INSERT INTO " "." " VALUES (1,2);
  CREATE TABLE "'"."''" ("'" text DEFAULT '''', CONSTRAINT "''" CHECK ("'" <> '"')); INSERT INTO "'"."''" DEFAULT VALUES;
  CREATE TABLE "SELECT"."from" ("where" int PRIMARY KEY, "user" text, "table" text, "constraint" int, "check" int, "primary" int); INSERT INTO "SELECT"."from" VALUES (1);
  ALTER TABLE "SELECT"."from" ADD CONSTRAINT "check" CHECK ("check" > 0 OR "user" IS NULL), ADD CONSTRAINT "constraint" UNIQUE ("constraint", "primary");
  CREATE TABLE "a.b"."c.d" ("e.f" serial PRIMARY KEY, "(" int, ")" int, "," int, ";" int); INSERT INTO "a.b"."c.d" VALUES (1,2,3,4,5);
  ALTER TABLE "a.b"."c.d" ADD CONSTRAINT "(" CHECK ("(" < ")"), ADD CONSTRAINT ")" UNIQUE ("(", ")"), ADD CONSTRAINT "," FOREIGN KEY ("e.f") REFERENCES "a.b"."c.d";
  CREATE TABLE "/*"."*/" ("--" int PRIMARY KEY); INSERT INTO "/*"."*/" VALUES (1); CREATE TABLE "--"."--" ("/*" int PRIMARY KEY); INSERT INTO "--"."--" VALUES (1);
  CREATE TYPE "a.b"."en um" AS ENUM ('a''b', 'c"d', E'e\\\\f', 'g,h', ' '); CREATE TABLE "a.b".en (e "a.b"."en um"[]); INSERT INTO "a.b".en VALUES (ARRAY['a''b', 'c"d', E'e\\\\f', 'g,h', ' ']::"a.b"."en um"[]);
  COMMENT ON SCHEMA "new
line" IS 'x
-- y;
/* z'; COMMENT ON COLUMN "a.b"."c.d".")" IS E'\\\\connect other';
  CREATE SEQUENCE "new
line"."se
q"; SELECT nextval('"new
line"."se
q"');
`,
  },
  {
    name: "views of views",
    sql: `
  CREATE TABLE base (id int PRIMARY KEY, v text); INSERT INTO base VALUES (1, 'a'), (2, 'b');
  CREATE VIEW v1 AS SELECT id, v FROM base; CREATE FUNCTION f1(int) RETURNS SETOF v1 LANGUAGE sql AS 'SELECT * FROM public.v1 WHERE id = $1';
  CREATE VIEW v2 AS SELECT * FROM f1(1); CREATE OR REPLACE VIEW v1 AS SELECT id, v FROM base UNION SELECT id, v FROM (SELECT 9 AS id, 'z'::text AS v WHERE false) q;
  CREATE VIEW circ_a AS SELECT 1 AS x; CREATE VIEW circ_b AS SELECT x FROM circ_a; CREATE OR REPLACE VIEW circ_a AS SELECT b.x FROM circ_b b;
  CREATE VIEW byk AS SELECT b.id, b.v, count(*) AS n FROM base b GROUP BY b.id; CREATE VIEW onbyk AS SELECT * FROM byk; CREATE MATERIALIZED VIEW mbyk AS SELECT * FROM onbyk; CREATE UNIQUE INDEX ON mbyk (id);
  CREATE FUNCTION fb(byk) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW usesfb AS SELECT fb(b.*) FROM byk b;
  CREATE VIEW upd AS SELECT id, v FROM base WHERE id > 1 WITH CASCADED CHECK OPTION; CREATE RULE upd_del AS ON DELETE TO upd DO INSTEAD (DELETE FROM base WHERE id = OLD.id; NOTIFY gone;); ALTER VIEW upd ALTER v SET DEFAULT 'dflt';
  CREATE FUNCTION io() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER io INSTEAD OF UPDATE ON v1 FOR EACH ROW EXECUTE PROCEDURE io();
  CREATE RECURSIVE VIEW fib(a, b) AS VALUES (0, 1) UNION ALL SELECT b, a + b FROM fib WHERE b < 100;
  CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM base WHERE v <> 'x'; 
  CREATE MATERIALIZED VIEW m0 AS SELECT id FROM base WITH NO DATA; CREATE MATERIALIZED VIEW m1 AS SELECT count(*) AS n FROM base; CREATE MATERIALIZED VIEW m2 AS SELECT n + 1 AS n FROM m1; CREATE VIEW over_m AS SELECT * FROM m2; CREATE MATERIALIZED VIEW m3 WITH (fillfactor=70) AS SELECT * FROM over_m; CREATE INDEX ON m3 (n); COMMENT ON MATERIALIZED VIEW m3 IS 'm3'; 
  CREATE VIEW cat AS SELECT oid, relname FROM pg_class; CREATE VIEW infos AS SELECT table_name FROM information_schema.tables;
  CREATE VIEW lateral_v AS SELECT b.id, g.i FROM base b, LATERAL generate_series(1, b.id) g(i);
  CREATE VIEW grp AS SELECT GROUPING(id), id FROM base GROUP BY ROLLUP (id); CREATE VIEW ts AS SELECT * FROM base TABLESAMPLE BERNOULLI (50) REPEATABLE (1);
  CREATE VIEW xmlv AS SELECT xmlelement(name foo, xmlattributes(id AS "ä"), v) AS x FROM base;
  CREATE VIEW empty_cols AS SELECT FROM base; 
  CREATE TABLE r1 (a int); CREATE RULE r1_i AS ON INSERT TO r1 DO INSTEAD INSERT INTO base VALUES (NEW.a, 'r'); CREATE RULE r1_off AS ON UPDATE TO r1 DO NOTHING; ALTER TABLE r1 DISABLE RULE r1_off; COMMENT ON RULE r1_i ON r1 IS 'rule';
`,
  },
  {
    name: "types of types",
    from: 14,
    sql: `
  CREATE TYPE ct AS (a int, b text); CREATE DOMAIN dct AS ct CHECK ((VALUE).a > 0); CREATE DOMAIN ddct AS dct NOT NULL; CREATE TYPE outer_t AS (d dct, arr ct[]); CREATE DOMAIN darr AS outer_t[];
  CREATE TABLE td (id int PRIMARY KEY, x dct, y outer_t, z darr); INSERT INTO td VALUES (1, ROW(1, 'x'), ROW(ROW(2, 'y')::dct, ARRAY[ROW(1, NULL)::ct]), ARRAY[ROW(NULL, NULL)::outer_t]);
  CREATE DOMAIN us AS text CONSTRAINT fmt CHECK (VALUE ~ '^\\d{5}$') CONSTRAINT len CHECK (length(VALUE) = 5); ALTER DOMAIN us ADD CONSTRAINT later CHECK (VALUE <> '00000') NOT VALID; COMMENT ON CONSTRAINT fmt ON DOMAIN us IS 'cc'; COMMENT ON DOMAIN us IS 'dom';
  CREATE DOMAIN coll AS text COLLATE "C" DEFAULT 'x';
  CREATE DOMAIN low AS int; CREATE DOMAIN mid AS low; CREATE DOMAIN high AS mid CHECK (VALUE > 0); CREATE TABLE before_rule (v high, vs high[]); INSERT INTO before_rule VALUES (1, '{1}'); ALTER DOMAIN low ADD CONSTRAINT rule CHECK (VALUE <> 1) NOT VALID;
  CREATE FUNCTION in_range(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN $1 < 1000; END'; CREATE DOMAIN fnd AS int CHECK (in_range(VALUE)); CREATE TABLE fndt (x fnd, u us, c coll); INSERT INTO fndt VALUES (1, '12345', 'y');
  CREATE TYPE e AS ENUM (); CREATE TYPE e2 AS ENUM ('a', 'b'); ALTER TYPE e2 RENAME VALUE 'b' TO 'c'; CREATE TABLE et (e e2, e0 e, es e2[]); INSERT INTO et VALUES ('a', NULL, '{c,a}');
  CREATE FUNCTION e2diff(e2, e2) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 1.0::float8'; CREATE TYPE e2r AS RANGE (subtype = e2, subtype_diff = e2diff); CREATE TABLE rt (r e2r, EXCLUDE USING gist (r WITH &&)); INSERT INTO rt VALUES ('[a,c)');
  CREATE TYPE textr AS RANGE (subtype = text, collation = "C", subtype_opclass = text_pattern_ops);
  CREATE TYPE shell; CREATE TABLE arrs (a int[3][3], b text[], c bool[], d ct[], e oid[], f bytea[]); INSERT INTO arrs VALUES ('{{1,2,3},{4,5,6},{7,8,9}}', '{"a b", NULL, "NULL", "\\"", "\\\\"}', '{t,f}', '{"(1,\\"a,b\\")"}', '{1}', '{"\\\\x00ff"}');
  CREATE TABLE nums (a numeric, b numeric(1000, 0), c float4, d float8, e numeric(5,2)); INSERT INTO nums VALUES ('NaN', repeat('9', 1000)::numeric, '-Infinity', 'Infinity', 1.5), (0.000000000000000000001, -1, 1e-40, 5e-324, -999.99), (1e1000, 0, '-0', '-0', 0), (12345678901234567890.123456789012345678901234567890, 1, 3.4028235e38, 1.7976931348623157e308, 0);
  CREATE TABLE dates (a date, b timestamp, c timestamptz, d interval, e time, f timetz, g tsrange) ; INSERT INTO dates VALUES ('4713-01-01 BC', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999+00', '178000000 years', '24:00:00', '24:00:00-15:59', '(,)'), ('infinity', '-infinity', '-infinity', '-1 mon +1 day -00:00:00.000001', '00:00', '00:00:00+15:59', 'empty'), ('5874897-12-31', '0001-01-01 BC', '1883-11-18 12:03:57-04:56:02', '0', '23:59:59.999999', '12:00+00', '[2020-01-01,infinity)');
  CREATE TABLE geo (a point, b line, c lseg, d box, e path, f polygon, g circle); INSERT INTO geo VALUES ('(1e300,-1e-300)', '{1,2,3}', '[(0,0),(1,1)]', '(0,0),(1,1)', '[(0,0),(1,1)]', '((0,0),(1,1))', '<(0,0),1>'), (NULL, NULL, NULL, NULL, '((0,0))', NULL, '<(0,0),Infinity>');
  CREATE TABLE txts (a char(10), b varchar(3), c "char", d name, e text, f bit(3), g varbit(5), h json, i jsonb, j xml, k tsvector, l tsquery, m money, n macaddr8, o cidr, p pg_lsn, q txid_snapshot, r int2vector, s regproc, t regtype, u tid, w xid, x cid, y refcursor);
  INSERT INTO txts VALUES ('ab', 'äöü', 'x', 'n', E'a\\tb\\nc\\\\d\\r\\x01', B'101', B'1', '{"a" : 1, "a":2}', '{"ü": [1, 1.10]}', '<?xml version="1.0"?><a/>', '''a b'':1A c', '!a & (b | c:*)', '-92233720368547758.08', '08:00:2b:ff:fe:01:02:03', '10.0.0.0/8', '16/B374D848', '10:20:10,14,15', '1 2 3', 'now', 'integer', '(1,2)', '3', '4', 'cur'), ('', '', '', '', '', B'000', B'', 'null', 'null', '', '', '', 0, NULL, '::/0', '0/0', NULL, '', '-', '-', '(0,0)', '0', '0', '');
  CREATE TABLE regs (a regclass, b regprocedure, c regoperator, d regrole, e regnamespace, f regconfig, g regdictionary); INSERT INTO regs VALUES ('txts', 'in_range(int)', '+(int,int)', 'pg_monitor', 'pg_catalog', 'english', 'simple');
  CREATE TYPE ct2 AS (x int); ALTER TYPE ct2 ADD ATTRIBUTE y text, DROP ATTRIBUTE x; CREATE TABLE ct2t (v ct2); INSERT INTO ct2t VALUES (ROW('q')::ct2); COMMENT ON COLUMN ct2.y IS 'attr'; CREATE TYPE emptyt AS ();
  CREATE TABLE rowtab (id int, v text); ALTER TABLE rowtab DROP COLUMN id; CREATE TABLE usesrow (r rowtab); INSERT INTO usesrow VALUES (ROW('a')::rowtab);
  CREATE TYPE tt AS (p int, q text); CREATE TABLE tt1 OF tt (PRIMARY KEY (p), q WITH OPTIONS DEFAULT 'q', CHECK (p > 0)); INSERT INTO tt1 VALUES (1);
  CREATE TABLE aclt (a aclitem, b aclitem[]); INSERT INTO aclt SELECT NULL, NULL;
`,
  },
  {
    name: "odd tables",
    from: 14,
    sql: `
  CREATE TABLE wide (${Array.from({ length: 1600 }, (_, i) => `c${i} bool`).join(", ")}); INSERT INTO wide (c0, c1599) VALUES (true, false);
  CREATE TABLE zero (); INSERT INTO zero SELECT FROM generate_series(1, 5); CREATE TABLE zero_drop (a int); INSERT INTO zero_drop VALUES (1), (2); ALTER TABLE zero_drop DROP COLUMN a;
  CREATE TABLE m (a int, b int, c int, d int); ALTER TABLE m DROP COLUMN b; ALTER TABLE m ADD COLUMN b text DEFAULT 'added'; INSERT INTO m (a, c, d) VALUES (1, 2, 3); ALTER TABLE m ADD COLUMN fast int DEFAULT 42 NOT NULL;
  CREATE TABLE ia (x int, y int CHECK (y > 0) NO INHERIT, z int DEFAULT 1); CREATE TABLE ib (x int, w int, z int DEFAULT 2); CREATE TABLE ic (x int, own int, z int DEFAULT 3) INHERITS (ia, ib); CREATE TABLE idd (extra int) INHERITS (ic); ALTER TABLE idd ALTER z SET DEFAULT 9, ALTER x SET NOT NULL;
  INSERT INTO ia VALUES (1, 1, 1); INSERT INTO ib VALUES (1, 2, 3); INSERT INTO ic VALUES (1, 2, 3, 4, 5); INSERT INTO idd VALUES (1, 2, 3, 4, 5, 6); ALTER TABLE ic DROP COLUMN own; CREATE TABLE late (own2 int, x int, w int, z int); ALTER TABLE late INHERIT ib; INSERT INTO late VALUES (1,2,3,4);
  CREATE TABLE opts (a text, b text, c bytea, d int) WITH (fillfactor = 11, autovacuum_vacuum_scale_factor = 0.001, toast.autovacuum_enabled = false, toast.autovacuum_vacuum_threshold = 7, parallel_workers = 3, autovacuum_freeze_max_age = 200000000); ALTER TABLE opts ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE MAIN, ALTER c SET STORAGE PLAIN, ALTER d SET STATISTICS 0, ALTER d SET (n_distinct = 5, n_distinct_inherited = -0.1); INSERT INTO opts VALUES (repeat('a', 10000), repeat('b', 100000), 'c', 1);
  CREATE UNLOGGED TABLE ul (id serial PRIMARY KEY, v text); INSERT INTO ul (v) SELECT 'x' FROM generate_series(1, 100);
  CREATE TEMP TABLE tt (x int); 
  CREATE TABLE idn (a bigint GENERATED ALWAYS AS IDENTITY (START WITH 9223372036854775807 INCREMENT BY -1000000 MINVALUE -5 MAXVALUE 9223372036854775807 CACHE 7 CYCLE), b smallint GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME "my seq" START 3), c text); INSERT INTO idn (c) VALUES ('a'), ('b');
  CREATE SEQUENCE shared AS int MINVALUE -10 MAXVALUE -1 INCREMENT -1 START -3; CREATE TABLE s1 (a int DEFAULT nextval('shared')); CREATE TABLE s2 (a int DEFAULT nextval('shared'), b serial, c bigserial, d smallserial); INSERT INTO s1 DEFAULT VALUES; INSERT INTO s2 DEFAULT VALUES; ALTER SEQUENCE shared OWNED BY s2.a; CREATE SEQUENCE orphan OWNED BY s1.a; ALTER SEQUENCE s2_b_seq OWNED BY NONE;
  CREATE SCHEMA other; CREATE SEQUENCE other.sq MAXVALUE 9223372036854775807 START 9223372036854775807; SELECT nextval('other.sq'); CREATE TABLE other.t (a int DEFAULT nextval('other.sq'::text)) ; ALTER SEQUENCE other.sq OWNED BY NONE; COMMENT ON SEQUENCE other.sq IS 'sq';
  CREATE TABLE xc (a int, b tsrange, c circle, EXCLUDE USING gist (c WITH &&) WHERE (a > 0), CONSTRAINT ex2 EXCLUDE USING btree (a WITH =) DEFERRABLE INITIALLY DEFERRED, CONSTRAINT ex3 EXCLUDE USING gist (b WITH -|-, b WITH &&)); INSERT INTO xc VALUES (1, '[2020-01-01,2020-02-01)', '<(0,0),1>'); COMMENT ON CONSTRAINT ex2 ON xc IS 'ex';
  CREATE TABLE defs (a timestamptz DEFAULT now(), b text DEFAULT current_user, c text DEFAULT E'a\\'b\\\\c\\n;--', d int[] DEFAULT '{1,2}', e json DEFAULT '{"a":";"}', f text DEFAULT 'x'::text || 'y', g float8 DEFAULT '-0'::float8, h interval DEFAULT '1 day', i text COLLATE "C" DEFAULT $q$ $$ $q$); INSERT INTO defs DEFAULT VALUES;
  CREATE INDEX ix_expr ON m ((a + c) DESC NULLS LAST, lower(b) text_pattern_ops, (d IS NULL)) WITH (fillfactor = 60) WHERE a > 0 AND b LIKE 'a%'; ALTER INDEX ix_expr ALTER COLUMN 1 SET STATISTICS 77; COMMENT ON INDEX ix_expr IS 'ix';
  CREATE STATISTICS st1 (ndistinct) ON a, c FROM m; CREATE STATISTICS "St 2" (dependencies) ON a, d FROM m; COMMENT ON STATISTICS st1 IS 'stat';
  
  CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''never''; END'; CREATE TRIGGER a BEFORE INSERT OR UPDATE OF a, c OR DELETE ON m FOR EACH ROW WHEN (pg_trigger_depth() < 5) EXECUTE PROCEDURE tf('a''b', E'\\\\x'); CREATE TRIGGER tr AFTER TRUNCATE ON m EXECUTE PROCEDURE tf(); CREATE TRIGGER repl BEFORE INSERT ON m FOR EACH ROW EXECUTE PROCEDURE tf(); ALTER TABLE m ENABLE REPLICA TRIGGER repl; CREATE TRIGGER alw BEFORE INSERT ON m FOR EACH ROW EXECUTE PROCEDURE tf(); ALTER TABLE m ENABLE ALWAYS TRIGGER alw; COMMENT ON TRIGGER a ON m IS 'trg'; CREATE TRIGGER tt AFTER UPDATE ON m REFERENCING NEW TABLE AS n OLD TABLE AS o FOR EACH STATEMENT EXECUTE PROCEDURE tf(); CREATE CONSTRAINT TRIGGER ct AFTER INSERT ON m FROM s1 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE PROCEDURE tf();
`,
  },
  {
    name: "odd partitions",
    from: 14,
    sql: `
  CREATE TABLE lz (a text, b text COMPRESSION pglz, c text) ; INSERT INTO lz VALUES (repeat('abc', 10000), repeat('abc', 10000), 'x');
  CREATE TABLE gen (a int, b int GENERATED ALWAYS AS (a * 2) STORED) ; INSERT INTO gen VALUES (1);
  CREATE TABLE genc (LIKE gen INCLUDING ALL) ; CREATE TABLE geni () INHERITS (gen); INSERT INTO geni VALUES (4);
  CREATE TABLE pt (a int, b text, c int DEFAULT 1) PARTITION BY RANGE (a, lower(b)); CREATE TABLE pt1 (junk int, c int DEFAULT 2, b text, a int); ALTER TABLE pt1 DROP COLUMN junk; ALTER TABLE pt ATTACH PARTITION pt1 FOR VALUES FROM (1, MINVALUE) TO (10, MAXVALUE); CREATE TABLE pt2 PARTITION OF pt DEFAULT PARTITION BY HASH (c); CREATE TABLE pt2_0 PARTITION OF pt2 FOR VALUES WITH (modulus 1, remainder 0) WITH (fillfactor=50); INSERT INTO pt SELECT i, 'b', i FROM generate_series(1, 50) i;
  CREATE INDEX pti ON ONLY pt (a); CREATE INDEX pt1i ON pt1 (a); ALTER INDEX pti ATTACH PARTITION pt1i; CREATE INDEX ON pt (c); CREATE INDEX extra ON pt1 (b); COMMENT ON INDEX pti IS 'half';
  ALTER TABLE pt1 ADD CONSTRAINT pk1 PRIMARY KEY (a); CREATE STATISTICS sx ON (a + c), (lower(b)) FROM pt1; ALTER STATISTICS sx SET STATISTICS 50; CREATE STATISTICS sone ON (a % 5) FROM pt1;
  CREATE TABLE plist (k text, v int) PARTITION BY LIST (k); CREATE TABLE plist_null PARTITION OF plist FOR VALUES IN (NULL, 'a'); CREATE TABLE "plist B" PARTITION OF plist FOR VALUES IN ('b''c', 'd"e'); INSERT INTO plist VALUES (NULL, 1), ('b''c', 2); CREATE UNIQUE INDEX pu ON plist (k, v); ALTER TABLE plist REPLICA IDENTITY FULL; ALTER TABLE "plist B" CLUSTER ON "plist B_k_v_idx";
  CREATE FUNCTION ptf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER ptt AFTER INSERT ON plist FOR EACH ROW EXECUTE FUNCTION ptf(); ALTER TABLE "plist B" ENABLE ALWAYS TRIGGER ptt; ALTER TABLE plist_null DISABLE TRIGGER ptt;
  CREATE TABLE pempty (a int) PARTITION BY RANGE (a); CREATE TABLE pident (a int GENERATED ALWAYS AS IDENTITY, b int) ; INSERT INTO pident (b) VALUES (1);
  CREATE TABLE pfk (a int PRIMARY KEY, b int) PARTITION BY RANGE (a); CREATE TABLE pfk1 PARTITION OF pfk FOR VALUES FROM (0) TO (100); INSERT INTO pfk VALUES (1, 1), (2, 1); ALTER TABLE pfk ADD CONSTRAINT selfp FOREIGN KEY (b) REFERENCES pfk DEFERRABLE;
  CREATE AGGREGATE cat_agg (anycompatiblearray) (SFUNC = array_cat, STYPE = anycompatiblearray);
  CREATE TABLE brin (a int, b timestamptz); CREATE INDEX ON brin USING brin (a int4_minmax_multi_ops(values_per_range=16), b timestamptz_bloom_ops) WITH (pages_per_range = 2, autosummarize=on); CREATE INDEX ON brin USING btree (a) INCLUDE (b) WITH (deduplicate_items = off);
  CREATE TABLE subs (j jsonb); CREATE INDEX ON subs ((j['a'])); INSERT INTO subs VALUES ('{"a": 1}');

  CREATE TABLE pkp (a int PRIMARY KEY) PARTITION BY RANGE (a); CREATE TABLE pkp1 PARTITION OF pkp FOR VALUES FROM (0) TO (50); CREATE TABLE pkp2 PARTITION OF pkp DEFAULT;
  INSERT INTO pkp SELECT generate_series(1, 100);
  CREATE TABLE f (a int REFERENCES pkp); INSERT INTO f SELECT generate_series(1,100);
  CREATE TABLE fp (a int REFERENCES pkp, b int) PARTITION BY HASH (a); CREATE TABLE fp1 PARTITION OF fp FOR VALUES WITH (MODULUS 1, REMAINDER 0); INSERT INTO fp SELECT generate_series(1,100);
  CREATE TABLE q (a int PRIMARY KEY); INSERT INTO q SELECT generate_series(1,100); ALTER TABLE fp ADD FOREIGN KEY (a) REFERENCES q; ALTER TABLE fp1 ADD CONSTRAINT own FOREIGN KEY (a) REFERENCES q;
  CREATE FUNCTION ok(i int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.q WHERE a = i)';
  CREATE TABLE pch (a int, b text, CONSTRAINT okay CHECK (ok(a))) PARTITION BY LIST (b); CREATE TABLE pch_a PARTITION OF pch (CONSTRAINT local CHECK (ok(a) OR a > 0)) FOR VALUES IN ('a'); 
  CREATE TABLE pch_b (b text, a int, CONSTRAINT okay CHECK (ok(a))); ALTER TABLE pch ATTACH PARTITION pch_b DEFAULT; INSERT INTO pch VALUES (1, 'a'), (2, 'b'); COMMENT ON CONSTRAINT okay ON pch IS 'x'; COMMENT ON CONSTRAINT local ON pch_a IS 'y';
  CREATE TABLE inc (a int, b int, c text, PRIMARY KEY (a) INCLUDE (b, c)); INSERT INTO inc SELECT i, i FROM generate_series(1, 10) i;
  CREATE FUNCTION noww() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT count(*)::int FROM public.q';
  CREATE TABLE ip (a int) PARTITION BY RANGE (a); CREATE TABLE ip1 PARTITION OF ip DEFAULT; CREATE INDEX ipx ON ip ((a + noww())); INSERT INTO ip VALUES (1), (2);
`,
  },
  {
    name: "odd routines",
    from: 14,
    findings: [/settings of functions.*log_statement of public.usessettings/],
    sql: `SET check_function_bodies = off;
  CREATE FUNCTION setter() RETURNS int LANGUAGE plpgsql SET work_mem = '8MB' SET "my.custom" = 'x y' SET search_path = "A b", pg_temp SET DateStyle = 'ISO, DMY' SET TimeZone = 'Europe/Berlin' SET client_min_messages = error AS 'BEGIN RETURN 1; END';
  CREATE FUNCTION body_nowhere() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM not_there_yet'; CREATE FUNCTION later_table() RETURNS bigint LANGUAGE plpgsql AS 'DECLARE x public.zz_later%ROWTYPE; BEGIN RETURN 1; END'; CREATE TABLE zz_later (a int);
  CREATE FUNCTION tabf(a int DEFAULT 5, b zz_later DEFAULT NULL) RETURNS TABLE (x int, "y z" text) LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 7 ROWS 99 AS 'SELECT 1, ''a''::text';
  CREATE FUNCTION ovl(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION ovl(text) RETURNS int LANGUAGE sql AS 'SELECT 2'; CREATE FUNCTION ovl() RETURNS int LANGUAGE sql AS 'SELECT 3';
  CREATE FUNCTION lp(int) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'; COMMENT ON FUNCTION lp(int) IS 'leak';
  CREATE FUNCTION sf(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2'; CREATE FUNCTION minv(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 - $2'; CREATE FUNCTION ff(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE FUNCTION comb(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
  CREATE AGGREGATE agg1(int) (SFUNC = sf, STYPE = int, FINALFUNC = ff, COMBINEFUNC = comb, INITCOND = '0', MSFUNC = sf, MINVFUNC = minv, MSTYPE = int, MINITCOND = '0', PARALLEL = SAFE); CREATE AGGREGATE agg2(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0'); CREATE AGGREGATE maxx(int) (SFUNC = int4larger, STYPE = int, SORTOP = >); COMMENT ON AGGREGATE agg1(int) IS 'agg';
  CREATE FUNCTION oss(numeric[], numeric) RETURNS numeric[] LANGUAGE sql IMMUTABLE AS 'SELECT array_append($1, $2)'; CREATE FUNCTION osf(numeric[], numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 1.0'; CREATE AGGREGATE osagg(numeric ORDER BY numeric) (SFUNC = oss, STYPE = numeric[], FINALFUNC = osf, INITCOND = '{}'); 
  CREATE FUNCTION eqf(int, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE OPERATOR === (LEFTARG = int, RIGHTARG = text, PROCEDURE = eqf, RESTRICT = eqsel, JOIN = eqjoinsel); CREATE OPERATOR !!! (RIGHTARG = int, PROCEDURE = ff); COMMENT ON OPERATOR === (int, text) IS 'op'; CREATE FUNCTION neqf(text, int) RETURNS boolean LANGUAGE sql AS 'SELECT false'; CREATE OPERATOR <=!=> (LEFTARG = text, RIGHTARG = int, PROCEDURE = neqf, COMMUTATOR = OPERATOR(public.<=!!=>));
  CREATE TYPE money2 AS (a int); CREATE FUNCTION to_m(int) RETURNS money2 LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1)::public.money2'; CREATE CAST (int AS money2) WITH FUNCTION to_m(int) AS IMPLICIT; COMMENT ON CAST (int AS money2) IS 'cast'; CREATE CAST (money2 AS text) WITH INOUT;
  CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple, stopwords = 'english'); CREATE TEXT SEARCH CONFIGURATION c (PARSER = default); ALTER TEXT SEARCH CONFIGURATION c ADD MAPPING FOR asciiword, word WITH d, english_stem; COMMENT ON TEXT SEARCH DICTIONARY d IS 'dict'; CREATE TEXT SEARCH DICTIONARY syn (TEMPLATE = pg_catalog.synonym, synonyms = 'synonym_sample');
  CREATE TABLE ts (v text); CREATE INDEX ON ts USING gin (to_tsvector('c', v)); INSERT INTO ts VALUES ('the cat'); 
  CREATE CONVERSION myconv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; CREATE DEFAULT CONVERSION public.dconv FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1; COMMENT ON CONVERSION myconv IS 'cv';
  CREATE FUNCTION evt() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; 
  CREATE FUNCTION usessettings() RETURNS int LANGUAGE sql SET log_statement = 'none' AS 'SELECT 1';
  CREATE FUNCTION arr(VARIADIC arr int[]) RETURNS int LANGUAGE sql AS $a$ SELECT $1[1] $a$; CREATE FUNCTION quotes() RETURNS text LANGUAGE plpgsql AS E'BEGIN RETURN ''\\\\n'' || E''\\\\\\\\'' || $x$ $_$ $$ $x$; END';
  CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE FUNCTION poly(anyelement, anyarray) RETURNS anyelement LANGUAGE sql AS 'SELECT $1'; CREATE FUNCTION retrec() RETURNS record LANGUAGE sql AS 'SELECT 1, 2'; CREATE FUNCTION vs() RETURNS void LANGUAGE sql AS '';
`,
  },
  {
    name: "grants",
    from: 14,
    findings: [/may not act as .*present/],
    sql: `
  CREATE TABLE t (a int, b int, c int); INSERT INTO t VALUES (1,2,3); ALTER TABLE t OWNER TO there;
  SET ROLE there; GRANT ALL ON t TO grantor WITH GRANT OPTION; SET ROLE grantor; GRANT SELECT ON t TO g2 WITH GRANT OPTION; SET ROLE g2; GRANT SELECT ON t TO g3; RESET ROLE;
  GRANT SELECT (a), UPDATE (b), INSERT (a, c), REFERENCES (a) ON t TO g3 WITH GRANT OPTION; REVOKE INSERT ON t FROM there;
  CREATE TABLE own (a int); ALTER TABLE own OWNER TO "odd ""role' %s \\ ü"; GRANT SELECT ON own TO PUBLIC; CREATE TABLE gone (a int); ALTER TABLE gone OWNER TO "Not There"; GRANT SELECT ON gone TO "Not There", there;
  CREATE TABLE cannot (a int); ALTER TABLE cannot OWNER TO present; CREATE FUNCTION cf() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION cf() OWNER TO present;
  CREATE SEQUENCE sq; GRANT USAGE ON SEQUENCE sq TO g2; CREATE FUNCTION f(int, OUT int, VARIADIC text[]) LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION f(int, text[]) FROM PUBLIC; GRANT EXECUTE ON FUNCTION f(int, text[]) TO g2 WITH GRANT OPTION;
  CREATE TYPE ty AS ENUM ('a'); REVOKE USAGE ON TYPE ty FROM PUBLIC; GRANT USAGE ON TYPE ty TO g3; CREATE DOMAIN dm AS int; GRANT USAGE ON DOMAIN dm TO g3; GRANT USAGE ON LANGUAGE plpgsql TO g3; REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
  CREATE SCHEMA sc AUTHORIZATION there; GRANT CREATE, USAGE ON SCHEMA sc TO g2 WITH GRANT OPTION; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC, g2; 
  ALTER DEFAULT PRIVILEGES FOR ROLE there GRANT SELECT ON TABLES TO g2 WITH GRANT OPTION; ALTER DEFAULT PRIVILEGES FOR ROLE there IN SCHEMA sc GRANT ALL ON SEQUENCES TO "odd ""role' %s \\ ü"; ALTER DEFAULT PRIVILEGES FOR ROLE there REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE "Not There" GRANT SELECT ON TABLES TO g2; ALTER DEFAULT PRIVILEGES FOR ROLE there GRANT USAGE ON SCHEMAS TO g2; ALTER DEFAULT PRIVILEGES FOR ROLE there REVOKE USAGE ON TYPES FROM PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE present GRANT SELECT ON TABLES TO g2;
  GRANT SELECT ON pg_class TO g2; GRANT SELECT ON pg_authid TO g3; REVOKE EXECUTE ON FUNCTION pg_sleep(float8) FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO g2;
  CREATE VIEW vv AS SELECT * FROM t; ALTER VIEW vv OWNER TO there; GRANT SELECT ON vv TO g3; CREATE MATERIALIZED VIEW mv AS SELECT * FROM t; ALTER MATERIALIZED VIEW mv OWNER TO there; GRANT SELECT ON mv TO g2;
  DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem TO ''7MB''', current_database()); EXECUTE format('ALTER DATABASE %I SET "my.custom" TO ''a b''''c''', current_database()); EXECUTE format('ALTER DATABASE %I SET log_statement TO ''all''', current_database()); EXECUTE format('ALTER ROLE there IN DATABASE %I SET search_path TO "A b", public', current_database()); EXECUTE format('GRANT CONNECT, TEMP ON DATABASE %I TO g2', current_database()); EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 44', current_database()); EXECUTE format('COMMENT ON DATABASE %I IS ''it''''s''', current_database()); EXECUTE format('ALTER DATABASE %I OWNER TO there', current_database()); EXECUTE format('ALTER ROLE "Not There" IN DATABASE %I SET work_mem TO ''1MB''', current_database()); END $$;
  ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p1 ON t AS RESTRICTIVE FOR UPDATE TO g2, CURRENT_USER USING (a > 1) WITH CHECK (b < 5); COMMENT ON POLICY p1 ON t IS 'pol'; CREATE POLICY p2 ON t FOR INSERT WITH CHECK (current_user = 'x'); CREATE POLICY p3 ON t TO "Not There" USING (true); 
`,
  },
  {
    name: "made by superusers",
    from: 14,
    findings: [/operator class public.rev/],
    sql: `
  
  CREATE TYPE shell; CREATE OPERATOR FAMILY fam USING btree; CREATE FUNCTION cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $2 - $1'; CREATE OPERATOR CLASS rev FOR TYPE int USING btree FAMILY fam AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 cmp(int, int); ALTER OPERATOR FAMILY fam USING btree ADD OPERATOR 1 < (int, bigint); COMMENT ON OPERATOR CLASS rev USING btree IS 'oc';
  CREATE TEXT SEARCH TEMPLATE tmpl (LEXIZE = dsimple_lexize); CREATE TEXT SEARCH PARSER prs (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
  CREATE ACCESS METHOD btree2 TYPE INDEX HANDLER bthandler; CREATE CAST (text AS int) WITH INOUT; 
  CREATE FUNCTION evt() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER et ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE PROCEDURE evt(); ALTER EVENT TRIGGER et DISABLE; COMMENT ON EVENT TRIGGER et IS 'ev';
  CREATE TRUSTED LANGUAGE plpgsql2 HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator;
  CREATE PUBLICATION pa FOR ALL TABLES; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE PUBLICATION pt FOR TABLE t WITH (publish = 'insert'); COMMENT ON PUBLICATION pt IS 'pub'; CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere password=geheim' PUBLICATION x WITH (connect = false);
`,
  },
  {
    name: "functions that call each other",
    from: 14,
    findings: [],
    sql: `CREATE FUNCTION fact(n int, "return" int DEFAULT 1) RETURNS int LANGUAGE sql RETURN 1; CREATE OR REPLACE FUNCTION fact(n int, "return" int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE STRICT SET search_path = '' RETURN CASE WHEN n < 2 THEN "return" ELSE n * public.fact(n - 1, "return") END; COMMENT ON FUNCTION fact IS 'n!'; REVOKE ALL ON FUNCTION fact FROM PUBLIC;
      CREATE FUNCTION even(n int) RETURNS TABLE (yes bool) LANGUAGE sql RETURN true; CREATE FUNCTION odd(n int) RETURNS TABLE (yes bool) LANGUAGE sql STABLE BEGIN ATOMIC SELECT CASE WHEN n > 0 THEN (SELECT e.yes FROM public.even(n - 1) e) ELSE false END; END;
      CREATE OR REPLACE FUNCTION even(n int) RETURNS TABLE (yes bool) LANGUAGE sql BEGIN ATOMIC SELECT n = 0 OR o.yes AND public.fact(3) = 6 FROM public.odd(n - 1) o; END; CREATE FUNCTION a_caller(int) RETURNS bool LANGUAGE sql RETURN (SELECT yes FROM public.odd($1));
      CREATE TABLE t (a int, f int GENERATED ALWAYS AS (fact(a)) STORED); INSERT INTO t VALUES (1), (5); CREATE VIEW a_view AS SELECT a, yes FROM t, odd(a); CREATE MATERIALIZED VIEW a_mv AS SELECT * FROM a_view;
      CREATE TYPE pair AS (a int); CREATE FUNCTION plus(pair, pair) RETURNS int LANGUAGE sql RETURN 1; CREATE OPERATOR @+@ (LEFTARG = pair, RIGHTARG = pair, FUNCTION = plus); CREATE OR REPLACE FUNCTION plus(pair, pair) RETURNS int LANGUAGE sql RETURN CASE WHEN ($1).a > 0 THEN ROW(($1).a - 1)::pair @+@ ROW(($2).a + 1)::pair ELSE ($2).a END; CREATE VIEW sums AS SELECT ROW(a)::pair @+@ ROW(1)::pair AS s FROM t`,
  },
  {
    name: "closed",
    findings: [/closed is closed on the source.*CONNECTION LIMIT 0; .*default_transaction_read_only = on/],
    sql: `CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE TABLE hidden (a int); INSERT INTO hidden VALUES (2);
      ALTER DATABASE closed SET default_transaction_read_only TO on; ALTER DATABASE closed CONNECTION LIMIT 0; ALTER DATABASE closed SET role TO there; REVOKE ALL ON hidden FROM there`,
  },
  {
    name: "put into an extension",
    findings: [
      /extension on the source but not on the target, and are not migrated: function public.mine\(public.citext\[\]\), view public.my_view/,
    ],
    sql: `CREATE EXTENSION citext; CREATE FUNCTION mine(citext[]) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW my_view AS SELECT 'a'::citext AS a;
      ALTER EXTENSION citext ADD FUNCTION mine(citext[]); ALTER EXTENSION citext ADD VIEW my_view; CREATE TABLE t (a citext, b citext[]); INSERT INTO t VALUES ('A', '{b,C}')`,
  },
  {
    name: "names in rows",
    from: 14,
    sql: `CREATE SCHEMA s; CREATE TABLE s.named (a int); CREATE FUNCTION s.once(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE s.kind AS (r regtype, n regnamespace); CREATE DOMAIN s.place AS regclass; CREATE TABLE gone (a int);
      CREATE TABLE a_names (c regclass, d s.place[], p regproc, f regprocedure, o regoperator, k s.kind[], r regrole, t regconfig, y regdictionary);
      INSERT INTO a_names VALUES ('s.named', ARRAY['s.named'::regclass, 'pg_class', NULL], 's.once', 's.once(int)', '+(int,int)', ARRAY[ROW('s.named'::regtype, 's')::s.kind], 'there', 'english', 'simple'), ('gone', NULL, '-', 'now()', 0, NULL, 424242, NULL, NULL); DROP TABLE gone`,
  },
  {
    name: "views that fail now",
    unfilled: ["public.boom", "public.fine", "public.twice"],
    findings: [
      /stay empty.*: "public"."boom" \(division by zero\), "public"."twice" \(two rows have the same a\), "public"."fine" \(reads "public"."twice"\)$/,
      /will be NOT VALID.*: "ck" on "public"."u" \(rows violate it\)$/,
    ],
    sql: `CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE MATERIALIZED VIEW boom AS SELECT 10 / a AS q FROM t; CREATE MATERIALIZED VIEW twice AS SELECT a % 2 AS a FROM t; CREATE UNIQUE INDEX ON twice (a); CREATE MATERIALIZED VIEW fine AS SELECT * FROM twice;
      INSERT INTO t VALUES (0), (2), (NULL), (NULL);
      CREATE FUNCTION passes(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE TABLE u (a int CONSTRAINT ck CHECK (passes(a)), CONSTRAINT fine CHECK (passes(a * 0 + 1))); INSERT INTO u VALUES (-1); CREATE OR REPLACE FUNCTION passes(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'`,
  },
  {
    name: "code of others",
    from: 14,
    unfilled: ["public.boom"],
    findings: [
      /MATERIALIZED VIEW DATA public.boom: .*: division by zero$/,
      /neither superusers nor this role own: "public"."boom", "public"."hidden", "public"."later", "public"."plain", "public"."t"."g"$/,
      /: "ck" on "public"."t", "public"."i"$/,
    ],
    sql: `CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; ALTER FUNCTION f(int) OWNER TO there; CREATE TABLE t (a int, g int GENERATED ALWAYS AS (f(a)) STORED, CONSTRAINT ck CHECK (f(a) >= 0)); INSERT INTO t VALUES (1); CREATE INDEX i ON t (f(a));
      CREATE VIEW calls AS SELECT f(a) AS a FROM t; CREATE MATERIALIZED VIEW hidden AS SELECT max(a) FROM calls; CREATE MATERIALIZED VIEW later AS SELECT table_to_xml(('public.ca' || 'lls')::regclass, true, true, '') AS x; CREATE MATERIALIZED VIEW plain AS SELECT a, lower(a::text) AS l, count(*) FROM t GROUP BY a; CREATE UNIQUE INDEX ON plain (a); CREATE MATERIALIZED VIEW boom AS SELECT 10 / a AS q FROM t; INSERT INTO t VALUES (0); REFRESH MATERIALIZED VIEW plain; REFRESH MATERIALIZED VIEW later`,
  },
  {
    name: "labels",
    from: 14,
    findings: [/labels are migrated only/],
    sql: `CREATE TABLE t (a int); INSERT INTO t VALUES (1); SET allow_system_table_mods = on; INSERT INTO pg_seclabel (objoid, classoid, objsubid, provider, label) VALUES ('t'::regclass, 'pg_class'::regclass, 0, 'selinux', 'system_u:object_r:sepgsql_table_t:s0'), ('t'::regclass, 'pg_class'::regclass, 1, 'anon', 'MASKED WITH FUNCTION anon.fake()')`,
  },
];

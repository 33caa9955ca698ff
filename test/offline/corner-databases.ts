import type { HardDatabase } from "./databases";

/** Rare variants of every kind of object that pg_dump supports. */
export const cornerDatabases: readonly HardDatabase[] = [
  {
    name: "stranger partitions",
    from: 14,
    sql: `    CREATE TABLE p (a int NOT NULL, b text DEFAULT 'root', c numeric, d int GENERATED ALWAYS AS (a * 2) STORED, CONSTRAINT c_pos CHECK (c > 0)) PARTITION BY RANGE (a);
    CREATE TABLE p_odd (junk int, c numeric, junk2 text, d int GENERATED ALWAYS AS (a * 2) STORED, a int NOT NULL, b text DEFAULT 'leaf', CONSTRAINT c_pos CHECK (c > 0), CONSTRAINT own CHECK (a < 1000)) WITH (fillfactor = 40);
    ALTER TABLE p_odd DROP COLUMN junk, DROP COLUMN junk2; CREATE INDEX "my own ix" ON p_odd (b); CREATE UNIQUE INDEX "my own key" ON p_odd (a);
    ALTER TABLE p_odd ADD CONSTRAINT odd_pk PRIMARY KEY USING INDEX "my own key";
    ALTER TABLE p ATTACH PARTITION p_odd FOR VALUES FROM (0) TO (100);
    CREATE TABLE p_def PARTITION OF p DEFAULT PARTITION BY LIST (b); CREATE TABLE p_def_null PARTITION OF p_def FOR VALUES IN (NULL, 'x'); CREATE TABLE p_def_rest PARTITION OF p_def DEFAULT;
    ALTER TABLE p_def_rest ALTER b SET DEFAULT 'rest', ALTER c SET NOT NULL;
    CREATE INDEX root_b ON p (b); CREATE INDEX root_only ON ONLY p (c); CREATE INDEX att ON p_odd (c); ALTER INDEX root_only ATTACH PARTITION att;
    INSERT INTO p (a, b, c) SELECT i, CASE WHEN i % 3 = 0 THEN NULL ELSE 'b' || i END, i FROM generate_series(1, 200) i;
    CREATE TABLE ex (k text COLLATE "C", v int) PARTITION BY RANGE (lower(k) COLLATE "C", (v % 10)); CREATE TABLE ex1 PARTITION OF ex FOR VALUES FROM (MINVALUE, MINVALUE) TO ('m', 5); CREATE TABLE ex2 PARTITION OF ex FOR VALUES FROM ('m', 5) TO (MAXVALUE, MAXVALUE); INSERT INTO ex SELECT chr(97 + i % 26), i FROM generate_series(1, 100) i;
    CREATE TABLE h (id int, t text) PARTITION BY HASH (t); CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 3, REMAINDER 0); CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 3, REMAINDER 1); CREATE TABLE h2 PARTITION OF h FOR VALUES WITH (MODULUS 3, REMAINDER 2); INSERT INTO h SELECT i, md5(i::text) FROM generate_series(1, 200) i;
   
    CREATE TABLE noparts (a int PRIMARY KEY) PARTITION BY RANGE (a); CREATE INDEX ON noparts ((a + 1));
    CREATE SCHEMA other; CREATE TABLE other.p_else (LIKE p INCLUDING GENERATED INCLUDING CONSTRAINTS); ALTER TABLE p ATTACH PARTITION other.p_else FOR VALUES FROM (500) TO (600); INSERT INTO p (a, c) VALUES (555, 1);
    CREATE TABLE sub (a int, b int, PRIMARY KEY (a, b)) PARTITION BY RANGE (a); CREATE TABLE sub1 PARTITION OF sub FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (b); CREATE TABLE sub11 PARTITION OF sub1 FOR VALUES FROM (0) TO (10); 
    CREATE TABLE refsub (a int, b int, FOREIGN KEY (a, b) REFERENCES sub11, FOREIGN KEY (a, b) REFERENCES sub DEFERRABLE INITIALLY DEFERRED); INSERT INTO sub VALUES (1, 1); INSERT INTO refsub VALUES (1, 1);
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tr AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION tf(); ALTER TABLE p_odd DISABLE TRIGGER tr; ALTER TABLE p_def_null ENABLE ALWAYS TRIGGER tr; CREATE TRIGGER only_leaf BEFORE UPDATE OF b ON p_odd FOR EACH ROW WHEN (OLD.b IS DISTINCT FROM NEW.b) EXECUTE FUNCTION tf('a\\b', E'x\\ny', 'ü''');
    ALTER TABLE p REPLICA IDENTITY FULL; CLUSTER p_odd USING odd_pk; ALTER INDEX root_b RENAME TO "Root B"; COMMENT ON INDEX "Root B" IS 'i'; COMMENT ON COLUMN p_odd.c IS 'odd c';`,
  },
  {
    name: "odd inheritance",
    from: 14,
    sql: `    CREATE TABLE top (a int, b int NOT NULL DEFAULT 1, c text DEFAULT 't', CHECK (a > 0)); CREATE TABLE mid (LIKE top INCLUDING ALL, d int) INHERITS (top); CREATE TABLE low () INHERITS (mid);
    ALTER TABLE low ALTER c SET DEFAULT 'low', ALTER b DROP DEFAULT; ALTER TABLE mid ALTER c DROP DEFAULT; ALTER TABLE top ADD COLUMN late int DEFAULT 5; ALTER TABLE ONLY top ADD CONSTRAINT noin CHECK (b > 0) NO INHERIT;
    CREATE TABLE g1 (a int, g int GENERATED ALWAYS AS (a + 1) STORED); CREATE TABLE g2 () INHERITS (g1); INSERT INTO g1 VALUES (1); INSERT INTO g2 VALUES (1);
    CREATE TABLE two (x int) ; CREATE TABLE "both" (x int) INHERITS (two, top); INSERT INTO "both" VALUES (1, 2, 3, 'q', 9); ALTER TABLE "both" NO INHERIT two; 
    INSERT INTO top VALUES (1, 1, 'x', 2); INSERT INTO mid VALUES (1, 2, 'm', 3, 4); INSERT INTO low VALUES (1, 2, NULL, 4, 5);
    CREATE TABLE det (a int PRIMARY KEY, b int) PARTITION BY RANGE (a); CREATE TABLE det1 PARTITION OF det FOR VALUES FROM (0) TO (10); CREATE INDEX ON det (b); INSERT INTO det VALUES (1, 1); ALTER TABLE det DETACH PARTITION det1;
    CREATE TABLE inh_nn (a int); CREATE TABLE inh_nn_c () INHERITS (inh_nn); ALTER TABLE inh_nn_c ALTER a SET NOT NULL; 
    CREATE TABLE kw ("order" int, "group" int, CONSTRAINT "primary" CHECK ("order" > 0), CONSTRAINT "check" UNIQUE ("group")); INSERT INTO kw VALUES (1, 1);
    CREATE TABLE rowcheck (a int, b int, CONSTRAINT whole CHECK ((rowcheck.*) IS NOT NULL)); INSERT INTO rowcheck VALUES (1, 2);
    CREATE TABLE ct (a int, "CHECK (" int CHECK ("CHECK (" > 0), b text DEFAULT ' CHECK (' CHECK (b <> 'CONSTRAINT x CHECK (f(1))')); INSERT INTO ct VALUES (1, 1, 'b');`,
  },
  {
    name: "functions everywhere",
    from: 14,
    sql: `    CREATE SCHEMA lib; CREATE TABLE lib.conf (k text PRIMARY KEY, v int); INSERT INTO lib.conf VALUES ('max', 100);
    CREATE FUNCTION lib.lim() RETURNS int LANGUAGE sql IMMUTABLE SET search_path = lib AS 'SELECT v FROM conf WHERE k = ''max''';
    CREATE FUNCTION lib.lim_atomic() RETURNS int LANGUAGE sql STABLE BEGIN ATOMIC SELECT v FROM lib.conf WHERE k = 'max'; END;
    CREATE FUNCTION lib.vol(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
    CREATE TABLE gen (id int PRIMARY KEY, x int, y int GENERATED ALWAYS AS (lib.vol(x)) STORED, z int GENERATED ALWAYS AS (lib.vol(x) + lib.lim()) STORED, CHECK (x < lib.lim()), CHECK (lib.lim_atomic() > x)); INSERT INTO gen SELECT i, i FROM generate_series(1, 50) i;
    CREATE INDEX ON gen (lib.vol(y)); CREATE INDEX ON gen ((x + lib.lim())); CREATE UNIQUE INDEX ON gen (lib.vol(x)) WHERE lib.lim() > 5;
    CREATE STATISTICS gs ON (lib.vol(x)), (x % 10) FROM gen; 
    CREATE DOMAIN lib.limited AS int CHECK (VALUE <= lib.lim()); CREATE TABLE usesdom (id int, v lib.limited, vs lib.limited[], d lib.limited DEFAULT lib.lim()); INSERT INTO usesdom VALUES (1, 100, '{1,2}');
    CREATE TYPE lib.pair AS (a lib.limited, b text); CREATE DOMAIN lib.dpair AS lib.pair CHECK ((VALUE).a IS NOT NULL AND lib.lim() > (VALUE).a); CREATE TABLE usesdpair (p lib.dpair); INSERT INTO usesdpair VALUES (ROW(5, 'x'));
    CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; CREATE TABLE guarded (id int PRIMARY KEY); INSERT INTO guarded SELECT generate_series(1, 10); CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION raises(); CREATE TRIGGER tt BEFORE TRUNCATE ON guarded EXECUTE FUNCTION raises(); ALTER TABLE guarded ENABLE ALWAYS TRIGGER t;
    CREATE FUNCTION strict_now(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'; CREATE TABLE violates (a int CHECK (strict_now(a)), b int); INSERT INTO violates VALUES (1, 1), (-5, 2); CREATE OR REPLACE FUNCTION strict_now(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 > 0; END';
    CREATE TABLE bydefault (id int DEFAULT (random() * 1000)::int, u uuid DEFAULT gen_random_uuid(), t timestamptz DEFAULT clock_timestamp(), n text DEFAULT current_user, s text DEFAULT current_setting('search_path')); INSERT INTO bydefault DEFAULT VALUES;
    CREATE PROCEDURE pr(INOUT a int, b text DEFAULT 'x') LANGUAGE plpgsql AS 'BEGIN a := a + 1; COMMIT; END';
    CREATE FUNCTION atomic2(n int DEFAULT lib.lim()) RETURNS SETOF gen LANGUAGE sql BEGIN ATOMIC SELECT * FROM gen WHERE id < n; INSERT INTO lib.conf VALUES ('z', 1) ON CONFLICT DO NOTHING; SELECT * FROM gen; END;
    CREATE VIEW vgen AS SELECT * FROM atomic2(3); CREATE FUNCTION fv() RETURNS SETOF vgen LANGUAGE sql BEGIN ATOMIC SELECT * FROM vgen; END; CREATE MATERIALIZED VIEW mv AS SELECT * FROM fv();
    CREATE FUNCTION trans() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM count(*) FROM newrows; RETURN NULL; END'; CREATE TRIGGER tn AFTER UPDATE ON gen REFERENCING OLD TABLE AS oldrows NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION trans(); CREATE CONSTRAINT TRIGGER cons AFTER INSERT OR UPDATE OF x ON gen FROM lib.conf DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.x > lib.lim()) EXECUTE FUNCTION raises(); ALTER TABLE gen DISABLE TRIGGER tn, ENABLE REPLICA TRIGGER cons;`,
  },
  {
    name: "a domain that looks elsewhere",
    sql: `CREATE TABLE a_codes (c text PRIMARY KEY, pad text); CREATE FUNCTION known(text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM public.a_codes WHERE c = $1)'; CREATE DOMAIN code AS text CHECK (known(VALUE)); INSERT INTO a_codes SELECT 'k' || i FROM generate_series(1, 10) i; CREATE TABLE big (id int, c code); INSERT INTO big SELECT i, 'k1' FROM generate_series(1, 50000) i;`,
  },
  {
    name: "inherited columns that must not be null",
    sql: `CREATE TABLE top (x int, y int, "z z" int); CREATE TABLE below (v int) INHERITS (top); ALTER TABLE below ALTER x SET NOT NULL, ALTER "z z" SET NOT NULL;
      CREATE TABLE bare () INHERITS (top); ALTER TABLE bare ALTER y SET NOT NULL; INSERT INTO below VALUES (1, NULL, 1, NULL)`,
  },
  {
    name: "odd sequences",
    sql: `    CREATE SEQUENCE shared; CREATE TABLE s1 (a int DEFAULT nextval('shared'), b int DEFAULT nextval('shared')); CREATE TABLE s2 (a int DEFAULT nextval('shared') PRIMARY KEY); ALTER SEQUENCE shared OWNED BY s2.a; INSERT INTO s1 DEFAULT VALUES; INSERT INTO s2 DEFAULT VALUES;
    CREATE TABLE small (id smallserial PRIMARY KEY, v int); SELECT setval('small_id_seq', 32767); CREATE TABLE idn (id bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "Odd Seq" START -10 MINVALUE -100 MAXVALUE -1 INCREMENT 3 CACHE 7 CYCLE), v int); INSERT INTO idn (v) SELECT generate_series(1, 5); ALTER TABLE idn ALTER v SET NOT NULL; ALTER TABLE idn ALTER v ADD GENERATED BY DEFAULT AS IDENTITY;
    CREATE TABLE nodef (id serial); ALTER TABLE nodef ALTER id DROP DEFAULT; CREATE TABLE renamed (id serial); ALTER SEQUENCE renamed_id_seq RENAME TO "else where"; ALTER TABLE renamed RENAME id TO "ID x"; INSERT INTO renamed DEFAULT VALUES;
    CREATE SCHEMA a; CREATE SCHEMA b; CREATE SEQUENCE a.q; CREATE TABLE b.t (id int DEFAULT nextval('a.q'::text), id2 int DEFAULT nextval('a.q')); INSERT INTO b.t DEFAULT VALUES; CREATE SEQUENCE desc_seq INCREMENT -1 MAXVALUE -1 START -1; SELECT nextval('desc_seq'); SELECT setval('desc_seq', -9, false);
    CREATE SEQUENCE big MAXVALUE 9223372036854775807 START 9223372036854775807; SELECT nextval('big'); CREATE SEQUENCE intseq AS integer CACHE 1000 START 7; CREATE VIEW seqview AS SELECT last_value FROM shared; COMMENT ON SEQUENCE big IS 'big'; GRANT SELECT, UPDATE ON SEQUENCE big TO there; ALTER SEQUENCE intseq OWNER TO there;
    CREATE TABLE part (id int GENERATED BY DEFAULT AS IDENTITY, v text); INSERT INTO part (v) VALUES ('x'); CREATE TABLE child () INHERITS (part); INSERT INTO child (id, v) VALUES (7, 'c'); CREATE TABLE wide_owner (a int); CREATE SEQUENCE owned_unused OWNED BY wide_owner.a; CREATE UNLOGGED TABLE unl (id int GENERATED ALWAYS AS IDENTITY, b serial); INSERT INTO unl DEFAULT VALUES;`,
  },
  {
    name: "without public",
    sql: `DROP SCHEMA public CASCADE; CREATE SCHEMA app; CREATE TABLE app.t (a int); INSERT INTO app.t VALUES (1);`,
  },
  {
    name: "another public",
    sql: `ALTER SCHEMA public RENAME TO old_public; CREATE SCHEMA public AUTHORIZATION there; COMMENT ON SCHEMA public IS NULL; CREATE TABLE public.t (a int); CREATE TABLE old_public.t (a int); INSERT INTO old_public.t VALUES (1); GRANT ALL ON SCHEMA public TO PUBLIC;`,
  },
  {
    name: "extensions",
    from: 14,
    findings: [/casts between .* ext.hstore AS xml/, /privileges on .*similarity.*crypt/],
    sql: `    CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION pg_trgm SCHEMA ext; CREATE EXTENSION btree_gist; CREATE EXTENSION intarray; CREATE EXTENSION cube; CREATE EXTENSION isn; CREATE EXTENSION seg; CREATE EXTENSION lo; CREATE EXTENSION unaccent; CREATE EXTENSION pgcrypto; CREATE EXTENSION "uuid-ossp" SCHEMA ext; CREATE EXTENSION citext; CREATE EXTENSION dict_int; CREATE EXTENSION btree_gin;
    CREATE TABLE e (h ext.hstore, i int[], c cube, isb isbn13, s seg, l lo, ci citext, u uuid DEFAULT ext.uuid_generate_v4(), r int4range); INSERT INTO e (h, i, c, isb, s, ci, r) VALUES ('a=>"b,c", "d\\"e"=>NULL', '{3,1,2}', '(1,2),(3,4)', '978-0-393-04002-9', '1.5 .. 2.50', 'AbC', '[1,5)'), ('', '{}', '(0)', '978-0-11-000222-4!', '~5', '', NULL);
    CREATE INDEX ON e USING gin (h ext.gin_hstore_ops); CREATE INDEX ON e USING gist (i gist__int_ops(numranges = 50)); CREATE INDEX ON e USING gist (c); ALTER TABLE e ADD EXCLUDE USING gist (s WITH &&, (coalesce(r, 'empty')) WITH &&) WHERE (ci <> ''); CREATE UNIQUE INDEX ON e (ci); CREATE TRIGGER lom BEFORE UPDATE OR DELETE ON e FOR EACH ROW EXECUTE FUNCTION lo_manage(l);
    CREATE EXTENSION pageinspect SCHEMA ext; GRANT EXECUTE ON FUNCTION ext.get_raw_page(text, int8) TO there; COMMENT ON EXTENSION pageinspect IS 'left out';
    GRANT EXECUTE ON FUNCTION ext.similarity(text, text) TO there; REVOKE EXECUTE ON FUNCTION crypt(text, text) FROM PUBLIC; COMMENT ON EXTENSION hstore IS 'mine'; CREATE TEXT SEARCH CONFIGURATION fr (COPY = french); ALTER TEXT SEARCH CONFIGURATION fr ALTER MAPPING FOR hword, hword_part, word WITH unaccent, french_stem; ALTER TEXT SEARCH DICTIONARY intdict (MAXLEN = 4); CREATE TEXT SEARCH DICTIONARY mydict (TEMPLATE = intdict_template, MAXLEN = 3);
    CREATE FUNCTION usesext(h ext.hstore DEFAULT 'a=>1') RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 OPERATOR(ext.->) ''a'''; CREATE INDEX ON e (usesext(h)); CREATE VIEW ve AS SELECT h OPERATOR(ext.->) 'a' AS a, ci = 'abc' AS b FROM e; CREATE DOMAIN dci AS citext CHECK (VALUE ~ '^a'); CREATE TYPE hc AS (h ext.hstore, c cube[]); CREATE TABLE ehc (x hc, d dci); INSERT INTO ehc VALUES (ROW('a=>1', ARRAY['(1)'::cube]), 'ABC'); CREATE CAST (ext.hstore AS xml) WITH INOUT;`,
  },
  {
    name: "operators and casts",
    from: 14,
    sql: `    CREATE FUNCTION eq(text, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2::text'; CREATE FUNCTION qe(int, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1::text = $2'; CREATE FUNCTION ne(text, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> $2::text';
    CREATE SCHEMA ops; CREATE OPERATOR ops.=== (LEFTARG = text, RIGHTARG = int, PROCEDURE = eq, COMMUTATOR = OPERATOR(ops.===), NEGATOR = OPERATOR(ops.!==), HASHES, MERGES); CREATE OPERATOR ops.=== (LEFTARG = int, RIGHTARG = text, PROCEDURE = qe, COMMUTATOR = OPERATOR(ops.===), HASHES, MERGES); CREATE OPERATOR ops.!== (LEFTARG = text, RIGHTARG = int, PROCEDURE = ne, NEGATOR = OPERATOR(ops.===)); ALTER OPERATOR ops.=== (text, int) OWNER TO there; COMMENT ON OPERATOR ops.=== (text, int) IS 'o';
    CREATE TYPE cplx AS (r float8, i float8); CREATE FUNCTION cadd(cplx, cplx) RETURNS cplx LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1.r + $2.r, $1.i + $2.i)::public.cplx'; CREATE OPERATOR + (LEFTARG = cplx, RIGHTARG = cplx, FUNCTION = cadd, COMMUTATOR = +); CREATE AGGREGATE csum(cplx) (SFUNC = cadd, STYPE = cplx, INITCOND = '(0,0)', PARALLEL = safe, COMBINEFUNC = cadd); CREATE TABLE ct (a cplx, b cplx GENERATED ALWAYS AS (a + a) STORED); INSERT INTO ct VALUES (ROW(1, 2)); CREATE MATERIALIZED VIEW cm AS SELECT csum(a) FROM ct; 
    CREATE FUNCTION clt(cplx, cplx) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1.r < $2.r'; CREATE OPERATOR <# (LEFTARG = cplx, RIGHTARG = cplx, FUNCTION = clt, RESTRICT = scalarltsel, JOIN = scalarltjoinsel); CREATE FUNCTION vagg(anyarray, VARIADIC anyarray) RETURNS anyarray LANGUAGE sql AS 'SELECT $1'; CREATE FUNCTION of2(float8[], float8, text) RETURNS float8 LANGUAGE sql AS 'SELECT 1.0::float8'; CREATE FUNCTION st2(float8[], float8) RETURNS float8[] LANGUAGE sql AS 'SELECT $1 || $2'; CREATE AGGREGATE hyp(float8 ORDER BY float8) (SFUNC = st2, STYPE = float8[], INITCOND = '{}');
    CREATE CAST (cplx AS text) WITH INOUT AS ASSIGNMENT; CREATE FUNCTION c2f(cplx) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT $1.r'; CREATE CAST (cplx AS float8) WITH FUNCTION c2f(cplx); CREATE TYPE e1 AS ENUM ('a'); CREATE DOMAIN di AS int; CREATE FUNCTION i2e(int) RETURNS e1 LANGUAGE sql AS 'SELECT ''a''::public.e1'; CREATE CAST (int AS e1) WITH FUNCTION i2e(int) AS IMPLICIT;`,
  },
  {
    name: "odd storage",
    from: 14,
    sql: `    CREATE TABLE st (id int PRIMARY KEY, a text COMPRESSION pglz, b text, c text, d int) WITH (fillfactor = 33, toast_tuple_target = 256, toast.autovacuum_vacuum_cost_delay = 3, autovacuum_enabled = false, user_catalog_table = true, vacuum_truncate = false, log_autovacuum_min_duration = 7, vacuum_index_cleanup = off);
    ALTER TABLE st ALTER b SET STORAGE EXTERNAL, ALTER c SET STATISTICS 1234, ALTER d SET (n_distinct = -0.25, n_distinct_inherited = 3); CREATE INDEX st_e ON st ((id + 1), lower(a)) WITH (fillfactor = 12); ALTER INDEX st_e ALTER COLUMN 1 SET STATISTICS 77; ALTER INDEX st_e ALTER COLUMN 2 SET STATISTICS 0; CREATE UNIQUE INDEX st_ri ON st (d, id); ALTER TABLE st ALTER d SET NOT NULL, REPLICA IDENTITY USING INDEX st_ri; CREATE INDEX st_cl ON st (c); ALTER TABLE st CLUSTER ON st_cl; 
    CREATE STATISTICS st1 (ndistinct, mcv) ON a, b, (lower(c)) FROM st; ALTER STATISTICS st1 SET STATISTICS 55; CREATE STATISTICS "St ""2""" (dependencies) ON id, d FROM st; COMMENT ON STATISTICS st1 IS 'st'; ALTER STATISTICS st1 OWNER TO there; CREATE STATISTICS st3 ON (d % 7) FROM st; INSERT INTO st SELECT i, repeat('a', 5000), repeat(md5(i::text), 300), 'c', i FROM generate_series(1, 30) i;
    CREATE INDEX gin ON st USING gin (to_tsvector('english', a)) WITH (fastupdate = off, gin_pending_list_limit = 100); CREATE INDEX br ON st USING brin (id int4_bloom_ops(n_distinct_per_range = 50)) WITH (pages_per_range = 3); CREATE TABLE nothing (a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING; CREATE UNIQUE INDEX incl ON st (id) INCLUDE (a) WHERE d > 3; ALTER TABLE st ADD CONSTRAINT dd UNIQUE (d) DEFERRABLE, ADD CONSTRAINT uu UNIQUE (id, d) INCLUDE (c) WITH (fillfactor = 20) DEFERRABLE INITIALLY DEFERRED; COMMENT ON CONSTRAINT uu ON st IS 'uu';
    CREATE UNLOGGED TABLE ul (a int PRIMARY KEY, b text); INSERT INTO ul VALUES (1, 'u'); CREATE INDEX ON ul USING hash (b); ALTER INDEX ul_pkey SET (fillfactor = 55); CREATE TABLE opt (a int) WITH (autovacuum_analyze_scale_factor = 1e-05); ALTER TABLE opt ADD COLUMN b text DEFAULT repeat('x', 10); CREATE INDEX inv ON opt (a); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'inv'::regclass;`,
  },
  {
    name: "odd views",
    from: 14,
    sql: `    CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2);
    CREATE VIEW va (x, "y z") WITH (security_barrier = true, check_option = local) AS SELECT id, a FROM t WHERE b > 0; CREATE VIEW vb AS SELECT t AS whole, t.* FROM t; CREATE VIEW vc AS SELECT (whole).id FROM vb;
    CREATE VIEW vd AS SELECT DISTINCT ON (b) * FROM t ORDER BY b, id DESC NULLS LAST LIMIT 5 OFFSET 0; CREATE VIEW ve AS WITH RECURSIVE r AS (SELECT id FROM t UNION SELECT id + 1 FROM r WHERE id < 5) SELECT * FROM r;
    CREATE VIEW vf AS SELECT sum(b) FILTER (WHERE a <> 'q') OVER w AS s, rank() OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM t WINDOW w AS (PARTITION BY a ORDER BY id); CREATE VIEW vg AS SELECT t.a, t2.b, j.id FROM t JOIN t AS t2 USING (id) AS j; CREATE VIEW vh AS SELECT * FROM json_to_recordset('[{"a":1}]') AS x(a int, b text); CREATE VIEW vi AS SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY['a', 'b'])) WITH ORDINALITY AS q(a, b, c);
    CREATE VIEW vj AS SELECT a COLLATE "C", xmlparse(document '<a/>') x, extract(year from now()) y, ('a'::text || 'b')::char(3) z, ARRAY[[1, 2], [3, 4]] arr, NULL::t AS r FROM t;
    CREATE VIEW upd AS SELECT * FROM t; CREATE RULE r1 AS ON INSERT TO upd WHERE NEW.id > 5 DO ALSO (INSERT INTO t VALUES (NEW.id + 1, NEW.a, 1); UPDATE t SET a = NEW.a WHERE id = NEW.id;); CREATE RULE r2 AS ON UPDATE TO upd DO INSTEAD UPDATE t SET a = NEW.a WHERE id = OLD.id RETURNING *; COMMENT ON VIEW upd IS 'u'; COMMENT ON COLUMN upd.a IS 'ua';
    CREATE TABLE ruled (a int); CREATE RULE always AS ON INSERT TO ruled DO ALSO INSERT INTO t VALUES (NEW.a + 100, 'r', 1); INSERT INTO ruled VALUES (1); ALTER TABLE ruled ENABLE ALWAYS RULE always; CREATE RULE rep AS ON DELETE TO ruled DO INSTEAD NOTHING; ALTER TABLE ruled ENABLE REPLICA RULE rep;
    CREATE FUNCTION depends(va) RETURNS int LANGUAGE sql AS 'SELECT $1.x'; CREATE VIEW vk AS SELECT depends(va.*) AS d FROM va; CREATE FUNCTION retv() RETURNS SETOF vk LANGUAGE sql AS 'SELECT * FROM public.vk'; CREATE VIEW vl AS SELECT * FROM retv(); CREATE OR REPLACE FUNCTION depends(va) RETURNS int LANGUAGE sql AS 'SELECT $1.x + (SELECT count(*)::int FROM public.vl WHERE false)';
    CREATE MATERIALIZED VIEW m_empty AS SELECT * FROM t WITH NO DATA; CREATE UNIQUE INDEX ON m_empty (id); CREATE MATERIALIZED VIEW m_on AS SELECT count(*) FROM pg_class WHERE relname = 't'; CREATE MATERIALIZED VIEW m_v WITH (fillfactor = 50) AS SELECT * FROM vd; CREATE MATERIALIZED VIEW m_m AS SELECT id, count(*) OVER () FROM m_v; CREATE INDEX m_ix ON m_m (id) INCLUDE (count); ALTER MATERIALIZED VIEW m_m CLUSTER ON m_ix; CREATE VIEW on_m AS SELECT * FROM m_m; CREATE STATISTICS mst ON id, count FROM m_m; ALTER TABLE m_m ALTER id SET STATISTICS 7; GRANT SELECT ON m_m TO PUBLIC;
    CREATE FUNCTION io() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER io INSTEAD OF INSERT OR UPDATE ON on_m FOR EACH ROW EXECUTE FUNCTION io(); CREATE TRIGGER st AFTER DELETE ON va FOR EACH STATEMENT EXECUTE FUNCTION io(); ALTER VIEW va ALTER "y z" SET DEFAULT 'dflt'; ALTER VIEW va OWNER TO there; CREATE TEMP TABLE tmp (a int); CREATE VIEW no_from AS SELECT 1 AS "?column?", 2 AS "a""b";
    CREATE TABLE aggd (id int PRIMARY KEY, x int); CREATE VIEW grouped AS SELECT aggd.*, count(*) n FROM aggd GROUP BY aggd.id; CREATE MATERIALIZED VIEW mgrouped AS SELECT * FROM grouped; CREATE FUNCTION ongrouped() RETURNS SETOF grouped LANGUAGE sql AS 'SELECT * FROM public.grouped'; CREATE TABLE usesrow (r grouped); CREATE VIEW again AS SELECT * FROM ongrouped(); CREATE RULE onagain AS ON INSERT TO again DO INSTEAD NOTHING;`,
  },
  {
    name: "odd security",
    from: 16,
    sql: `    CREATE TABLE t (id int PRIMARY KEY, who name DEFAULT current_user); INSERT INTO t VALUES (1, 'a'); ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY; CREATE POLICY p ON t AS RESTRICTIVE USING (who = current_user AND EXISTS (SELECT FROM t x WHERE x.id = t.id)); CREATE POLICY "q q" ON t FOR DELETE TO there, g3, SESSION_USER USING (id > 1);
    CREATE VIEW inv WITH (security_invoker = true) AS SELECT * FROM t; ALTER VIEW inv OWNER TO g3; GRANT SELECT (id), UPDATE (who) ON t TO g2 WITH GRANT OPTION; GRANT SELECT (id) ON inv TO PUBLIC; 
    CREATE SCHEMA s AUTHORIZATION there; SET ROLE there; CREATE TABLE s.x (a int, b int); GRANT USAGE ON SCHEMA s TO g2; GRANT SELECT ON s.x TO g2 WITH GRANT OPTION; SET ROLE g2; GRANT SELECT ON s.x TO g3; RESET ROLE; REVOKE INSERT, TRUNCATE ON s.x FROM there; 
    ALTER DEFAULT PRIVILEGES FOR ROLE there IN SCHEMA s GRANT SELECT, INSERT ON TABLES TO g2 WITH GRANT OPTION; ALTER DEFAULT PRIVILEGES FOR ROLE there REVOKE ALL ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE g3 REVOKE ALL ON TABLES FROM g3; 
    CREATE FUNCTION sd() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; ALTER FUNCTION sd() OWNER TO g2; GRANT EXECUTE ON FUNCTION sd() TO there WITH GRANT OPTION; REVOKE EXECUTE ON FUNCTION sd() FROM g2; CREATE TYPE ty AS (a int); ALTER TYPE ty OWNER TO there; REVOKE ALL ON TYPE ty FROM PUBLIC, there; CREATE TABLE allrevoked (a int); REVOKE ALL ON allrevoked FROM CURRENT_USER; INSERT INTO allrevoked VALUES (1); GRANT TRIGGER ON allrevoked TO there;
    CREATE TABLE colgrant (a int, "b ""c" int); GRANT ALL ("b ""c") ON colgrant TO PUBLIC; GRANT REFERENCES (a) ON colgrant TO there; CREATE SEQUENCE sq; REVOKE ALL ON SEQUENCE sq FROM CURRENT_USER; COMMENT ON SCHEMA public IS 'mine'; ALTER SCHEMA public OWNER TO there; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO g2;`,
  },
  {
    name: "odd publications",
    from: 16,
    findings: [/publications .*sch, mixed/],
    sql: `    CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY, b int, c text); CREATE TABLE b (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE b1 PARTITION OF b DEFAULT; INSERT INTO s.a VALUES (1, 2, 'x'); INSERT INTO b VALUES (1);
    CREATE PUBLICATION "Pub 1" FOR TABLE s.a (id, c) WHERE (id > 5 AND c <> 'q'), b WITH (publish = 'insert, update', publish_via_partition_root = true); CREATE PUBLICATION empty; CREATE PUBLICATION sch FOR TABLES IN SCHEMA s; CREATE PUBLICATION mixed FOR TABLE b, TABLES IN SCHEMA s; ALTER PUBLICATION "Pub 1" OWNER TO there; COMMENT ON PUBLICATION empty IS 'e';
    CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere password=geheim' PUBLICATION x, y WITH (connect = false, slot_name = NONE, binary = true, streaming = parallel); COMMENT ON SUBSCRIPTION sub IS 'ss';`,
  },
  {
    name: "odd data",
    from: 14,
    sql: `    CREATE TABLE b (id int PRIMARY KEY, v bytea, t text); INSERT INTO b SELECT 1, string_agg(decode(lpad(to_hex(i), 2, '0'), 'hex'), ''::bytea ORDER BY i), string_agg(chr(i), '' ORDER BY i) FROM generate_series(1, 255) i; INSERT INTO b VALUES (2, '', ''), (3, NULL, NULL), (4, '\\x', '\\N'), (5, '\\x00', '\\.'), (6, NULL, E'\\r\\n\\t\\\\\\x08\\x0b\\x0c');
    CREATE TABLE arr (a int[], b text[], c numeric[][], d jsonb[], e timestamptz[]); INSERT INTO arr VALUES ('[-5:-3]={1,2,3}', '{}', '[2:3][-1:0]={{1,NaN},{NULL,-0.00}}', ARRAY['null'::jsonb, NULL], '{infinity,-infinity,NULL}'), ('{}', '{"",NULL,"NULL","{}"}', '{}', '{}', NULL);
    CREATE TABLE num (n numeric, m numeric(10, 2), i interval, d date, x xml, j json, y money); INSERT INTO num VALUES ('Infinity', 1.10, '-2147483648 months', '4714-11-24 BC', '<?xml version="1.0" encoding="latin1"?><a>b</a>', '{"a":1,"a":2,  "b":"\\u0000"}', 0), ('-Infinity', 0.00, '2147483647 days', '-infinity', 'text only', ' [1 , 2]', -1), (('1e' || 131071)::numeric, NULL, NULL, '5874897-12-31', NULL, 'null', NULL), (('1e-' || 16383)::numeric, -0.01, '1 us', 'infinity', '<a/><b/>', '""', NULL);
    CREATE TYPE inner_t AS (a int, b text[]); CREATE TABLE comp (c inner_t, cs inner_t[], r int4multirange, rs daterange[]); INSERT INTO comp VALUES (ROW(NULL, NULL), ARRAY[ROW(1, '{a,"b c"}')::inner_t, NULL, ROW(NULL, '{}')::inner_t], '{[1,2),[5,)}', '{empty,"[2020-01-01,)","(,)"}'), (NULL, '{}', '{}', NULL), (ROW(1, ARRAY['"', '\\', ',', '(', NULL]), NULL, NULL, NULL);
    CREATE TABLE tm (a time, b timetz, c timestamp, d timestamptz, e interval year to month, f interval day to second(3), g timestamp(0)); INSERT INTO tm VALUES ('24:00', '23:59:60+15:59:59', '294276-12-31 23:59:59.999999', '4714-11-24 00:00:00+00 BC', '1 year 2 months 3 days', '1 day 02:03:04.56789', '2020-01-01 00:00:00.6');
    CREATE TABLE misc (a xid8, b pg_snapshot, c macaddr8, d jsonpath, e "char", f name[], g oidvector, h refcursor, i pg_lsn, j regcollation, k tsvector, l tsquery, m varbit, n bit varying(3)[], o cidr, p inet); INSERT INTO misc VALUES ('18446744073709551615', '10:20:10,14', '08:00:2b:01:02:03:04:05', '$.a[*] ? (@.b > 1)', E'\\\\377'::"char", '{a,"b c"}', '1 2 3', 'x', 'FFFFFFFF/FFFFFFFF', '"C"', '''a\\\\b'':1A,2B ''c''''d''', '''a b'' <-> c & !d:*AB', '', '{1,01}', '2001:db8::/32', '::ffff:1.2.3.4/128');
    CREATE TABLE toasty (id int PRIMARY KEY, v text, w bytea); INSERT INTO toasty SELECT i, repeat(chr(1000 + i), 3000000), decode(repeat('00ff0d0a5c2e', 500000), 'hex') FROM generate_series(1, 3) i; CREATE TABLE onecol (v text); INSERT INTO onecol VALUES (''), (NULL), ('\\.'), ('\\N'), (E'\\\\'); CREATE TABLE genonly (g int GENERATED ALWAYS AS (1) STORED); INSERT INTO genonly DEFAULT VALUES; INSERT INTO genonly DEFAULT VALUES; CREATE TABLE dropped_all (a int); INSERT INTO dropped_all VALUES (1), (2), (3); ALTER TABLE dropped_all DROP COLUMN a; CREATE TABLE nulls (a int, b int); INSERT INTO nulls SELECT FROM generate_series(1, 5);`,
  },
  {
    name: "odd large objects",
    sql: `    SELECT lo_from_bytea(77, decode(repeat('00ff', 3000), 'hex')); ALTER LARGE OBJECT 77 OWNER TO there; GRANT SELECT ON LARGE OBJECT 77 TO g2 WITH GRANT OPTION; REVOKE ALL ON LARGE OBJECT 77 FROM there; COMMENT ON LARGE OBJECT 77 IS 'lo '' \\ x'; SELECT lo_create(4294967295); SELECT lo_create(78); SELECT lo_put(78, 5000, 'sparse'); CREATE TABLE t (a oid); INSERT INTO t VALUES (77);`,
  },
  {
    name: "in PostgreSQL's own schemas",
    from: 14,
    findings: [/pg_catalog or information_schema .*my_helper/],
    sql: `    SET allow_system_table_mods = on; CREATE FUNCTION pg_catalog.my_helper(int) RETURNS int LANGUAGE sql AS 'SELECT $1'; CREATE TABLE information_schema.my_table (a int); INSERT INTO information_schema.my_table VALUES (1); CREATE VIEW pg_catalog.my_view AS SELECT 1; CREATE TABLE t (a int DEFAULT 1); INSERT INTO t VALUES (1); CREATE TYPE pg_catalog.my_type AS ENUM ('a'); CREATE OPERATOR pg_catalog.#### (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4pl); COMMENT ON FUNCTION now() IS 'changed';`,
  },
  {
    name: "materialized views by way of functions",
    sql: `CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2); CREATE MATERIALIZED VIEW zz AS SELECT count(*) AS n FROM t;
      CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT n FROM public.zz); END';
      CREATE MATERIALIZED VIEW aa AS SELECT f() AS n; CREATE INDEX ON aa (n); CREATE MATERIALIZED VIEW "AA" AS SELECT n FROM aa`,
  },
  {
    name: "circles",
    from: 14,
    sql: `
    CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
    CREATE FUNCTION af(a) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1.id'; ALTER TABLE a ADD CHECK (af(a) > 0);
    CREATE FUNCTION bf() RETURNS int LANGUAGE sql STABLE AS 'SELECT max(id) FROM public.b'; ALTER TABLE b ALTER a SET DEFAULT bf();
    CREATE TYPE ct AS (x int); CREATE FUNCTION ctf(ct) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE DOMAIN cd AS ct CHECK (ctf(VALUE)); CREATE TABLE ctt (v cd); CREATE FUNCTION ctg(ctt) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE TABLE self (id int, s int DEFAULT 1); CREATE FUNCTION sf() RETURNS SETOF self LANGUAGE sql BEGIN ATOMIC SELECT * FROM self; END; CREATE VIEW sv AS SELECT * FROM sf();
    CREATE RULE sr AS ON INSERT TO self DO ALSO SELECT * FROM sf(); CREATE POLICY sp ON self USING ((SELECT count(*) FROM sv) >= 0); INSERT INTO self VALUES (1);
    INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1; CREATE FUNCTION defarg(x int DEFAULT bf()) RETURNS int LANGUAGE sql AS 'SELECT $1'; CREATE VIEW defv AS SELECT defarg();
    ALTER TABLE a ADD COLUMN gen int GENERATED ALWAYS AS (id * 2) STORED;`,
  },
  {
    name: "eighteen",
    from: 18,
    sql: `    CREATE TABLE t (id int CONSTRAINT "id must" NOT NULL, a int NOT NULL NO INHERIT, v int GENERATED ALWAYS AS (a * 2) VIRTUAL NOT NULL, s int GENERATED ALWAYS AS (a + 1), CONSTRAINT ne CHECK (a > 1000) NOT ENFORCED, CHECK (v < 100)); INSERT INTO t VALUES (1, 5); CREATE TABLE c () INHERITS (t); COMMENT ON CONSTRAINT "id must" ON t IS 'x'; ALTER TABLE c ADD CONSTRAINT c_a NOT NULL a; INSERT INTO c VALUES (2, 3);
    CREATE EXTENSION btree_gist; CREATE TABLE p (id int, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS), UNIQUE (id, at WITHOUT OVERLAPS)); CREATE TABLE f (id int, at daterange, pid int, FOREIGN KEY (pid, PERIOD at) REFERENCES p (id, PERIOD at)); INSERT INTO p VALUES (1, '[2020-01-01,2021-01-01)'), (1, '[2021-01-01,2022-01-01)'); INSERT INTO f VALUES (1, '[2020-06-01,2021-06-01)', 1); CREATE TABLE pp (id int, at daterange, CONSTRAINT pk PRIMARY KEY (id, at WITHOUT OVERLAPS)) PARTITION BY LIST (id); CREATE TABLE pp1 PARTITION OF pp FOR VALUES IN (1); INSERT INTO pp VALUES (1, '[2020-01-01,2021-01-01)'); COMMENT ON CONSTRAINT pp1_pkey ON pp1 IS 'of the partition';
    CREATE TABLE px (id int, at daterange, CONSTRAINT "no two" EXCLUDE USING gist (id WITH =, at WITH &&)) PARTITION BY LIST (id); CREATE TABLE px1 PARTITION OF px FOR VALUES IN (1) PARTITION BY LIST (id); CREATE TABLE px11 PARTITION OF px1 DEFAULT; INSERT INTO px VALUES (1, '[2020-01-01,2021-01-01)');
    CREATE TABLE ren (id int, at daterange, CONSTRAINT "no 'two %" EXCLUDE USING gist (id WITH =, at WITH &&)) PARTITION BY LIST (id); CREATE TABLE "ren 1" PARTITION OF ren FOR VALUES IN (1); ALTER TABLE "ren 1" RENAME CONSTRAINT "ren 1_id_at_excl" TO "a %I 'name"; COMMENT ON CONSTRAINT "a %I 'name" ON "ren 1" IS 'c'; COMMENT ON INDEX "a %I 'name" IS 'i'; CREATE TABLE ren2 (at daterange, id int, CONSTRAINT "mine own" EXCLUDE USING gist (id WITH =, at WITH &&)); ALTER TABLE ren ATTACH PARTITION ren2 FOR VALUES IN (2); CLUSTER ren2 USING "mine own"; COMMENT ON CONSTRAINT "mine own" ON ren2 IS 'm'; INSERT INTO ren VALUES (1, '[2020-01-01,2021-01-01)'), (2, '[2020-01-01,2021-01-01)');
    CREATE TABLE nv (id int, b int); ALTER TABLE nv ADD CONSTRAINT nn NOT NULL b NOT VALID; CREATE TABLE q (id int PRIMARY KEY); CREATE TABLE r (id int REFERENCES q NOT ENFORCED, id2 int); ALTER TABLE r ADD CONSTRAINT nvf FOREIGN KEY (id2) REFERENCES q NOT VALID; INSERT INTO r (id) VALUES (5); CREATE TABLE pr (id int PRIMARY KEY, b int) PARTITION BY RANGE (id); CREATE TABLE pr1 PARTITION OF pr DEFAULT; ALTER TABLE pr ADD CONSTRAINT prf FOREIGN KEY (b) REFERENCES q NOT VALID; 
    CREATE PUBLICATION pg FOR TABLE t WITH (publish_generated_columns = stored); CREATE UNIQUE INDEX nnd ON q (id) NULLS NOT DISTINCT; CREATE TABLE und (a int UNIQUE NULLS NOT DISTINCT, b int, CONSTRAINT two UNIQUE NULLS NOT DISTINCT (a, b)); INSERT INTO und VALUES (NULL, NULL); CREATE TABLE ident (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE ident1 PARTITION OF ident DEFAULT; INSERT INTO ident DEFAULT VALUES; CREATE TABLE j (d jsonb CHECK (d IS JSON OBJECT), e text CHECK (e IS JSON)); INSERT INTO j VALUES ('{}', '1'); CREATE VIEW jt AS SELECT x.* FROM j, JSON_TABLE(d, '$[*]' COLUMNS (id FOR ORDINALITY, v int PATH '$.v' DEFAULT 3 ON EMPTY)) x; CREATE VIEW rn AS SELECT json_object('a': 1 ABSENT ON NULL), json_arrayagg(id ORDER BY id), any_value(id) FROM t; ALTER TABLE t ALTER a SET STATISTICS DEFAULT; CREATE COLLATION b (PROVIDER = builtin, LOCALE = 'C.UTF-8'); CREATE TABLE bc (a text COLLATE b PRIMARY KEY); INSERT INTO bc VALUES ('ä'); CREATE TABLE uu (id uuid DEFAULT uuidv7() PRIMARY KEY); INSERT INTO uu DEFAULT VALUES;`,
  },
  {
    name: "settings against everybody",
    from: 14,
    findings: [/settings .* left out: .*commit_delay/],
    sql: `    CREATE SCHEMA "A,b"; CREATE TABLE "A,b".t (id int PRIMARY KEY, x xml, d date DEFAULT '2020-02-01', i interval DEFAULT '1 mon -2 days', b bytea DEFAULT '\\x5c00ff', s text DEFAULT E'back\\slash''q\\n' CHECK (s <> E'\\\\d'), arr text[]); INSERT INTO "A,b".t (id, x, arr) VALUES (1, 'text only<a/>', '{NULL,"NULL",a}'), (2, '<!DOCTYPE a><a/>', NULL); COMMENT ON TABLE "A,b".t IS E'c:\\\\dir';
    CREATE FUNCTION esc() RETURNS text LANGUAGE sql AS $f$ SELECT 'a\\b' $f$; CREATE VIEW vesc AS SELECT 'x\\y'::text AS a; CREATE MATERIALIZED VIEW mv AS SELECT 1.1::float8 AS f, '1 mon'::interval AS i, date '2020-02-01' AS d;
    DO $$ DECLARE s text; BEGIN FOREACH s IN ARRAY ARRAY[$q$search_path TO "$user", "A,b", public$q$, $q$DateStyle TO 'SQL, DMY'$q$, 'IntervalStyle TO sql_standard', 'extra_float_digits TO -15', 'bytea_output TO escape', 'xmloption TO document', 'array_nulls TO off', 'quote_all_identifiers TO on', 'standard_conforming_strings TO off', 'statement_timeout TO 20', 'lock_timeout TO 1', 'idle_in_transaction_session_timeout TO 5', 'default_transaction_isolation TO serializable', 'row_security TO off', 'transform_null_equals TO on', $q$TimeZone TO 'Asia/Kathmandu'$q$, 'client_encoding TO LATIN1', 'session_replication_role TO replica', 'xmlbinary TO hex', 'commit_delay TO 5', 'default_text_search_config TO german']
      LOOP EXECUTE format('ALTER DATABASE %I SET ', current_database()) || s; END LOOP; END $$;`,
  },
  {
    name: "names before PostgreSQL's own",
    from: 14,
    sql: `    CREATE FUNCTION public.lower(pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)'; CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$ SELECT '2000-01-01 00:00+00'::timestamptz $$; CREATE FUNCTION "check"(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE FUNCTION format(pg_catalog.text, name, name) RETURNS pg_catalog.text LANGUAGE sql AS $$ SELECT 'evil'::pg_catalog.text $$; CREATE FUNCTION md5(varchar) RETURNS pg_catalog.text LANGUAGE sql AS $$ SELECT 'evil'::pg_catalog.text $$;
    CREATE TYPE "integer" AS (a int); CREATE TYPE public."text" AS ENUM ('q'); CREATE DOMAIN "char" AS varchar(7); CREATE DOMAIN "int4" AS bigint; CREATE TYPE public.regclass AS ENUM ('evil'); CREATE TYPE public.oid AS ENUM ('evil'); CREATE FUNCTION teq(pg_catalog.text, pg_catalog.text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false'; CREATE OPERATOR public.= (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, PROCEDURE = teq);
    CREATE TABLE "table" ("current_user" int, "user" public."text", "now" timestamptz DEFAULT public.now(), "integer" public."integer", "char" public."char", "CHECK" int CONSTRAINT "CONSTRAINT" CHECK (public."check"("CHECK")), "primary key" public.int4, CHECK (public.lower("user"::pg_catalog.text) OPERATOR(public.=) 'x' IS NOT NULL)); INSERT INTO "table" VALUES (1, 'q', DEFAULT, ROW(1), 'abc', 3, 5000000000);
    CREATE INDEX ON "table" (public.lower("char"::pg_catalog.text)); CREATE VIEW "select" AS SELECT "user"::public."text" AS u, 'a'::pg_catalog.text OPERATOR(public.=) 'a' AS b FROM "table"; CREATE TABLE public.pg_class (oid int, relname pg_catalog.text); INSERT INTO public.pg_class VALUES (1, 'x'); CREATE TABLE public.pg_attribute (a int); CREATE TABLE public.pg_namespace (oid int);
    DO $$ BEGIN EXECUTE pg_catalog.format('ALTER DATABASE %I SET search_path TO public, pg_catalog, "$user"', current_database()); END $$;`,
  },
  {
    name: "vouched for by superusers",
    from: 14,
    findings: [
      /lose LEAKPROOF and SUPPORT.*: public.un\(anyarray\), public.vouched\(integer\)/,
      /TRANSFORM FOR integer LANGUAGE sql/,
    ],
    sql: `CREATE FUNCTION un(anyarray) RETURNS SETOF anyelement LANGUAGE sql IMMUTABLE SUPPORT array_unnest_support AS 'SELECT unnest($1)'; CREATE FUNCTION vouched(int) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'; CREATE VIEW v AS SELECT un(ARRAY[1]);
      CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal))`,
  },
  {
    name: "rows that need other tables' rows",
    from: 14,
    sql: `    CREATE TABLE z_rate (k int PRIMARY KEY, v int); INSERT INTO z_rate VALUES (1, 10); CREATE FUNCTION rate(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT v FROM public.z_rate WHERE k = $1'; CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 2 * public.rate($1); END'; CREATE TABLE a_big (k int, r int GENERATED ALWAYS AS (rate(k)) STORED, t int GENERATED ALWAYS AS (twice(k)) STORED, pad text); COMMENT ON COLUMN a_big.r IS 'looked up'; CREATE VIEW of_big AS SELECT r FROM a_big; INSERT INTO a_big (k, pad) SELECT 1, repeat('x', 1000) FROM generate_series(1, 2000);
    CREATE TABLE d0 (v int); CREATE FUNCTION dchk(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN EXISTS (SELECT FROM public.d0 WHERE v = $1); END'; INSERT INTO d0 VALUES (1), (2); CREATE DOMAIN dd AS int CHECK (dchk(VALUE)); CREATE DOMAIN ddd AS dd CHECK (VALUE < 10); CREATE TABLE rt (a int, d ddd); CREATE TYPE comp AS (x dd, y rt); CREATE DOMAIN dcomp AS comp CHECK ((VALUE).x IS NOT NULL); CREATE DOMAIN rtd AS rt CHECK ((VALUE).a > 0); CREATE DOMAIN darr AS rtd[] CHECK (cardinality(VALUE) < 5);
    CREATE TABLE a_use (r rt, c comp, dc dcomp, arr ddd[], drr dcomp[], v rtd, vs darr, pad text); INSERT INTO a_use SELECT ROW(1, 2)::rt, ROW(1, ROW(3, 1))::comp, ROW(2, NULL)::comp, '{1,2}', ARRAY[ROW(1, ROW(1, 1))::comp]::dcomp[], ROW(1, 1)::rt, ARRAY[ROW(2, 2)::rt]::rtd[], repeat('y', 1000) FROM generate_series(1, 200);
    CREATE TABLE pa (id int, k int, b_id int, b_k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k); CREATE TABLE pa1 PARTITION OF pa FOR VALUES IN (1); CREATE TABLE pa2 PARTITION OF pa FOR VALUES IN (2) PARTITION BY RANGE (id); CREATE TABLE pa2x PARTITION OF pa2 DEFAULT; CREATE TABLE pb (id int, k int, a_id int, a_k int, PRIMARY KEY (id, k), CONSTRAINT ba FOREIGN KEY (a_id, a_k) REFERENCES pa DEFERRABLE INITIALLY DEFERRED) PARTITION BY HASH (id); CREATE TABLE pb0 PARTITION OF pb FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    ALTER TABLE pa ADD CONSTRAINT ab FOREIGN KEY (b_id, b_k) REFERENCES pb ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED; COMMENT ON CONSTRAINT ab ON pa1 IS 'ab of pa1'; INSERT INTO pa SELECT i, 1 + i % 2, i, 1 + i % 2 FROM generate_series(1, 50) i; INSERT INTO pb SELECT i, 1 + i % 2, i, 1 + i % 2 FROM generate_series(1, 50) i;`,
  },
  {
    // So many that several sessions create them, although some depend on others. The dependency of a_late looks like a quoted string.
    name: "hundreds",
    from: 14,
    sql: `CREATE TABLE a_base (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text); CREATE SEQUENCE a_seq; INSERT INTO a_base (v) VALUES ('x');
    DO $$ BEGIN FOR n IN 1..150 LOOP
      EXECUTE format('CREATE TABLE "T %s" (id serial PRIMARY KEY, v text UNIQUE, w int DEFAULT nextval(''a_seq'')); COMMENT ON TABLE "T %s" IS ''table %s''', n, n, n);
      EXECUTE format('CREATE VIEW "a view %s" AS SELECT id, v FROM "T %s"; COMMENT ON COLUMN "a view %s".id IS ''id''', n, n, n);
      EXECUTE format('CREATE TABLE b_%s (extra "T %s"[]) INHERITS (a_base); GRANT SELECT ON b_%s TO PUBLIC', n, 1 + (n - 1) % 7, n);
      EXECUTE format('INSERT INTO "T %s" (v) VALUES (%L); INSERT INTO b_%s (id, v) VALUES (1, %L)', n, n, n, n);
    END LOOP; END $$;
    CREATE VIEW a_late AS SELECT '"'::text AS a FROM "T 150" WHERE v <> '".b';
    CREATE TABLE p (a int PRIMARY KEY, b text) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p DEFAULT; INSERT INTO p SELECT i, i FROM generate_series(1, 20) i;`,
  },
];

/** Databases that cannot be migrated, which the validation must report. */
export const refusedDatabases: readonly HardDatabase[] = [
  {
    name: "refused: a table given to an extension",
    refused: /tables of extensions get only the rows .*plain/,
    sql: `CREATE EXTENSION citext; CREATE TABLE plain (a int); INSERT INTO plain VALUES (1); ALTER EXTENSION citext ADD TABLE plain`,
  },
  {
    name: "refused: oids",
    to: 10,
    refused: /need a table's oid column.*view public.vo, index public.withoids_oid_idx/,
    sql: `CREATE TABLE withoids (a int PRIMARY KEY) WITH OIDS; CREATE UNIQUE INDEX ON withoids (oid); CREATE VIEW vo AS SELECT oid, a FROM withoids`,
  },
  {
    name: "refused: types of old",
    to: 10,
    refused:
      /PostgreSQL 12 removed \(abstime.*: public.t.b, public.u.a, domain public.aged, public.takes\(abstime\), public.gives\(\)/,
    sql: `CREATE DOMAIN aged AS abstime; CREATE FUNCTION takes(abstime) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION gives(OUT a reltime[]) LANGUAGE sql AS 'SELECT NULL::reltime[]';
      CREATE TABLE t (a int, b abstime[]); CREATE TABLE u (a aged)`,
  },
  {
    name: "refused: operator behind",
    to: 10,
    refused: /removed postfix operators: public.!@/,
    sql: `CREATE FUNCTION fact(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE OPERATOR !@ (LEFTARG = int, PROCEDURE = fact)`,
  },
  {
    name: "refused: array functions",
    to: 10,
    refused: /anycompatiblearray .*: public.agg_arr\(anyelement\)$/,
    sql: `CREATE AGGREGATE agg_arr(anyelement) (SFUNC = array_append, STYPE = anyarray, INITCOND = '{}');
      CREATE AGGREGATE of_ints(int) (SFUNC = array_append, STYPE = int[], INITCOND = '{}')`,
  },
  {
    name: "refused: null inherited",
    to: 14,
    refused: /may be null.*: public.child.a/,
    sql: `CREATE TABLE parent (a int); CREATE TABLE child () INHERITS (parent); ALTER TABLE ONLY parent ALTER a SET NOT NULL; INSERT INTO child VALUES (NULL)`,
  },
  {
    name: "refused: hashed object identifiers",
    from: 14,
    refused:
      /another hash on every server.*: public.h_array, public.h_composite, public.h_domain, public.h_enum, public.h_expression, public.h_multirange, public.h_oid, public.h_range, public.h_reg$/,
    sql: `CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN moods AS mood[]; CREATE TYPE felt AS (t text, d moods); CREATE TYPE span AS RANGE (subtype = mood, multirange_type_name = spans); CREATE DOMAIN place AS regclass; CREATE SCHEMA "S";
      CREATE TABLE h_enum (a int, k mood) PARTITION BY HASH (a, k); CREATE TABLE h_array (k mood[]) PARTITION BY HASH (k); CREATE TABLE h_domain (k place) PARTITION BY HASH (k); CREATE TABLE h_composite (k felt) PARTITION BY HASH (k); CREATE TABLE h_range (k span) PARTITION BY HASH (k);
      CREATE TABLE h_multirange (k spans) PARTITION BY HASH (k); CREATE TABLE h_reg (k regtype[], t text) PARTITION BY HASH (t, k); CREATE TABLE h_expression (a mood, b mood) PARTITION BY HASH ((coalesce(a, b))); CREATE TABLE h_oid (k regtype) PARTITION BY HASH ((k::oid));
      CREATE TABLE fits (a mood[], k regtype, t text, o oid, r int4range) PARTITION BY HASH (o, t, r, (array_length(a, 1)), ((k IS NULL))); CREATE TABLE fits_too (m mood, t text[]) PARTITION BY HASH ((ARRAY[t[1], 'a']))`,
  },
  {
    name: "refused: operator class",
    refused: /need operator classes.*: index public.i/,
    sql: `CREATE FUNCTION cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $2 - $1'; CREATE TABLE t (a int);
      CREATE OPERATOR CLASS rev FOR TYPE int USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 cmp(int, int); CREATE INDEX i ON t (a rev)`,
  },
  {
    name: "refused: what superusers' objects are needed for",
    from: 14,
    refused:
      /need operator classes.*: function public.f\(integer\), table public.hp, text search configuration public.c, text search dictionary public.d, type public.revr$/,
    sql: `CREATE FUNCTION h(int, int8) RETURNS int8 LANGUAGE sql IMMUTABLE AS 'SELECT $1::int8 + $2'; CREATE OPERATOR CLASS hash_int FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 2 h(int, int8); CREATE TABLE hp (a int) PARTITION BY HASH (a hash_int);
      CREATE FUNCTION cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $2 - $1'; CREATE OPERATOR CLASS rev FOR TYPE int USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 cmp(int, int); CREATE TYPE revr AS RANGE (subtype = int, subtype_opclass = rev);
      CREATE TEXT SEARCH PARSER prs (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype); CREATE TEXT SEARCH CONFIGURATION c (PARSER = prs); CREATE TEXT SEARCH TEMPLATE tmpl (LEXIZE = dsimple_lexize, INIT = dsimple_init); CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = tmpl);
      CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal)); CREATE FUNCTION f(int) RETURNS int TRANSFORM FOR TYPE int LANGUAGE sql AS 'SELECT 1'`,
  },
  {
    name: "refused: catalogues of ten",
    to: 10,
    refused:
      /lacks columns, functions or operators that these use: view public.checks \(column pg_catalog.pg_constraint.consrc\), view public.factorial \(operator ! of bigint\), view public.routines/,
    sql: `CREATE VIEW routines AS SELECT proname, proisagg FROM pg_proc; CREATE VIEW checks AS SELECT conname, consrc FROM pg_constraint; CREATE VIEW factorial AS SELECT 5! AS f; CREATE VIEW allowed AS SELECT relname, count(*) FROM pg_class GROUP BY relname`,
  },
  {
    name: "refused: catalogues of fourteen",
    from: 14,
    to: 14,
    refused:
      /: default value for column a of table public.du \(function pg_is_in_backup of 0 arguments\), function public.f\(\) \(column pg_catalog.pg_database.datlastsysoid\), policy p on table public.t \(f/,
    sql: `CREATE TABLE du (a bool DEFAULT pg_is_in_backup()); CREATE FUNCTION f() RETURNS SETOF name LANGUAGE sql BEGIN ATOMIC SELECT datname FROM pg_database WHERE datlastsysoid > 0; END; CREATE TABLE t (a int); CREATE POLICY p ON t USING (NOT pg_is_in_backup());
      CREATE VIEW arrays AS SELECT array_append(ARRAY[1], 2) AS a, ARRAY[1] || 2 AS b, ARRAY['a'] || ARRAY['b'] AS c, EXTRACT(year FROM now()) AS y FROM pg_tables`,
  },
  {
    name: "refused: collations of the source's machine",
    from: 14,
    refused: /no locale for collations .*: public.made_there$/,
    sql: `CREATE COLLATION public.made_there (LOCALE = 'C'); CREATE COLLATION public.everywhere (PROVIDER = icu, LOCALE = 'de-u-co-phonebk', DETERMINISTIC = false); SET allow_system_table_mods = on;
      UPDATE pg_collation SET collcollate = 'xx_YY.utf8', collctype = 'xx_YY.utf8' WHERE collname = 'made_there'`,
  },
  {
    name: "refused: columns with locales of the source's machine",
    from: 14,
    refused: /collations of columns in .*: public\.t\.a \(found_there\)$/,
    sql: `SET allow_system_table_mods = on;
      INSERT INTO pg_collation (SELECT (json_populate_record(c, '{"oid": 15999, "collname": "found_there"}')).* FROM pg_collation c WHERE collname = 'C' LIMIT 1); CREATE TABLE t (a text COLLATE "found_there", b text COLLATE "C")`,
  },
  {
    name: "refused: an index with a locale of the source's machine",
    from: 14,
    refused: /no locale for collations that indexes, views or functions of .* use: found_there$/,
    sql: `SET allow_system_table_mods = on;
      INSERT INTO pg_collation (SELECT (json_populate_record(c, '{"oid": 15999, "collname": "found_there"}')).* FROM pg_collation c WHERE collname = 'C' LIMIT 1); CREATE TABLE t (a text); CREATE INDEX ON t (a COLLATE "found_there")`,
  },
  {
    name: "refused: base type",
    refused: /functions in C.*public.bt_in/,
    sql: `CREATE TYPE bt; CREATE FUNCTION bt_in(cstring) RETURNS bt LANGUAGE internal IMMUTABLE STRICT AS 'int4in'; CREATE FUNCTION bt_out(bt) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
      CREATE TYPE bt (INPUT = bt_in, OUTPUT = bt_out, LIKE = int4); CREATE TABLE t (b bt)`,
  },
  {
    name: "refused: names of what is not there",
    refused:
      /rows contain names of objects .*: "public"."a_names"."c" \(regclass i\), "public"."a_names"."f" \(regproc public.twice\), "public"."a_names"."k" \(regclass i, pg_toast.pg_toast_\d+\), "public"."a_names"."k" \(regrole "Not There"\)$/,
    sql: `CREATE TABLE t (a int); CREATE INDEX i ON t (a); CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION twice(text) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE kind AS (r regrole, c regclass);
      CREATE TABLE a_names (c regclass, f regproc, k kind[]); INSERT INTO a_names VALUES ('i', 'twice(int)'::regprocedure::oid, ARRAY[ROW('"Not There"', 't')::kind, ROW('postgres', 'i')::kind, ROW('there', (SELECT reltoastrelid FROM pg_class WHERE relname = 'pg_rewrite'))::kind])`,
  },
  {
    name: "refused: what was put into an extension",
    refused: /and other objects need them: type public.mine \(default .*, table public.t\)$/,
    sql: `CREATE EXTENSION citext; CREATE TYPE mine AS ENUM ('a'); ALTER EXTENSION citext ADD TYPE mine; CREATE TABLE t (a mine DEFAULT 'a')`,
  },
  {
    name: "refused: a schema pgmigration",
    refused: /schema pgmigration, and leaves out other objects in it: table pgmigration.mine$/,
    sql: `CREATE SCHEMA pgmigration; CREATE TABLE pgmigration.mine (a int); CREATE TABLE pgmigration.progress (applied_through_lsn int); CREATE TABLE pgmigration.table_progress (a int)`,
  },
  {
    name: "refused: generated otherwise now",
    from: 14,
    refused: /differ from their expressions.*: "public"."t"."g", "public"."t"."n"$/,
    sql: `CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE FUNCTION n() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
      CREATE TABLE t (a int, g int GENERATED ALWAYS AS (f(a)) STORED, n int GENERATED ALWAYS AS (n()) STORED, same int GENERATED ALWAYS AS (f(a) * 0) STORED); INSERT INTO t VALUES (1);
      CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'; CREATE OR REPLACE FUNCTION n() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2'`,
  },
  {
    name: "refused: indexed otherwise now",
    from: 14,
    refused:
      /cannot be rebuilt.*: "public"."once" \(two rows have the same key\), "public"."inverse" \(division by zero\)$/,
    sql: `CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE TABLE t (a int, b text); CREATE UNIQUE INDEX once ON t (f(a), b) WHERE b <> 'y'; CREATE TABLE u (a int); CREATE INDEX inverse ON u ((1 / f(a))); INSERT INTO u VALUES (1); CREATE INDEX part ON t (a) WHERE f(a) > 0; CREATE UNIQUE INDEX nulls ON t (f(a), nullif(b, 'x')); CREATE UNIQUE INDEX single ON t ((1), (true)) WHERE f(a) > 2; INSERT INTO t VALUES (1, 'x'), (2, 'x'), (3, 'y');
      CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0'`,
  },
  {
    name: "refused: in pg_catalog",
    refused: /pg_catalog or information_schema, which pg_dump ignores.*my_helper/,
    sql: `CREATE FUNCTION pg_catalog.my_helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE VIEW uses AS SELECT my_helper(1)`,
  },
  {
    name: "refused: bytes in a comment",
    options: "ENCODING 'SQL_ASCII' TEMPLATE template0",
    refused: /not valid UTF-8: pg_description/,
    sql: `CREATE TABLE t (id int); DO $$ BEGIN EXECUTE E'COMMENT ON TABLE t IS ''\\xff\\xfe'''; END $$`,
  },
];

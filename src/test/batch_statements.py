#!/usr/bin/env python3
"""
batch_statements.py: generated statements give the same with pg_llm.batching and pg_llm.defer_filters on and off.

A fixed seed makes statements of many kinds: joins, CASE, LIMIT, cursors, nested calls, volatile functions, sub-plans, outer
joins, LATERAL, MERGE, ON CONFLICT, partitions, inheritance, row security, triggers, PL/pgSQL, parallel plans, foreign tables. psql runs all
of them twice, in transactions that are rolled back; rows, errors, sequences and changed tables are compared byte by byte. One of ten
statements more is run while another session changes rows that it waits for (two_sessions.py).

    batch_statements.py --count 400 --model /path/mistral.gguf psql -h … -d a_database

The database must have the extension; everything is made in a schema of its own, which is dropped at the end.
"""
import argparse
import random
import subprocess
import sys

import two_sessions

SETUP = """
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS generated CASCADE;
DROP SERVER IF EXISTS generated_loop, generated_model, generated_encoder CASCADE;
DROP ROLE IF EXISTS generated_reader;
CREATE ROLE generated_reader;
CREATE SCHEMA generated;
SET search_path = generated, public;
CREATE SERVER generated_model FOREIGN DATA WRAPPER pg_llm OPTIONS (path '{model}');
CREATE TABLE texts AS SELECT i, 'text ' || i % 25 || ' of some length' AS t, i % 3 AS k, CASE WHEN i % 7 > 0 THEN i % 10 END AS n
    FROM generate_series(1, 40) i;
CREATE TABLE few AS SELECT i, 'few ' || i AS t, i % 2 AS k, i + 3 AS n FROM generate_series(1, 6) i;
CREATE INDEX ON texts (i);
CREATE INDEX ON few (i);
CREATE TABLE parts (t text, i int, n int, k int) PARTITION BY LIST (k);
CREATE TABLE parts_0 (k int, x int, n int, t text, i int);
ALTER TABLE parts_0 DROP COLUMN x;
ALTER TABLE parts ATTACH PARTITION parts_0 FOR VALUES IN (0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
INSERT INTO parts SELECT t, i, n, k FROM texts;
CREATE INDEX ON parts (i);
CREATE TABLE ranges (i int, t text, k int, n int) PARTITION BY RANGE (i);
CREATE TABLE ranges_1 PARTITION OF ranges FOR VALUES FROM (0) TO (15);
CREATE TABLE ranges_2 PARTITION OF ranges FOR VALUES FROM (15) TO (100) PARTITION BY LIST (k);
CREATE TABLE ranges_20 PARTITION OF ranges_2 FOR VALUES IN (0, 1);
CREATE TABLE ranges_22 PARTITION OF ranges_2 DEFAULT;
INSERT INTO ranges SELECT * FROM texts;
CREATE TABLE parent (i int, t text, k int, n int);
CREATE TABLE child_1 (more text) INHERITS (parent);
CREATE TABLE child_2 () INHERITS (parent);
INSERT INTO parent SELECT * FROM texts WHERE i < 8;
INSERT INTO child_1 SELECT *, 'more' FROM texts WHERE i BETWEEN 8 AND 20;
INSERT INTO child_2 SELECT * FROM texts WHERE i > 20;
CREATE TABLE keyed AS SELECT * FROM few;
ALTER TABLE keyed ADD PRIMARY KEY (i);
CREATE TABLE guarded AS SELECT * FROM texts;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON guarded USING (i % 2 = 0 AND llm_score(t, 'x', 'generated_model') > 0.5);
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM texts WHERE llm_score(t, 'x', 'generated_model') > 0.6 AND k < 2;
CREATE VIEW plain AS SELECT i, llm_classify(t, '{{a,b}}', 'generated_model') AS t, k, n FROM texts;
CREATE TABLE triggered AS SELECT * FROM few;
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.t := upper(NEW.t) || llm_classify(NEW.t, '{{a,b}}', 'generated_model'); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION shout();
CREATE FUNCTION prefixed(t text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 'p ' || t; END $$;
CREATE FUNCTION asked(t text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN llm_classify(t, '{{a,b}}', 'generated_model'); END $$;
CREATE FUNCTION inlined(t text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT llm_classify(t, '{{a,b}}', 'generated_model') $$;
CREATE FUNCTION ticked(t text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN t || nextval('s'); END $$;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE SEQUENCE s;
CREATE TABLE log (x text);
DO $$ DECLARE r record; BEGIN FOR r IN SELECT oid::regclass AS t FROM pg_class WHERE relnamespace = 'generated'::regnamespace AND relkind = 'r' LOOP
    EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', r.t); END LOOP; END $$;
GRANT ALL ON SCHEMA generated TO generated_reader;
GRANT ALL ON ALL TABLES IN SCHEMA generated TO generated_reader;
GRANT ALL ON SEQUENCE s TO generated_reader;
GRANT USAGE ON FOREIGN SERVER generated_model TO generated_reader;
ANALYZE;
"""
FOREIGN = """
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER generated_loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname '{db}', async_capable 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER generated_loop OPTIONS (user '{user}');
CREATE TABLE remote (t text, i int, n int, k int) PARTITION BY LIST (k);
CREATE FOREIGN TABLE remote_0 PARTITION OF remote FOR VALUES IN (0) SERVER generated_loop OPTIONS (schema_name 'generated', table_name 'parts_0');
CREATE FOREIGN TABLE remote_1 PARTITION OF remote FOR VALUES IN (1) SERVER generated_loop OPTIONS (schema_name 'generated', table_name 'parts_1');
CREATE TABLE remote_2 PARTITION OF remote FOR VALUES IN (2);
INSERT INTO remote_2 SELECT t, i, n, k FROM parts_2;
CREATE TABLE far_base AS SELECT * FROM texts WHERE i < 12;
CREATE FOREIGN TABLE far (i int, t text, k int, n int) SERVER generated_loop OPTIONS (schema_name 'generated', table_name 'far_base');
GRANT ALL ON ALL TABLES IN SCHEMA generated TO generated_reader;
CREATE USER MAPPING FOR generated_reader SERVER generated_loop OPTIONS (user '{user}', password_required 'false');
GRANT USAGE ON FOREIGN SERVER generated_loop TO generated_reader;
"""
ENCODER = """
CREATE SERVER generated_encoder FOREIGN DATA WRAPPER pg_llm OPTIONS (path '{encoder}');
GRANT USAGE ON FOREIGN SERVER generated_encoder TO generated_reader;
"""
CLEANUP = """
SET client_min_messages = warning;
DROP SCHEMA generated CASCADE;
DROP SERVER IF EXISTS generated_loop, generated_model, generated_encoder CASCADE;
DROP ROLE generated_reader;
"""
CHANGED = ("texts", "few", "parts", "triggered", "log", "ranges", "parent", "keyed")


class Maker:
    """statements by a random generator; a is the table alias whose columns i, t, k, n are used"""

    def __init__(self, seed, foreign, encoder):
        self.r = random.Random(seed)
        self.encoder = encoder
        self.tables = ["texts", "texts", "few", "parts", "guarded", "barrier", "plain", "(SELECT * FROM texts ORDER BY i DESC LIMIT 12)",
                       "ranges", "parent", "(SELECT i, t, k, n FROM parts UNION ALL SELECT i, t, k, n FROM few UNION ALL SELECT 1, 'one', 2, 3)"]
        self.foreign = foreign
        if foreign:
            self.tables += ["remote", "remote", "far"]

    def pick(self, *items):
        item = self.r.choice(items)
        return item() if callable(item) else item

    def n(self, least, most):
        return self.r.randint(least, most)

    # ---- expressions ----
    def text(self, a, depth=0):
        r = [f"{a}.t", f"{a}.t", f"{a}.t", f"({a}.t || {a}.k)", f"upper({a}.t)", f"left({a}.t, {a}.k + 4)", f"coalesce({a}.n::text, {a}.t)",
             f"prefixed({a}.t)", f"format('%s: %s', {a}.k, {a}.t)", f"({a}.t || 'x' || (12 / ({a}.k + 1)))", "'always the same'",
             f"nullif({a}.t, 'text 3 of some length')", f"CASE WHEN {a}.k = 1 THEN {a}.t ELSE 'other' END"]
        if self.n(0, 25) == 0:
            r = [f"({a}.t || (10 / ({a}.n - 4)))", f"substr({a}.t, 1, {a}.k - 1)"]  # fail for some rows
        if self.n(0, 25) == 0:
            return f"ticked({a}.t)"  # once for each row that is returned
        if depth < 2 and self.n(0, 6) == 0:
            return self.call(a, depth + 1)
        return self.r.choice(r)

    def call(self, a, depth=0):
        """a call that gives a text"""
        t = self.text(a, depth)
        kind = self.n(0, 15)
        if kind <= 3:
            labels = self.pick("'{a,b}'", "'{a,b}'", "'{a,b,c}'", f"ARRAY['a', 'b' || {a}.k]")
            options = self.pick("", "", "", ", options => '{\"calibrate\": true}'", f", min_confidence => {a}.k / 3.0", ", instruction => 'Which?'")
            return f"llm_classify({t}, {labels}{options})"
        if kind <= 6:
            options = self.pick("", "", f", system => 's' || {a}.k", f", temperature => 1.2, seed => {a}.i", ", model => 'generated_model'")
            return f"llm_generate({t}, max_tokens => {self.n(1, 3)}{options})"
        if kind == 7:
            return f"llm_complete({t}, max_tokens => 2)"
        if kind == 8:
            return f"(llm_generate_detail({t}, max_tokens => 2)).value"
        if kind == 9:
            return f"llm_classify_multi({t}, '{{x,y}}', threshold => 0.6)::text"
        if kind == 10:
            return f"llm_classify_enum({t}, NULL::mood)::text"
        if kind == 11:
            return f"llm_extract({t}, '{{{{\"enum\": [\"one\", \"two\", 3]}}}}', max_tokens => 20)::text".replace("{{", "{").replace("}}", "}")
        if kind == 12:
            return f"(llm_reason({t}, max_tokens => 2)).answer"
        if kind == 13 and self.encoder:
            return self.pick(f"left(llm_embed({t}, 'generated_encoder')::text, 40)", f"llm_similarity({t}, {a}.t, 'generated_encoder')::text")
        if kind == 14:
            return f"(llm_generate_detail({t}, max_tokens => 2)).output_tokens::text"
        return self.pick(f"asked({t})", f"inlined({t})")

    def score(self, a):
        return f"llm_score({self.text(a)}, '{self.pick('x', 'y')}')"

    def condition(self, a):
        return self.pick(f"llm_filter({self.text(a)}, 'x', threshold => 0.{self.n(5, 8)})", f"{self.score(a)} > 0.{self.n(5, 8)}",
                         f"{self.call(a)} = 'a'", f"({a}.k = 1 OR llm_filter({a}.t, 'x', threshold => 0.7))")

    def cheap(self, a):
        return self.pick(f"{a}.i < {self.n(5, 30)}", f"{a}.k <> {self.n(0, 2)}", f"{a}.n IS NOT NULL", "true", f"{a}.i % 2 = 1")

    def value(self, a):
        """any expression with a call"""
        c = self.call(a)
        return self.pick(c, c, c, f"CASE WHEN {self.cheap(a)} THEN {c} END", f"CASE {a}.k WHEN 0 THEN {self.call(a)} WHEN 1 THEN {a}.t ELSE {c} END",
                         f"coalesce({a}.n::text, {c})", f"CASE WHEN {self.condition(a)} THEN {c} ELSE {self.call(a)} END", self.score(a),
                         f"({self.cheap(a)} AND {self.condition(a)})", f"({c} || {self.call(a)})", f"({c}, {a}.i)",
                         f"CASE WHEN {a}.k > 0 THEN llm_generate({a}.t || 6 / {a}.k, max_tokens => 1) END")

    def table(self, a):
        return f"{self.r.choice(self.tables)} {a}"

    def where(self, a):
        return self.pick("", f" WHERE {self.cheap(a)}", f" WHERE {self.condition(a)}", f" WHERE {self.condition(a)} AND {self.cheap(a)}",
                         f" WHERE {self.cheap(a)} AND {self.condition(a)} AND {self.condition(a)}")

    def limit(self):
        return self.pick("", "", f" LIMIT {self.n(0, 9)}", f" OFFSET {self.n(0, 3)} LIMIT {self.n(1, 9)}")

    # ---- queries ----
    def simple(self):
        order = self.pick("", "", " ORDER BY a.i DESC", f" ORDER BY {self.score('a')}, a.i")
        return f"SELECT a.i, {self.value('a')}, {self.value('a')} FROM {self.table('a')}{self.where('a')}{order}{self.limit()}"

    def join(self):
        kind = self.pick("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
        on = "a.k = b.k" if kind == "FULL JOIN" else f"a.k = b.k AND {self.pick('true', self.condition('b'), self.condition('a'), self.cheap('a'))}"
        return (f"SELECT a.i, b.i, {self.value('a')}, {self.value('b')} FROM {self.table('a')} {kind} few b ON {on}"
                f"{self.pick('', f' WHERE a.i < 9', ' WHERE ' + self.condition('b'))}{self.limit()}")

    def aggregate(self):
        return self.pick(
            f"SELECT a.k, count(*), max({self.call('a')}), avg({self.score('a')}) FILTER (WHERE {self.condition('a')}) FROM {self.table('a')} GROUP BY a.k ORDER BY a.k",
            f"SELECT {self.call('a')} AS c, count(*) FROM {self.table('a')}{self.where('a')} GROUP BY 1 ORDER BY 2, 1",
            f"SELECT a.k, llm_classify(string_agg(a.t, ' ' ORDER BY a.i), '{{a,b}}') FROM {self.table('a')} GROUP BY a.k HAVING llm_score(min(a.t), 'x') > 0.5 ORDER BY a.k",
            f"SELECT DISTINCT {self.call('a')} FROM {self.table('a')} ORDER BY 1",
            f"SELECT DISTINCT ON (a.k) a.k, {self.call('a')} FROM {self.table('a')} ORDER BY a.k, a.i, a.t",
            f"SELECT a.k, llm_summarize_agg({self.text('a')}, 'generated_model', 2 ORDER BY a.i), max({self.call('a')}) FROM {self.table('a')} GROUP BY a.k ORDER BY a.k",
            f"SELECT {self.call('a')} AS c, {self.call('a')} AS d, count(*) FROM {self.table('a')} GROUP BY GROUPING SETS ((1), (2), ()) ORDER BY 1, 2, 3",
            f"SELECT a.i, count({self.call('a')}) OVER (PARTITION BY a.k ORDER BY a.i), llm_classify(a.t || row_number() OVER (ORDER BY a.i), '{{a,b}}') FROM {self.table('a')}{self.limit()}",
            f"SELECT a.k, array_agg({self.call('a')} ORDER BY a.i) FROM {self.table('a')} GROUP BY ROLLUP (a.k) ORDER BY a.k")

    def nested(self):
        return self.pick(
            f"SELECT a.i, (SELECT {self.call('b')} FROM few b WHERE b.k = a.k ORDER BY b.i LIMIT 1) FROM {self.table('a')}{self.limit()}",
            f"SELECT a.i FROM {self.table('a')} WHERE {self.pick('EXISTS', 'NOT EXISTS')} (SELECT FROM few b WHERE b.k = a.k AND {self.condition('b')})",
            f"SELECT a.i FROM {self.table('a')} WHERE {self.call('a')} IN (SELECT {self.call('b')} FROM few b)",
            f"SELECT a.i, x.v FROM {self.table('a')}, LATERAL (SELECT {self.call('a')} AS v) x{self.limit()}",
            f"SELECT a.i, p.label, p.probability FROM {self.table('a')} CROSS JOIN LATERAL llm_classify_probs({self.text('a')}, '{{a,b}}') p",
            f"SELECT a.i, p.label FROM {self.table('a')} LEFT JOIN LATERAL llm_classify_probs({self.text('a')}, '{{a,b}}') p ON p.probability > 0.6{self.limit()}",
            f"SELECT a.i, llm_classify_probs({self.text('a')}, '{{a,b}}') FROM {self.table('a')}{self.limit()}",
            f"SELECT a.i, a FROM {self.table('a')}{self.where('a')}{self.limit()}",
            f"SELECT a.i, {self.call('a')} FROM {self.table('a')} JOIN LATERAL (SELECT b.t FROM few b WHERE b.k = a.k AND {self.condition('b')} ORDER BY b.i LIMIT 1) l ON true",
            f"SELECT a.i, x.colour FROM {self.table('a')}, llm_to_record({self.text('a')}, max_tokens => 20) AS x(colour mood){self.limit()}",
            f"SELECT a.i, {self.call('a')} FROM {self.table('a')} ORDER BY a.i, a.k, a.t{self.limit()}",
            f"WITH c AS {self.pick('', 'MATERIALIZED')} (SELECT a.i, {self.call('a')} AS t, a.k, a.n FROM {self.table('a')}) SELECT c.i, {self.value('c')} FROM c{self.where('c')}{self.limit()}",
            f"SELECT q.i, {self.value('q')} FROM (SELECT a.i, {self.call('a')} AS t, a.k, a.n FROM {self.table('a')} OFFSET 0) q{self.where('q')}{self.limit()}",
            f"SELECT {self.call('a')} FROM {self.table('a')} {self.pick('UNION ALL', 'UNION', 'EXCEPT')} SELECT {self.call('b')} FROM few b",
            "WITH RECURSIVE c(i, t) AS (SELECT i, t FROM few UNION ALL SELECT i + 1, llm_generate(t, max_tokens => 2) FROM c WHERE i < 8) SELECT * FROM c",
            f"SELECT {self.call('v')} FROM (VALUES (1, 'a', 1, 2), (2, NULL, 0, NULL), (3, 'a', 1, 2)) v(i, t, k, n)",
            f"SELECT a.i, {self.value('a')}, nextval('s') FROM {self.table('a')}{self.limit()}",
            f"SELECT q.i, {self.call('q')} FROM (SELECT a.*, nextval('s') AS v FROM texts a OFFSET 0) q LIMIT {self.n(1, 9)}",
            f"SELECT llm_classify(a.t, (SELECT array_agg('l' || i) FROM few)), {self.call('a')} FROM {self.table('a')}")

    def query(self):
        return self.pick(self.simple, self.simple, self.join, self.aggregate, self.nested, self.nested)

    # ---- statements ----
    def cursor(self):
        moves = " ".join(f"FETCH {self.pick('1', '3', 'BACKWARD 2', 'ABSOLUTE 4', 'RELATIVE 0', 'FORWARD ALL', 'FIRST', 'LAST', 'PRIOR')} FROM c;"
                         for _ in range(self.n(2, 6)))
        return f"DECLARE c {self.pick('SCROLL', 'SCROLL', '')} CURSOR FOR {self.query()}; {moves}"

    def current_of(self):
        return (f"DECLARE c CURSOR FOR SELECT * FROM few a{self.where('a')} FOR UPDATE; FETCH {self.n(1, 3)} FROM c; "
                f"UPDATE few a SET t = {self.call('a')} WHERE CURRENT OF c RETURNING a.i, {self.value('a')}; FETCH 1 FROM c")

    def change(self):
        if self.foreign and self.n(0, 4) == 0:  # done by the other server alone, or row by row
            return self.pick(f"UPDATE far a SET n = 1 WHERE {self.cheap('a')} RETURNING a.i, {self.value('a')}",
                             f"UPDATE far a SET t = {self.call('a')}{self.where('a')} RETURNING {self.value('a')}",
                             f"DELETE FROM far a WHERE {self.cheap('a')} RETURNING a.i, {self.value('a')}",
                             f"INSERT INTO far (i, t, k, n) SELECT a.i, a.t, a.k, a.n FROM few a RETURNING t, {self.call('far')}")
        target = self.pick("texts", "parts", "triggered", "few", "ranges", "parent")
        return self.pick(
            f"UPDATE {target} a SET t = {self.call('a')}, n = 1{self.where('a')}{self.returning('a')}",
            f"UPDATE {target} a SET (t, n) = (SELECT b.t || a.k, b.i FROM few b WHERE b.i = a.k + 1), i = length({self.call('a')})",
            f"UPDATE {target} a SET t = {self.call('b')} FROM few b WHERE b.i = a.k AND {self.condition('b')}{self.returning('b')}",
            f"UPDATE {target} a SET (t, n) = (SELECT {self.call('b')}, a.n FROM few b WHERE b.i = a.k + 1), (i, k) = (SELECT a.i, length({self.call('a')}) % 3){self.where('a')}",
            f"UPDATE parts a SET k = (k + 1) % 3, t = {self.call('a')}",
            f"INSERT INTO keyed AS a (i, t, k, n) SELECT b.i, {self.call('b')}, b.k, b.n FROM {self.table('b')} WHERE b.i < 12 "
            f"ON CONFLICT {self.pick('DO NOTHING', f'(i) DO UPDATE SET t = {self.call(chr(97))} || llm_classify(excluded.t, {chr(39)}{{a,b}}{chr(39)})')}{self.returning('a')}",
            f"INSERT INTO {target} (i, t, k, n) SELECT a.i, {self.call('a')}, a.k, a.n FROM {self.table('a')}{self.limit()}{self.returning(target)}",
            f"DELETE FROM {target} a WHERE {self.condition('a')}{self.returning('a')}",
            f"MERGE INTO few a USING texts b ON a.i = b.i AND {self.condition('b')} WHEN MATCHED THEN UPDATE SET t = {self.call('b')} "
            f"WHEN NOT MATCHED AND b.i < 20 THEN INSERT (i, t) VALUES (b.i, {self.call('b')})",
            f"INSERT INTO log SELECT {self.call('a')} FROM {self.table('a')}",
            f"WITH d AS (DELETE FROM texts a WHERE {self.condition('a')} RETURNING a.*) INSERT INTO few (i, t) SELECT d.i, {self.call('d')} FROM d")

    def changed_by_others(self):
        """a statement that comes to rows which another session has changed, and what that one does"""
        target = self.pick("few", "few", "texts", "parts", "ranges", "parent")
        other = self.pick(f"UPDATE {target} SET t = t || '!', k = (k + 1) % 3 WHERE i % 2 = 0", f"UPDATE {target} SET n = 7 WHERE i < 5",
                          f"DELETE FROM {target} WHERE i % 3 = 0", f"UPDATE {target} SET t = 'text 3 of some length'")
        order = "" if target in ("few", "texts") else " ORDER BY 1"
        mine = self.pick(
            f"UPDATE {target} a SET t = {self.call('a')}, n = coalesce(n, 0) + 1{self.where('a')}{self.returning('a')}",
            f"UPDATE {target} a SET t = {self.call('b')} || {self.call('a')} FROM few b WHERE b.i = a.i AND {self.condition('a')}{self.returning('a')}",
            f"UPDATE {target} a SET (t, n) = (SELECT {self.call('a')}, b.i FROM texts b WHERE b.i = a.i LIMIT 1){self.where('a')}",
            f"DELETE FROM {target} a WHERE {self.condition('a')}{self.returning('a')}",
            f"SELECT a.i, {self.value('a')} FROM {target} a{self.where('a')}{order} FOR UPDATE",
            f"SELECT a.i, b.i, {self.value('a')} FROM {target} a JOIN few b ON b.i = a.i AND {self.condition('b')} ORDER BY 1 FOR UPDATE OF a",
            f"SELECT q.i, {self.call('q')} FROM (SELECT * FROM {target} a{self.where('a')} ORDER BY a.i FOR UPDATE) q",
            f"MERGE INTO {target} a USING texts b ON a.i = b.i AND {self.condition('b')} WHEN MATCHED THEN UPDATE SET t = {self.call('b')}")
        return target, other, mine

    def returning(self, a):
        return self.pick("", f" RETURNING {self.call(a)}", f" RETURNING {a}.i, {self.value(a)}")

    def plpgsql(self):
        return (f"DO $do$ DECLARE r record; x text := {self.call('a').replace('a.t', chr(39) + 'x' + chr(39)).replace('a.k', '1').replace('a.n', '2').replace('a.i', '3')}; "
                f"BEGIN INSERT INTO log VALUES (x); FOR r IN {self.query()} LOOP BEGIN INSERT INTO log VALUES (r::text); "
                f"IF r::text LIKE '%3%' THEN RAISE EXCEPTION 'x'; END IF; "
                f"EXCEPTION WHEN raise_exception THEN INSERT INTO log VALUES (llm_classify(r::text, '{{a,b}}')); END; END LOOP; END $do$")

    def prepared(self):
        return (f"PREPARE p(text, int) AS SELECT a.i, llm_classify(a.t || $1, '{{a,b}}'), {self.value('a')} FROM {self.table('a')} WHERE a.k < $2 LIMIT $2 + 4; "
                f"EXECUTE p('x', 2); EXECUTE p(NULL, 1); DEALLOCATE p")

    def settings(self):
        """without workers, which would return rows in any order: a method that is off makes plans so dear that they become parallel"""
        return "SET LOCAL max_parallel_workers = 0; " + self.pick("", "", "", "", "SET LOCAL enable_hashjoin = off; SET LOCAL enable_nestloop = off;", "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;",
                         "SET LOCAL enable_hashagg = off;", "SET LOCAL enable_sort = off;", "SET LOCAL work_mem = '64kB';", "SET LOCAL plan_cache_mode = force_generic_plan;",
                         "SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0;",
                         "SET LOCAL pg_llm.batch_tokens = 3;", "SET LOCAL enable_seqscan = off;", "SET LOCAL enable_partitionwise_join = on; SET LOCAL enable_partitionwise_aggregate = on;",
                         "SET LOCAL ROLE generated_reader;")

    def parallel(self):
        """with workers, whose rows come in any order"""
        return (f"SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0; "
                f"SELECT * FROM (SELECT a.i, {self.value('a')} AS v, {self.call('a')} AS w FROM {self.table('a')}{self.where('a')}) x ORDER BY x::text")

    def statement(self):
        kind = self.n(0, 12)
        if kind <= 5:
            body = self.query()
        elif kind <= 7:
            body = self.change()
        elif kind == 8:
            body = self.pick(self.cursor, self.cursor, self.cursor, self.current_of)
        elif kind == 9:
            body = self.plpgsql()
        elif kind == 10:
            body = self.prepared()
        elif kind == 11:
            return "", self.parallel()
        else:
            body = f"CREATE TABLE made AS {self.simple()}; SELECT * FROM made"
        return self.settings(), body


def start(batching):
    """of a session"""
    return ["SET client_min_messages = warning;", "SET search_path = generated, public;", "SET pg_llm.default_model = 'generated_model';",
            f"SET pg_llm.batching = {batching};", f"SET pg_llm.defer_filters = {'off' if batching == 'off' else 'on'};", "LOAD 'pg_llm';",
            "SELECT setval('s', 1);"]


def script(statements, batching):
    lines = start(batching)
    for number, (settings, body) in enumerate(statements):
        lines += [f"\\echo === {number}", "BEGIN;", settings, body + ";"]
        lines += [f"SELECT '{table}', string_agg(x::text, ' ' ORDER BY x::text) FROM {table} x;" for table in CHANGED
                  if "UPDATE" in body or "INSERT" in body or "DELETE" in body or "MERGE" in body]
        lines += ["ROLLBACK;", "SELECT last_value FROM s;", "SELECT setval('s', 1);"]
    return "\n".join(lines)


def run(psql, sql, stop=False):
    options = ["-X", "-q", "-A", "-t", "-v", f"ON_ERROR_STOP={int(stop)}", "-v", "VERBOSITY=terse"]
    result = subprocess.run(psql + options, input=sql, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8")
    if stop and result.returncode != 0:
        sys.exit("batch_statements: cannot prepare:\n" + result.stdout)
    return result.stdout


def parts_of(output):
    parts = {}
    for part in output.split("=== ")[1:]:
        number, _, rest = part.partition("\n")
        parts[int(number)] = rest
    return parts


def without_line_numbers(text):
    """psql names the line of its input, which is the same in both runs; file names are not"""
    return text.replace("psql:<stdin>:", "psql:")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", required=True)
    parser.add_argument("--encoder", help="a model that embeds")
    parser.add_argument("--show", action="store_true", help="print the statements")
    parser.add_argument("psql", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    where = run(args.psql, "SELECT current_setting('unix_socket_directories'), current_setting('port'), current_database(), current_user, "
                           "count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw';", True).strip().split("|")
    foreign = where[4] == "1"

    def set_up():
        """anew for each run: what is rolled back leaves its pages behind, and another size may give another plan"""
        run(args.psql, SETUP.format(model=args.model), True)
        if args.encoder:
            run(args.psql, ENCODER.format(encoder=args.encoder), True)
        if foreign:
            run(args.psql, "SET client_min_messages = warning; SET search_path = generated, public;" +
                FOREIGN.format(host=where[0].split(",")[0], port=where[1], db=where[2], user=where[3]), True)

    maker = Maker(args.seed, foreign, args.encoder)
    statements = [maker.statement() for _ in range(args.count)]
    if args.show:
        print("\n".join(f"{n}: {s} {b}" for n, (s, b) in enumerate(statements)))
    shared = [maker.changed_by_others() for _ in range(args.count // 10)]
    outputs = {}
    for batching in ("off", "eager"):
        set_up()
        outputs[batching] = parts_of(without_line_numbers(run(args.psql, script(statements, batching))))
        set_up()
        outputs[batching].update(enumerate(two_sessions.outcomes(args.psql, start(batching), shared), args.count))
    statements += [(other + " -- by another session\n", mine) for _, other, mine in shared]
    nodes = run(args.psql, "\n".join(["SET search_path = generated, public;", "LOAD 'pg_llm';"] +
                                     [f"BEGIN; {s} EXPLAIN (COSTS OFF) {b}; ROLLBACK;" for s, b in statements
                                      if b.startswith(("SELECT", "WITH", "UPDATE", "INSERT", "DELETE", "MERGE"))]))
    run(args.psql, CLEANUP, True)
    failed = errors = waited = 0
    for number in range(len(statements)):
        off, on = (outputs[b].get(number) for b in ("off", "eager"))
        errors += "ERROR" in (off or "")
        waited += number >= args.count and (off or "").startswith("waited")
        if off is None or off != on:
            failed += 1
            print(f"--- statement {number} differs:\n{' '.join(statements[number])}\n--- off:\n{off}\n--- on:\n{on}")
    print(f"batch_statements: {len(statements)} statements, {errors} of them raise, {waited} wait for another session, {nodes.count('LlmBatch')} batch nodes, "
          f"{'with' if foreign else 'without'} foreign tables: {failed} differ")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()

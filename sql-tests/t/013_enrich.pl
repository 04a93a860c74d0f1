# CALL llm_enrich: a job that is cancelled, terminated or killed in the middle goes on where it stopped, and its table is the one
# of an uninterrupted run; no row is computed twice; sessions share a job; rows that others change are not overwritten by what
# was computed from their old state; token limit; failed rows; privileges.
#
# No clock decides: a row waits for an advisory lock that the test holds, so a session is where the test wants it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('enrich', conf => "shared_preload_libraries = 'pg_llm'\npg_llm.default_model = 'm'\nrestart_after_crash = on\n");
copy_model($node, 'llama3', 'm');
sub sql { return $node->safe_psql('postgres', $_[0]); }

my $rows = 120;
sql(<<"SQL");
CREATE TABLE original AS SELECT i AS id, 'text number ' || i AS body FROM generate_series(1, $rows) i;
CREATE FUNCTION gate(i int) RETURNS text STABLE LANGUAGE plpgsql AS \$\$
BEGIN
	IF i = 57 THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
	RETURN '';
END \$\$;
SQL
my $expression = q{llm_complete(body, max_tokens => 4) || gate(id)};
sub call { my ($more) = @_; return "CALL llm_enrich('t', 'answer', \$\$$expression\$\$" . ($more // ', batch_rows => 10') . ')'; }
sub content { return sql("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM t"); }
sub job { return sql("SELECT $_[0] FROM llm_jobs ORDER BY job DESC LIMIT 1"); }

# a table as it was before anything was computed, and no job
sub start_anew
{
	sql('DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, body text, answer text); '
		  . 'INSERT INTO t SELECT id, body FROM original; ANALYZE t; SELECT llm_drop_job(job) FROM llm_jobs');
}

my $keeper = session($node);
sub waits { return sql("SELECT count(*) FROM pg_locks WHERE pid = $_[0]->{pid} AND locktype = 'advisory' AND NOT granted"); }

# a session that waits in the sixth chunk
sub blocked_session
{
	my ($more) = @_;
	$keeper->run('SELECT pg_advisory_lock(1)');
	my $s = session($node);
	$s->send(call($more));
	wait_until('the session waits', sub { waits($s) eq '1' });
	return $s;
}
sub open_gate { $keeper->run('SELECT pg_advisory_unlock_all()'); }

# ---- an uninterrupted run ----
start_anew();
my (undef, $err) = session($node)->run(call());
like($err, qr/NOTICE:  00000: job \d+ is done: $rows rows written, 0 failed, 0 skipped/, 'all rows');
my $expected = content();
my $tokens = job('tokens');
is(sql("SELECT count(*) FROM t WHERE answer = llm_complete(body, max_tokens => 4)"), $rows, 'each answer is what the call gives');
is(job('state'), 'done', 'the job is done');

# ---- interrupted ----
for my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	start_anew();
	my $s = blocked_session();
	is(job("rows_written || ' ' || state || ' ' || sessions"), '50 running 1', 'five chunks are written');
	is(sql("SELECT pid = $s->{pid}, phase, model, function, rows_done, rows_expected FROM llm_stat_progress"),
		't|computing batch|m|llm_complete|50|120', 'and shown') if $how =~ /cancel/;
	is(sql('SELECT count(*) FROM pg_locks WHERE relation = \'t\'::regclass AND mode = \'RowExclusiveLock\''), '0', 'nothing is locked for writing');
	sql("SELECT $how($s->{pid})");
	like($how =~ /cancel/ ? ($s->result)[1] : $s->last_words, qr/57014|57P01/, $how);
	wait_until('it is gone', sub { job('sessions') eq '0' });
	is(job("rows_written || ' ' || state"), '50 stopped', 'what was written stays');
	is(sql('SELECT count(answer) FROM t'), '50', 'in the table too');
	is(sql('SELECT count(*) FROM llm_stat_progress'), 0, 'it is not shown any more');
	open_gate();
	(undef, $err) = session($node)->run(call());
	like($err, qr/job \d+ goes on.*is done: 70 rows written/s, 'the next call does the rest');
	is(content(), $expected, 'the same table');
	is(job('tokens'), $tokens, 'and nothing was paid twice');
}

# ---- several sessions ----
start_anew();
my $first = blocked_session(", 'answer IS NULL', batch_rows => 10");
my $second = session($node);
$second->send(call(", 'answer IS NULL', batch_rows => 10"));
wait_until('the second session did the rest', sub { job('rows_written') eq $rows - 10 });
wait_until('and waits for the first', sub {
	sql("SELECT count(*) FROM pg_locks WHERE pid = $second->{pid} AND locktype = 'object' AND NOT granted") eq '1' });
open_gate();
my $sum = 0;
$sum += $_ for map { ($_->result)[1] =~ /is done: (\d+) rows/ ? $1 : -1000 } $first, $second;
is($sum, $rows, 'two sessions, no row twice');
is(content(), $expected, 'the same table');

start_anew();
$first = blocked_session(", 'answer IS NULL', batch_rows => 10");
$second->send(call(", 'answer IS NULL', batch_rows => 10"));
wait_until('the second session did the rest', sub { job('rows_written') eq $rows - 10 });
sql("SELECT pg_terminate_backend($first->{pid})");
$first->last_words;
wait_until('the second takes over what the first left', sub { waits($second) eq '1' });
open_gate();
like(($second->result)[1], qr/is done: 70 rows written/, 'and does it');
is(content(), $expected, 'the same table');

# ---- rows that others change meanwhile ----
start_anew();
$first = blocked_session();
sql(q{UPDATE t SET body = 'changed' WHERE id = 52; UPDATE t SET body = body WHERE id = 53; DELETE FROM t WHERE id = 54;
	UPDATE t SET body = 'changed too' WHERE id = 58; INSERT INTO t VALUES (1000, 'new')});
open_gate();
like(($first->result)[1], qr/is done: $rows rows written, 0 failed, 1 skipped/, 'changed, deleted and inserted rows');
is(sql('SELECT count(*) FROM t WHERE answer = llm_complete(body, max_tokens => 4)'), $rows, 'answers are those of the rows as they are');
start_anew();
$first = blocked_session(q{, 'body <> $$out$$', batch_rows => 10});
sql(q{UPDATE t SET body = 'out' WHERE id IN (52, 99)});
open_gate();
like(($first->result)[1], qr/is done: 118 rows written, 0 failed, 1 skipped/, 'rows that the WHERE does not hold for any more');
is(sql('SELECT count(answer) FROM t WHERE id IN (52, 99)'), '0', 'are left alone');

# an update that is not committed when the row is to be written
start_anew();
my $other = session($node);
$other->run(q{BEGIN; UPDATE t SET body = 'late' WHERE id = 3});
$first = session($node);
$first->send(call());
wait_until('the row is waited for', sub { sql("SELECT count(*) FROM pg_locks WHERE pid = $first->{pid} AND NOT granted") eq '1' });
$other->run('COMMIT');
$first->result;
is(sql('SELECT count(*) FROM t WHERE answer = llm_complete(body, max_tokens => 4)'), $rows, 'it is computed anew');

# ---- token limit ----
start_anew();
my $calls = 0;
do
{
	(undef, $err) = $first->run(call(', token_limit => 700'));
	$calls++;
} while ($err =~ /stopped at its token limit/ && $calls < 100);
like($err, qr/is done/, "$calls calls with a token limit");
cmp_ok($calls, '>=', int($tokens / 1400), 'each keeps to it');
is(content(), $expected, 'the same table');
is(job('tokens'), $tokens, 'the same tokens');

# ---- what is not a row's own trouble ----
start_anew();
$first->run("SET pg_llm.memory_limit = '100kB'");
like(($first->run(call()))[1], qr/ERROR:  54000: .*pg_llm\.memory_limit/s, 'too little memory ends the call');
is(job("rows_written || ' ' || rows_failed"), '0 0', 'and no row has failed');
$first->run('RESET pg_llm.memory_limit');
like(($first->run(call()))[1], qr/is done: $rows rows/, 'with enough memory it goes on');
is(content(), $expected, 'the same table');

# ---- a table that is changed between two calls ----
start_anew();
$first = blocked_session();
sql("SELECT pg_cancel_backend($first->{pid})");
like(($first->result)[1], qr/57014/, 'cancelled');
open_gate();
sql('ALTER TABLE t RENAME COLUMN answer TO answer2');
like(($first->run(call()))[1], qr/42703: column "answer" of table "t" does not exist/, 'a column that is gone');
sql('ALTER TABLE t RENAME COLUMN answer2 TO answer; ALTER TABLE t ADD COLUMN more int DEFAULT 5');
like(($first->run(call()))[1], qr/is done: 70 rows/, 'goes on when it is back, with another column beside it');
is(sql("SELECT md5(string_agg(ROW(id, body, answer)::text, ',' ORDER BY id)) FROM t"), $expected, 'the same table');

# ---- isolation levels ----
start_anew();
$first->run("SET default_transaction_isolation = 'serializable'");
like(($first->run(call()))[1], qr/is done: $rows rows/, 'a session whose transactions are serializable');
is(content(), $expected, 'the same table');

# ---- privileges ----
sql('CREATE ROLE writer LOGIN; CREATE ROLE reader LOGIN; GRANT ALL ON t TO writer; GRANT SELECT ON t TO reader; GRANT USAGE ON FOREIGN SERVER m TO writer');
my $session = session($node);
$session->run('SET ROLE reader');
like(($session->run(call()))[1], qr/42501: permission denied for table t/, 'a role that may not write');
$session->run('SET ROLE writer');
like(($session->run(q{CALL llm_enrich('t', 'answer', $$CASE WHEN id = 7 THEN 1 / (id - 7) ELSE 2 END$$, 'id < 10')}))[1],
	qr/is done: 8 rows written, 1 failed/, 'a role that may');
is($session->run('SELECT target, key, code FROM llm_job_errors'), 't|{"id": "7"}|22012', 'sees its failed rows');
my $number = $session->run('SELECT job FROM llm_jobs');
for my $table ('llm_job_state', 'llm_job_chunks', 'llm_job_failures')
{
	like(($session->run("SELECT * FROM $table"))[1], qr/42501/, "$table is not for it");
}
$session->run('SET ROLE reader');
is($session->run('SELECT count(*) FROM llm_jobs'), '0', 'others see nothing');
is($session->run('SELECT count(*) FROM llm_job_errors'), '0', 'nor its failed rows');
like(($session->run("SELECT llm_drop_job($number)"))[1], qr/42704: job $number does not exist/, 'and cannot drop the job');
like(($session->run("CALL llm_retry($number)"))[1], qr/42704: job $number does not exist/, 'nor try its rows');
$session->run('RESET ROLE');

check_no_crash($node);

# ---- the server is killed ----
start_anew();
$first = blocked_session();
kill_backend($node, $first);
is(job("rows_written || ' ' || state"), '50 stopped', 'after kill -9 and recovery');
(undef, $err) = session($node)->run(call());
like($err, qr/job \d+ goes on.*is done: 70 rows written/s, 'the rest is done');
is(content(), $expected, 'the same table');
is(job('tokens'), $tokens, 'and nothing was paid twice');
is(sql('SELECT count(*) FROM llm_job_chunks'), '0', 'no chunk is left');

done_testing();

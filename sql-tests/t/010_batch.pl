# Rows through the model together, where it takes more than one session or server: rows that change under a statement, cancel
# in the middle of a batch, a library that is not preloaded; and generated statements, with batching and without.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('batch', conf => "shared_preload_libraries = 'pg_llm'\npg_llm.default_model = 'mistral'\n");
my $models = $node->basedir . '/models';
copy_model($node, 'mistral', 'mistral');
copy_model($node, 'bert', 'bert');
Gguf::write_model("$models/slow.gguf", model_file('llama3'),
	{ embd => 2048, ff => 8192, heads => 16, kv_heads => 4, context => 100000, layers => 2 });
$node->safe_psql('postgres', <<'SQL');
CREATE SERVER slow FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'slow.gguf');
CREATE TABLE original AS SELECT i, 'text ' || i AS t, NULL::text AS label FROM generate_series(1, 30) i;
CREATE TABLE texts AS TABLE original;
SQL

# ---- rows that another session changes while the statement waits for them ----

my ($one, $two) = (session($node), session($node));

# what the statement leaves, after another session has changed rows 3, 4 and 5 under it
sub changed_under
{
	my ($statement, $batching) = @_;
	$one->run('TRUNCATE texts; INSERT INTO texts TABLE original');
	$two->run("SET pg_llm.batching = $batching");
	$one->run("BEGIN; UPDATE texts SET t = 'changed ' || i WHERE i IN (3, 4); DELETE FROM texts WHERE i = 5");
	$two->send($statement);
	wait_until('it waits for a row', sub {
		$node->safe_psql('postgres', "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $two->{pid}") eq 'Lock' });
	$one->run('COMMIT');
	my $returned = $two->result;
	return $returned . "\n" . $one->run('SELECT i, t, label FROM texts ORDER BY i');
}

for my $statement (
	"UPDATE texts SET label = llm_classify(t, '{a,b}') WHERE i < 10 RETURNING i, llm_generate(t, max_tokens => 2)",
	"UPDATE texts SET label = llm_generate(t, max_tokens => 2) WHERE llm_filter(t, 'x', threshold => 0.3)",
	"UPDATE texts a SET label = llm_generate(a.t || b.t, max_tokens => 2) FROM original b WHERE a.i = b.i AND llm_score(a.t, 'x') > 0.3",
	"UPDATE texts a SET label = b.i || a.t FROM original b WHERE b.i < 4 AND llm_filter(a.t || b.t, 'x', threshold => 0.3, options => '{\"block_model\": \"bert\", \"block_similarity\": 0}')",
	"DELETE FROM texts WHERE llm_filter(t, 'x', threshold => 0.3)",
	"SELECT i, llm_classify(t, '{a,b}'), t FROM texts WHERE llm_score(t, 'x') > 0.3 ORDER BY i FOR UPDATE")
{
	my $alone = changed_under($statement, 'off');
	is(changed_under($statement, 'on'), $alone, "rows that change: $statement");
}
like($one->run("EXPLAIN UPDATE texts SET label = llm_classify(t, '{a,b}')"), qr/LlmBatch/, 'with a batch node');

# ---- cancel in a batch, and an error in the middle ----

my $endless = q(options => '{"logit_bias": {"511": false}}');
$two->run("SET pg_llm.batching = on; SELECT llm_complete('x', 'slow', max_tokens => 1)");
$two->send("SELECT count(llm_complete(t, 'slow', max_tokens => 90000, $endless)) FROM original");
my $before = cpu_time($two);
wait_until('it computes', sub { cpu_time($two) - $before > 50 });
$node->safe_psql('postgres', "SELECT pg_cancel_backend($two->{pid})");
my (undef, $err) = $two->result;
like($err, qr/57014/, 'a batch is cancelled');
$two->send(q(SELECT count(*) FROM generate_series(1, 300000) a(i) JOIN generate_series(1, 2) b(i)
	ON llm_filter(a.i || ' and ' || b.i, 'x', options => '{"block_model": "bert", "block_top": 1}')));
$before = cpu_time($two);
wait_until('it embeds', sub { cpu_time($two) - $before > 50 });
$node->safe_psql('postgres', "SELECT pg_cancel_backend($two->{pid})");
(undef, $err) = $two->result;
like($err, qr/57014/, 'a blocked join is cancelled');
(undef, $err) = $two->send("SELECT llm_generate(t || 1 / (i - 20), max_tokens => 2) FROM original")->result;
like($err, qr/22012/, 'an error of a row is the statement\'s');
is($two->run("SELECT count(llm_generate(t, max_tokens => 2)) FROM original"), '30', 'the session goes on');

$_->quit for $one, $two;

# ---- generated statements ----

my $count = $ENV{PG_LLM_BATCH_STATEMENTS} // 60;
my $script = "$FindBin::RealBin/../../src/test/batch_statements.py";
my ($out, $errors);
my $ok = IPC::Run::run([ 'python3', $script, '--count', $count, '--model', "$models/mistral.gguf", '--encoder', "$models/bert.gguf",
	'psql', '-d', $node->connstr('postgres') ],
	'>', \$out, '2>', \$errors);
ok($ok, 'generated statements give the same with batching and without');
note $out;
diag $out . $errors unless $ok;
check_no_crash($node);

# ---- without preloading ----

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
my $explain = "EXPLAIN (COSTS OFF) SELECT llm_classify(t, '{a,b}') FROM original";
is($node->safe_psql('postgres', $explain), 'Seq Scan on original', 'the first statement of a session goes row by row');
like($node->safe_psql('postgres', "$explain; $explain"), qr/LlmBatch/, 'the second does not');
$node->append_conf('postgresql.conf', "session_preload_libraries = 'pg_llm'\n");
$node->reload;
like($node->safe_psql('postgres', $explain), qr/LlmBatch/, 'nor the first with session_preload_libraries');

$node->stop;
done_testing();

# Statistics, progress and limits: llm_stat_calls of the whole server, llm_stat_progress from another session, what is left after
# cancel, the shared result cache between sessions and roles, and what comes back after a crash.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $preload = "shared_preload_libraries = 'pg_llm'\npg_llm.cache_size = '4MB'\npg_llm.result_cache_size = '256kB'\n"
  . "pg_llm.stat_calls_max = 100\nrestart_after_crash = on\ncompute_query_id = on\npg_llm.preload_models = 'postgres.a, postgres.b'\n";
my $node = new_server('statistics', conf => $preload);
copy_model($node, 'llama3', 'a');
copy_model($node, 'mistral', 'b');

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub calls { return sql("SELECT $_[0] FROM llm_stat_calls WHERE model = 'a'"); }
sub progress { return sql("SELECT $_[0] FROM llm_stat_progress"); }
my $long = "SELECT llm_generate('x' || i, 'a', max_tokens => 1000) FROM generate_series(1, 1000000) i";

# ---- one table for all sessions ----

my @sessions = map { session($node) } 1 .. 2;
$_->run("SELECT llm_complete('The sea', 'a', max_tokens => 3) FROM generate_series(1, 4)") for @sessions;
is(calls('sum(calls), sum(rows), sum(errors), sum(output_tokens), count(*), bool_and(query_id <> 0)'), '2|8|0|6|1|t',
	'calls of two sessions are one entry: a run of the model for equal inputs, all rows');
is(calls('role, database, function'), $node->safe_psql('postgres', 'SELECT current_user') . '|postgres|llm_complete', 'whose');
$sessions[0]->run("SELECT llm_complete('The sea', 'a', max_tokens => 3) /* more */, " . join(',', map { "'$_'" } 1 .. 3));
is(calls('count(*)'), 2, 'another query');
sql('CREATE ROLE reader LOGIN; CREATE ROLE watcher LOGIN; GRANT pg_read_all_stats TO watcher');
is(sql('SET ROLE reader; SELECT count(*) FROM llm_stat_calls'), 0, 'others see nothing of it');
is(sql('SET ROLE watcher; SELECT count(*) > 0 FROM llm_stat_calls'), 't', 'but pg_read_all_stats');
for my $call ('llm_stat_reset()', 'llm_clear_result_cache()')
{
	is(sql("SET ROLE watcher; SELECT code FROM fails(\$\$SELECT $call\$\$)"), '42501', "$call is for superusers");
}
# a new entry takes the place of the oldest; each statement below has a query id of its own
sql(join ';', map { my $n = $_; "SELECT llm_complete('The sea', 'b', max_tokens => 1)" . join('', map { ", $_" } 1 .. $n) } 1 .. 110);
is(sql('SELECT count(*) FROM llm_stat_calls'), 100, 'entries are bounded');
is(calls('count(*)'), 0, 'the oldest have gone');
sql('SELECT llm_stat_reset()');
is(sql('SELECT count(*) FROM llm_stat_calls'), 0, 'reset');

# ---- progress ----

my $busy = session($node);
my $pid = $busy->{pid};
$busy->send($long);
wait_until('the statement shows itself', sub { progress("count(*) FILTER (WHERE pid = $pid AND rows_done > 0)") eq '1' });
# what is seen at any one moment may be the moment between two steps of the model, so these wait until they see it
wait_until('it says how far it is', sub {
	progress("phase, model, function, rows_expected, tokens_per_second > 0, time_left > '0', output_tokens > 0")
	  eq 'computing batch|a|llm_generate|1000000|t|t|t' });
is(sql('SET ROLE reader; SELECT count(*) FROM llm_stat_progress'), 0, 'others do not see it');
wait_until('pg_read_all_stats sees it', sub { sql('SET ROLE watcher; SELECT count(*) FROM llm_stat_progress') eq '1' });
wait_until('the process title says it', sub { slurp_file("/proc/$pid/cmdline") =~ /SELECT pg_llm: row \d+ of 1000000/ });
wait_until('its tokens are counted while it runs', sub { (calls('sum(output_tokens)') || 0) > 0 });
wait_until('it shows a wait event', sub { sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid") eq 'Extension' });
sql("SELECT pg_cancel_backend($pid)");
my (undef, $error) = $busy->result;
like($error, qr/ERROR:  57014/, 'cancelled');
is(progress('count(*)'), 0, 'progress is empty');
unlike(slurp_file("/proc/$pid/cmdline"), qr/pg_llm/, 'and the process title as before');
$busy->send($long);
wait_until('it runs again', sub { progress('count(*)') eq '1' });
sql("SELECT pg_terminate_backend($pid)");
$busy->last_words;
is(progress('count(*)'), 0, 'a session that was ended leaves nothing');

# calls under way count by what they have: the first row of this statement is never done
Gguf::write_model($node->basedir . '/models/slow.gguf', model_file('llama3'),
	{ embd => 512, ff => 1024, heads => 8, kv_heads => 2, layers => 2, context => 100000 });
sql("CREATE SERVER slow FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'slow.gguf')");
$busy = session($node);
$busy->send("SELECT llm_complete('x' || i, 'slow', max_tokens => 90000, options => '{\"logit_bias\": {\"511\": false}}') FROM generate_series(1, 100) i");
wait_until('its tokens are shown', sub { progress("rows_done = 0 AND prompt_tokens > 0 AND output_tokens > 100 AND time_left > '0'") eq 't' });
sql("SELECT pg_cancel_backend($busy->{pid})");
like(($busy->result)[1], qr/ERROR:  57014/, 'cancelled');

# ---- results that sessions share ----

sub shared { return "SET pg_llm.result_cache = shared; $_[0]"; }
my $question = "SELECT llm_complete('A cow', '%s', max_tokens => 3)";
sql('SELECT llm_stat_reset(), llm_clear_result_cache()');
my $answer = sql(shared(sprintf $question, 'a'));
is(sql(shared(sprintf $question, 'a')), $answer, 'the same answer');
is(calls('sum(calls), sum(rows), sum(cache_hits)'), '1|2|1', 'which the model gave once');
is(sql(sprintf $question, 'a'), $answer, 'by default it is not shared');
is(calls('sum(calls), sum(rows), sum(cache_hits)'), '2|3|1', 'and runs again');
sql("CREATE SERVER again FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf'); CREATE SERVER other FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', context '64')");
is(sql(shared(sprintf $question, 'again')), $answer, 'another name for the same model');
is(sql("SELECT cache_hits FROM llm_stat_calls WHERE model = 'again'"), 1, 'shares them');
sql(shared(sprintf $question, 'other'));
is(sql("SELECT cache_hits FROM llm_stat_calls WHERE model = 'other'"), 0, 'other options do not');
is(sql("SET ROLE reader; SET pg_llm.result_cache = shared; SELECT code FROM fails(\$\$" . sprintf($question, 'a') . "\$\$)"), '42501',
	'a role without privilege gets none');
sql(shared("SELECT llm_complete('A cow', 'a', max_tokens => 3, temperature => 1)")) for 1 .. 2;
is(sql("SELECT sum(cache_hits) FROM llm_stat_calls WHERE model = 'a'"), 1, 'nor what is drawn');
like(sql(shared('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' . sprintf("SELECT llm_complete('A cow' || x, '%s', max_tokens => 3) FROM (VALUES (''), (' x')) v(x)", 'a'))),
	qr/Shared Results: 1/, 'EXPLAIN shows it');
# more than there is room for: answers stay right
sql(shared("SELECT llm_complete('Cow ' || i, 'b', max_tokens => 2) FROM generate_series(1, 1500) i"));
sql(shared(sprintf $question, 'a'));
is(sql(shared(sprintf $question, 'a')), $answer, 'a cache that is too small');
is(sql(shared("SELECT count(DISTINCT (SELECT llm_complete('Cow ' || i, 'b', max_tokens => 2))) > 0 FROM generate_series(1400, 1500) i")), 't', 'goes on');
sql('SELECT llm_stat_reset(), llm_clear_result_cache()');
sql(shared(sprintf $question, 'a'));
is(calls('sum(cache_hits)'), 0, 'forgotten');

# ---- the limit of a role ----

sql("ALTER ROLE reader SET pg_llm.statement_token_limit = 100; GRANT USAGE ON FOREIGN SERVER a TO reader");
my $err;
$node->psql('postgres', $long, extra_params => [ '-U', 'reader', '-v', 'VERBOSITY=verbose' ], stderr => \$err);
like($err, qr/ERROR:  54000: statement needs more tokens than pg_llm.statement_token_limit allows/, 'a role with a limit');
$node->psql('postgres', 'SET pg_llm.statement_token_limit = 0', extra_params => [ '-U', 'reader', '-v', 'VERBOSITY=verbose' ], stderr => \$err);
like($err, qr/ERROR:  42501/, 'which it cannot raise');
is(progress('count(*)'), 0, 'nothing is left of it');

# ---- after a crash ----

sub cached { return sql("SELECT string_agg(model, ' ' ORDER BY model) FROM llm_stat_cache WHERE state = 'ready'"); }
$node->restart;
wait_until('models are loaded at start', sub { cached() eq 'a b' });
my $victim = session($node);
$victim->send($long);
wait_until('it runs', sub { progress('count(*)') eq '1' });
kill_backend($node, $victim);
wait_until('models are loaded again', sub { my $c = eval { cached() } // ''; $c eq 'a b' });
is(progress('count(*)'), 0, 'progress is empty after the crash');
is(sql(sprintf $question, 'a'), $answer, 'the same answer after it');
$node->stop;

# ---- without preloading ----

my $alone = new_server('alone');
copy_model($alone, 'llama3', 'a');
my @two = map { session($alone) } 1 .. 2;
$two[0]->run(sprintf $question, 'a');
is($two[0]->run('SELECT calls, rows FROM llm_stat_calls'), '1|1', 'a session sees what it did');
is($two[1]->run('SELECT count(*) FROM llm_stat_calls'), '0', 'and nothing of others');
$two[0]->send($long);
wait_until('it computes', sub { slurp_file("/proc/$two[0]->{pid}/cmdline") =~ /pg_llm: row/ });
is($two[1]->run('SELECT count(*) FROM llm_stat_progress'), '0', 'there is no progress view');
$two[1]->run("SELECT pg_cancel_backend($two[0]->{pid})");
(undef, $error) = $two[0]->result;
(undef, $error) = $two[0]->run('SET pg_llm.result_cache = shared');
like($error, qr/ERROR:  55000/, 'no shared result cache to ask for');
$alone->append_conf('postgresql.conf', "pg_llm.result_cache = 'shared'\n");
$alone->reload;
is($alone->safe_psql('postgres', sprintf $question, 'a'), $answer, 'one in the configuration is none');
check_no_crash($alone);
done_testing();

# The shared cache (pg_llm.cache_size): one copy for all sessions, loaded once, found again, evicted when room is needed, kept
# while it is used or pinned; what does not fit is mapped from a file; nothing is left in use by whoever is gone.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('cache', conf => "shared_preload_libraries = 'pg_llm'\npg_llm.cache_size = '2MB'\n");
copy_model($node, 'llama3', 'a');
copy_model($node, 'mistral', 'b');
copy_model($node, 'nemotron_h', 'c');

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub answer_sql { return "SELECT llm_complete('The sea', '$_[0]', max_tokens => 8)"; }
sub cached { return sql("SELECT string_agg(model, ' ' ORDER BY model) FROM llm_stat_cache WHERE state = 'ready'"); }
sub stat_of { return sql("SELECT $_[1] FROM llm_stat_cache WHERE model = '$_[0]'"); }

# the same answers as from files
my %answer;
my $files = new_server('files');
for my $m ([ 'llama3', 'a' ], [ 'mistral', 'b' ], [ 'nemotron_h', 'c' ])
{
	copy_model($files, @$m);
	$answer{ $m->[1] } = $files->safe_psql('postgres', answer_sql($m->[1]));
}
is($files->safe_psql('postgres', 'SELECT count(*) FROM llm_stat_cache'), '0', 'without preloading there is no cache');
my ($code) = split /\|/, $files->safe_psql('postgres', q{SELECT * FROM fails($$SELECT llm_pin('a')$$)});
is($code, '55000', 'and nothing to pin in');
is($files->safe_psql('postgres', "SELECT llm_load('a'), llm_unload('a')"), '|', 'loading and unloading do no harm');
$files->stop;

is(sql(answer_sql('a')), $answer{a}, 'answer from the cache');
is(cached(), 'a', 'the model is in it');
is(scalar packs($node), 0, 'and no pack file was made');
is(stat_of('a', 'users'), '0', 'a session that is gone uses nothing');
my $loaded = stat_of('a', 'loaded');
is(sql(answer_sql('a')), $answer{a}, 'another session');
is(stat_of('a', 'loaded'), $loaded, 'found it there');
is(stat_of('a', 'hits'), '2', 'which is counted');

# use lasts as long as a transaction
my $s = session($node);
is($s->run(answer_sql('a')), $answer{a}, 'a session that stays');
is(stat_of('a', 'users'), '0', 'holds nothing when idle');
$s->run('BEGIN');
$s->run(answer_sql('a'));
is(stat_of('a', 'users'), '1', 'but in a transaction');
(undef, my $error) = $s->run("SELECT llm_unload('a')");
like($error, qr/ERROR:  55006: model "a" is in use/, 'what is used cannot be unloaded');
$s->run('ROLLBACK');
is(stat_of('a', 'users'), '0', 'and nothing after an error');
sql("SELECT llm_unload('a')");
is(cached(), '', 'unloaded');
is($s->run(answer_sql('a')), $answer{a}, 'the session that stayed opens it again');

# loaded once by many
sql("SELECT llm_unload('a')");
my @sessions = map { session($node) } 1 .. 4;
$_->send(answer_sql('a')) for @sessions;
is($_->result, $answer{a}, 'one of four at once') for @sessions;
is(sql("SELECT count(*) FROM llm_stat_cache WHERE model = 'a'"), '1', 'they share one copy');

# more models than room: all answers stay right
for my $round (1 .. 2)
{
	is(sql(answer_sql($_)), $answer{$_}, "round $round: $_") for qw(a b c);
}
is(cached(), 'b c', 'what was used longest ago has gone');
is(sql("SELECT sum(bytes) <= 2 * 1024 * 1024 FROM llm_stat_cache"), 't', 'the cache is not larger than said');
is($s->run(answer_sql($_)), $answer{$_}, "a session that had it open: $_") for qw(c a b a c);

# pinned models stay, and what finds no room comes from a file
sql("SELECT llm_unload(m) FROM unnest('{a,b,c}'::text[]) m");
sql("SELECT llm_pin('a')");
sql("SELECT llm_pin('b')");
is(sql(answer_sql('c')), $answer{c}, 'a model beside pinned ones');
is(cached(), 'a b', 'which stay');
is(scalar packs($node), 1, 'it was mapped from a file');
($code) = split /\|/, sql(q{SELECT * FROM fails($$SELECT llm_pin('c')$$)});
is($code, '53400', 'and cannot be pinned');
sql("SELECT llm_pin('a', false)");
is(stat_of('a', 'pinned'), 'f', 'unpinned');
sql("SELECT llm_unload('b')");
is(stat_of('b', '1'), '', 'unloading unpins too');

# a model with an adapter is two packs, that of its file and that of the adapter
sql("SELECT llm_unload(m) FROM unnest('{a,b,c}'::text[]) m");
put_file($node->basedir . '/models/adapter.gguf', slurp_file(model_file('llama3-lora')));
sql("CREATE SERVER adapted FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', lora 'adapter.gguf')");
sql("SELECT llm_pin('adapted')");
is(stat_of('adapted', 'string_agg(pinned::text, $$ $$)'), 'true true', 'both are pinned');
sql("SELECT llm_pin('adapted', false)");
is(stat_of('adapted', 'string_agg(pinned::text, $$ $$)'), 'false false', 'and unpinned');
sql("SELECT llm_unload('adapted')");
is(stat_of('adapted', 'count(*)'), '0', 'and unloaded');

# privileges
sql('CREATE ROLE reader LOGIN; GRANT USAGE ON FOREIGN SERVER a TO reader');
for my $call ("llm_load('a')", "llm_unload('a')", "llm_pin('a')")
{
	my ($out) = sql("SET ROLE reader; SELECT code FROM fails(\$\$SELECT $call\$\$)");
	is($out, '42501', "$call is for the owner");
}
($code) = split /\|/, sql(q{SELECT * FROM fails($$SELECT llm_load('nosuch')$$)});
is($code, '42704', 'a model that there is not');
($code) = split /\|/, sql(q{SELECT * FROM fails($$SELECT llm_load(NULL)$$)});
is($code, '22004', 'no name');

# sessions that end in the middle leave nothing in use, and nothing half loaded
sql("SELECT llm_unload(m) FROM unnest('{a,b,c}'::text[]) m");
for my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	my $victim = session($node);
	$victim->run('BEGIN');
	$victim->send("SELECT llm_generate('x', 'a', max_tokens => 100000, options => '{\"truncate\": \"tail\"}') FROM generate_series(1, 1000000)");
	wait_until('it is in use', sub { stat_of('a', 'users') eq '1' });
	sql("SELECT $how($victim->{pid})");
	wait_until("nobody uses it after $how", sub { stat_of('a', 'users') eq '0' });
	pass("$how gives the use back");
}
is(sql("SELECT count(*) FROM llm_stat_cache WHERE state = 'loading' OR users > 0"), '0', 'nothing is left');

# a damaged source leaves nothing half loaded
put_file($node->basedir . '/models/bad.gguf', substr((Gguf::read_file(model_file('llama3')))[2], 0, 600000));
sql("CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'bad.gguf')");
($code) = split /\|/, sql(q{SELECT * FROM fails($$SELECT llm_load('bad')$$)});
is($code, 'XX001', 'a damaged file');
is(sql("SELECT count(*) FROM llm_stat_cache WHERE model = 'bad'"), '0', 'is not in the cache');

# after a crash of the server everything is loaded anew
$node->restart;
is(cached(), '', 'a new server begins empty');
is(sql(answer_sql('a')), $answer{a}, 'and loads');

# at start
$node->append_conf('postgresql.conf', "pg_llm.preload_models = 'postgres.b, postgres.nosuch, nodatabase.a'\n");
$node->restart;
wait_until('the model is loaded', sub { cached() eq 'b' });
is(sql(answer_sql('b')), $answer{b}, 'a model that was loaded at start');
wait_until('what cannot be loaded is in the log', sub { slurp_file($node->logfile) =~ /model "nosuch" does not exist/ });
pass('what cannot be loaded is in the log');
is($node->psql('postgres', "ALTER SYSTEM SET pg_llm.preload_models = 'nodot'"), 3, 'a wrong list is refused');

check_no_crash($node);
done_testing();

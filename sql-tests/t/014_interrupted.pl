# ERROR, cancel and termination at random moments of loading, prefill, decoding and enriching leave nothing behind: no use of the
# cache, lock, temporary file or thread, and the next call is right. A cache smaller than the models in use; sessions that
# load, drop and alter one model; idle connections.
#
# The moments are drawn with a fixed seed; where a statement then is does not matter to what is checked. PG_LLM_INTERRUPTS says how
# many there are for each phase.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $n = $ENV{PG_LLM_INTERRUPTS} // 9;
srand(7);
$SIG{PIPE} = 'IGNORE';
my $node = new_server('interrupted',
	conf => "shared_preload_libraries = 'pg_llm'\npg_llm.cache_size = '24MB'\nmax_connections = 40\n");
my %shape = (embd => 512, ff => 1024, heads => 8, kv_heads => 2, layers => 2, context => 20000);
Gguf::write_model($node->basedir . '/models/mid.gguf', model_file('llama3'), \%shape);
copy_model($node, 'mistral', 'quick');
sub sql { return $node->safe_psql('postgres', $_[0]); }
sql(<<'SQL');
CREATE SERVER mid FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'mid.gguf');
CREATE TABLE t (id int PRIMARY KEY, body text, answer text);
INSERT INTO t SELECT i, 'row number ' || i FROM generate_series(1, 400) i;
SQL

my $endless = q(options => '{"logit_bias": {"511": false}}');
my $right = "SELECT md5(llm_complete('The sea', 'mid', max_tokens => 8, $endless))";
my $answer = sql($right);
my $enrich = q{CALL llm_enrich('t', 'answer', $$llm_complete(body, 'mid', max_tokens => 2)$$, batch_rows => 10)};

# what is interrupted, what comes before it, and within how many milliseconds
my %phase = (
	load => [ "SELECT llm_load('mid')", "SELECT llm_unload('mid')", 60 ],
	prefill => [ "SELECT llm_complete(repeat('word and ', 5000), 'mid', max_tokens => 1)", undef, 200 ],
	decode => [ "SELECT llm_complete('x', 'mid', max_tokens => 15000, $endless)", undef, 200 ],
	enrich => [ $enrich, undef, 300 ]);

# what a session that does nothing must not have
sub traces
{
	my ($pid) = @_;
	return sql("SELECT (SELECT count(*) FROM pg_locks WHERE pid = $pid) || ' locks, ' || "
		  . "(SELECT count(*) FROM llm_stat_cache WHERE users > 0 OR state <> 'ready' OR pinned) || ' models, ' || "
		  . "(SELECT count(*) FROM llm_jobs WHERE sessions > 0) || ' jobs'") . ', ' . scalar(temp_files($node)) . ' files';
}

my ($session, $threads);
for my $name (sort keys %phase)
{
	my ($statement, $before, $within) = @{ $phase{$name} };
	my %seen;
	for my $i (1 .. $n)
	{
		my $how = ('cancel', 'timeout', 'terminate')[ $i % 3 ];
		my $ms = 1 + int rand $within;
		if (!$session)
		{
			$session = session($node);
			$session->run($right);
			$threads = $session->thread_count;
		}
		sql($before) if $before;
		$session->run("SET statement_timeout = $ms") if $how eq 'timeout';
		$session->send($statement);
		if ($how ne 'timeout')
		{
			Time::HiRes::usleep(1000 * $ms);
			sql(($how eq 'cancel' ? 'SELECT pg_cancel_backend' : 'SELECT pg_terminate_backend') . "($session->{pid})");
		}
		my $pid = $session->{pid};
		if ($how eq 'terminate')
		{
			$session->{in} .= "\\q\n";    # if the statement had ended before, psql waits for the next
			$seen{$how}++ if $session->last_words =~ /57P01/;
			undef $session;
			wait_until('the session is gone', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0' });
		}
		else
		{
			$seen{$how}++ if ($session->result)[1] =~ /57014/;
			$session->run('RESET statement_timeout');
		}
		my $traces = traces($pid);
		is($traces, '0 locks, 0 models, 0 jobs, 0 files', "$name, $how after $ms ms: nothing is left") if $traces ne '0 locks, 0 models, 0 jobs, 0 files';
		my $again = $session ? $session->run($right) : sql($right);
		is($again, $answer, "$name, $how after $ms ms: the next call is right") if $again ne $answer;
		is($session->thread_count, $threads, 'as many threads') if $session && $session->thread_count != $threads;
	}
	pass("$name: $n interrupts leave nothing behind (ended by them: " . join(', ', map { "$_ $seen{$_}" } sort keys %seen) . ')');
}

# what the interrupted calls of llm_enrich left undone
sql($enrich);
is(sql("SELECT count(*) FROM t WHERE answer IS DISTINCT FROM llm_complete(body, 'mid', max_tokens => 2)"), '0', 'the enriched table is right');
is(sql('SELECT count(*) FROM llm_job_chunks'), '0', 'and no chunk is left');

# ---- errors in the middle of statements ----
my ($code) = split /\|/, sql(q{SELECT * FROM fails($$SELECT sum(length(llm_complete('row ' || i, 'mid', max_tokens => 2)) / (i - 30)) FROM generate_series(1, 60) i$$)});
is($code, '22012', 'an error in the middle of a batch');
is(sql($right), $answer, 'the next call is right');

# ---- a cache that is too small for two models ----
$node->append_conf('postgresql.conf', "pg_llm.cache_size = '1MB'\n");
$node->restart;
copy_model($node, 'llama3', 'other');
copy_model($node, 'nemotron_h', 'third');
my %answers = map { $_ => sql("SELECT llm_complete('The sea', '$_', max_tokens => 8)") } qw(quick other third mid);
my @sessions = map { session($node) } 1 .. 3;
for my $round (1 .. $n)
{
	my @models = map { (qw(quick other third mid))[ ($round + $_) % 4 ] } 0 .. 2;
	$sessions[$_]->send("SELECT llm_complete('The sea', '$models[$_]', max_tokens => 8)") for 0 .. 2;
	for my $i (0 .. 2)
	{
		my $got = $sessions[$i]->result;
		is($got, $answers{ $models[$i] }, "$models[$i] while others push it out") if $got ne $answers{ $models[$i] };
	}
}
pass('a cache smaller than the models in use gives right answers');

# ---- idle connections ----
is(sql('SELECT count(*) FROM llm_stat_cache WHERE users > 0 OR pinned'), '0', 'connections that do nothing hold no model');
is(sql("SELECT llm_unload('quick'), llm_unload('other'), llm_unload('third')"), '||', 'so each can be unloaded');

# ---- two sessions that load, drop and alter the same model ----
my @statements = ("SELECT llm_load('shared')", "SELECT llm_unload('shared')", "SELECT llm_complete('The sea', 'shared', max_tokens => 8)",
	"ALTER SERVER shared OPTIONS (SET context '300')", "ALTER SERVER shared OPTIONS (SET context '400')", 'DROP SERVER IF EXISTS shared',
	"CREATE SERVER IF NOT EXISTS shared FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'other.gguf', context '300')",
	"CREATE SERVER IF NOT EXISTS shared FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'other.gguf', context '300')");
my $wrong = 0;
for my $round (1 .. 4 * $n)
{
	$_->send(join(";\n", map { $statements[ int rand @statements ] } 1 .. 8)) for @sessions[ 0, 1 ];
	for my $s (@sessions[ 0, 1 ])
	{
		my ($out, $err) = $s->result;
		for my $line (grep { $_ ne '' && $_ ne $answers{other} } split /\n/, $out)
		{
			diag("an answer of the shared model: $line") if $answers{other} !~ /\Q$line\E/;
			$wrong++ if $answers{other} !~ /\Q$line\E/;
		}
		# it does not exist just now; it is in use; two altered it at once; it was dropped by the other one
		for my $error ($err =~ /^(?:ERROR|FATAL|PANIC):\s+(.*)$/mg)
		{
			next if $error =~ /^(42704|55006|42710|23505|XX000: tuple concurrently (updated|deleted)|XX000: cache lookup failed)/;
			diag("an error of the shared model: $error");
			$wrong++;
		}
	}
}
is($wrong, 0, 'two sessions that load, drop and alter a model get answers or say why not');
sql('DROP SERVER IF EXISTS shared');
sql("CREATE SERVER shared FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'other.gguf')");
is($_->run("SELECT llm_complete('The sea', 'shared', max_tokens => 8)"), $answers{other}, 'right at the end') for @sessions;
is(sql("SELECT count(*) FROM llm_stat_cache WHERE users > 0 OR state <> 'ready'"), '0', 'and nothing is left in use');

check_no_crash($node);
done_testing();

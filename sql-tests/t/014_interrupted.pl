# Cancel, timeout and termination at random moments of loading, prefill, decoding and enriching, and errors by too little memory, leave nothing behind: no use of the
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

my $n = $ENV{PG_LLM_INTERRUPTS} || 9;
srand(7);
$SIG{PIPE} = 'IGNORE';
my $node = new_server('interrupted',
	conf => "shared_preload_libraries = 'pg_llm'\npg_llm.cache_size = '24MB'\nmax_connections = 40\n");
my %shape = (embd => 512, ff => 1024, heads => 8, kv_heads => 2, context => 20000);
Gguf::write_model($node->basedir . '/models/mid.gguf', model_file('llama3'), { %shape, layers => 2 });
# reading and packing it takes long enough to be met
Gguf::write_model($node->basedir . '/models/large.gguf', model_file('llama3'), { %shape, layers => 12 });
copy_model($node, 'mistral', 'quick');
sub sql { return $node->safe_psql('postgres', $_[0]); }
sql(<<'SQL');
CREATE SERVER mid FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'mid.gguf');
CREATE SERVER large FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'large.gguf');
CREATE TABLE t (id int PRIMARY KEY, body text, answer text);
INSERT INTO t SELECT i, 'row number ' || i FROM generate_series(1, 400) i;
SQL

my $endless = q(options => '{"logit_bias": {"511": false}}');
my $right = "SELECT md5(llm_complete('The sea', 'mid', max_tokens => 8, $endless))";
my $answer = sql($right);
my $enrich = q{CALL llm_enrich('t', 'answer', $$llm_complete(body, 'mid', max_tokens => 2)$$, batch_rows => 10)};
my $unload = "SELECT llm_unload('large')";
# a job that is done begins anew
my $again = "UPDATE t SET answer = NULL WHERE (SELECT bool_and(state = 'done') FROM llm_jobs); "
  . "SELECT llm_drop_job(job) FROM llm_jobs WHERE state = 'done'";

# what is interrupted, by the number of the try, as no prompt should be found in the prefix cache; and what comes before it
my %phase = (
	load => [ sub { "SELECT llm_load('large')" }, $unload ],
	prefill => [ sub { "SELECT llm_complete('$_[0] ' || repeat('word and ', 600), 'mid', max_tokens => 1)" } ],
	decode => [ sub { "SELECT llm_complete('x', 'mid', max_tokens => 3000, $endless)" } ],
	enrich => [ sub { $enrich }, $again ]);

# what a session that does nothing must not have
sub traces
{
	my ($pid) = @_;
	return sql("SELECT (SELECT count(*) FROM pg_locks WHERE pid = $pid) || ' locks, ' || "
		  . "(SELECT count(*) FROM llm_stat_cache WHERE users > 0 OR state <> 'ready' OR pinned) || ' models, ' || "
		  . "(SELECT count(*) FROM llm_jobs WHERE sessions > 0) || ' jobs'") . ', ' . scalar(temp_files($node)) . ' files';
}

my ($session, $threads);
my $killer = session($node);

sub fresh_session
{
	return if $session;
	$session = session($node);
	$session->run($right);
	$threads = $session->thread_count;
}

# nothing is left of what was ended, and the next call is right
sub check_after
{
	my ($what, $pid) = @_;
	my $traces = traces($pid);
	is($traces, '0 locks, 0 models, 0 jobs, 0 files', "$what: nothing is left") if $traces ne '0 locks, 0 models, 0 jobs, 0 files';
	my $again = $session ? $session->run($right) : sql($right);
	is($again, $answer, "$what: the next call is right") if $again ne $answer;
	wait_until("$what: as many threads", sub { $session->thread_count == $threads }) if $session;
}

# how long a statement takes, in seconds
sub duration
{
	my ($make, $before) = @_;
	fresh_session();
	sql($before) if $before;
	my $start = Time::HiRes::time();
	$session->run($make->(0));
	return Time::HiRes::time() - $start;
}

# interrupt a statement so many seconds after its start; whether that was before its end
sub interrupt
{
	my ($how, $statement, $seconds) = @_;
	my $pid = $session->{pid};
	if ($how eq 'timeout')
	{
		$session->run('SET statement_timeout = ' . (1 + int(1000 * $seconds)));
		my $ended = ($session->run($statement))[1] =~ /57014/;
		# which is under the timeout itself
		wait_until('there is no timeout', sub { ($session->run('RESET statement_timeout'))[1] eq '' });
		return $ended;
	}
	$session->send($statement);
	$killer->run("SELECT pg_sleep($seconds), pg_${how}_backend($pid)");
	return ($session->result)[1] =~ /57014/ if $how eq 'cancel';
	$session->{in} .= "\\q\n";    # if the statement had ended before, psql waits for the next
	my $ended = $session->last_words =~ /57P01/;
	undef $session;
	wait_until('the session is gone', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0' });
	return $ended;
}

# interrupts that come after the end do not count, so the moments spread over the whole of a phase
for my $name (sort keys %phase)
{
	my ($make, $before) = @{ $phase{$name} };
	my $seconds = duration($make, $before);
	my %hits = (cancel => 0, timeout => 0, terminate => 0);
	my $tries = 0;
	while ((my ($how) = sort { $hits{$a} <=> $hits{$b} || $a cmp $b } keys %hits)[0] && $hits{cancel} + $hits{timeout} + $hits{terminate} < $n)
	{
		last if ++$tries > 100 * $n;
		my $moment = rand $seconds;
		fresh_session();
		sql($before) if $before;
		my $pid = $session->{pid};
		$hits{$how}++ if interrupt($how, $make->($tries), $moment);
		check_after(sprintf('%s, %s after %.0f ms', $name, $how, 1000 * $moment), $pid);
	}
	my $counts = join(', ', map { "$_ $hits{$_}" } sort keys %hits);
	is($hits{cancel} + $hits{timeout} + $hits{terminate}, $n, "$name: $n interrupts in the middle leave nothing behind ($counts of $tries tries)");
}

# ---- too little memory, at random sizes: of ours by the setting, of the process by the system ----
for my $name (sort keys %phase)
{
	my ($make, $before) = @{ $phase{$name} };
	my %seen = (none => 0);
	for my $i (1 .. $n)
	{
		my $setting = $i % 2;
		if (!$setting && $session)
		{
			$session->quit;    # what it has allocated once would be there
			undef $session;
		}
		fresh_session();
		sql($before) if $before;
		my $limit = int(4**(2 + rand 6));    # 16 kB to 64 MB
		# the stack has its room before: a process whose stack cannot grow ends by a signal
		$session->run('SELECT ' . 'NOT ' x 1000 . 'true') if !$setting;
		my ($size_kb) = slurp_file("/proc/$session->{pid}/status") =~ /^VmSize:\s+(\d+) kB/m;
		$session->run("SET pg_llm.memory_limit = '${limit}kB'") if $setting;
		system_or_bail('prlimit', "--pid=$session->{pid}", '--as=' . 1024 * ($size_kb + $limit) . ':') if !$setting;
		my $pid = $session->{pid};
		my (undef, $error) = eval { $session->run($make->("m$i")) };
		if ($@)
		{
			# PostgreSQL ends a session that has no memory to begin a subtransaction within another one
			$error = $session->last_words =~ /FATAL:  XX000: .*unexpected state SUBBEGIN/ ? 'ERROR:  53200' : $session->{err};
			undef $session;
			wait_until('the session is gone', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0' });
		}
		elsif ($setting)
		{
			$session->run('RESET pg_llm.memory_limit');
		}
		else
		{
			system_or_bail('prlimit', "--pid=$pid", '--as=unlimited:');
		}
		$seen{ $error =~ /(?:ERROR|FATAL):  (\w{5})/ ? $1 : 'none' }++;
		check_after("$name with $limit kB", $pid);
	}
	my $others = join ' ', grep { !/^(none|53200|54000)$/ } sort keys %seen;
	is($others, '', "$name: too little memory is said to be that, and leaves nothing behind ("
		  . join(', ', map { "$_ $seen{$_}" } sort keys %seen) . ')');
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

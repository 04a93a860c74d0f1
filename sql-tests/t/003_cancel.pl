# Cancel, timeouts and termination end loading, prefill and generation; nothing else that interrupts a process does.
#
# The model is wide and has no end: generation and prefill would take many minutes, reading the sparse one too. So whoever is
# cancelled is still at work, without looking at a clock. Latencies are measured by hand (docs/testing.md).
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('cancel', conf => "log_min_messages = info\n");
my $models = $node->basedir . '/models';
my %shape = (embd => 2048, ff => 8192, heads => 16, kv_heads => 4, context => 100000);
Gguf::write_model("$models/slow.gguf", model_file('llama3'), { %shape, layers => 2 });
Gguf::write_model("$models/huge.gguf", model_file('llama3'), { %shape, layers => 2000 }, sparse => 1);
copy_model($node, 'llama3', 'quick');
$node->safe_psql('postgres', <<'SQL');
CREATE SERVER slow FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'slow.gguf');
CREATE SERVER huge FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'huge.gguf');
CREATE SEQUENCE started;
SQL

my $endless = q(options => '{"logit_bias": {"511": false}}');
my $quick = "SELECT llm_complete('The sea', 'quick', max_tokens => 8)";
my $quick_answer = $node->safe_psql('postgres', $quick);
$node->safe_psql('postgres', "SELECT llm_complete('x', 'slow', max_tokens => 1)");

# statement, and whether a session is in the phase that it is about
my %phase = (
	generation => [ "SELECT llm_complete('x', 'slow', max_tokens => 90000, $endless)", sub { cpu_time($_[0]) - $_[1] > 50 } ],
	stream => [ "SELECT count(*) FROM llm_stream('x', 'slow', max_tokens => 90000, $endless)", sub { cpu_time($_[0]) - $_[1] > 50 } ],
	prefill => [ "SELECT llm_complete(repeat('word and ', 15000), 'slow', max_tokens => 1)", sub { cpu_time($_[0]) - $_[1] > 50 } ],
	scores => [ "SELECT llm_classify(repeat('word and ', 15000), '{a,b}', 'slow')", sub { cpu_time($_[0]) - $_[1] > 50 } ],
	load => [ "SELECT llm_complete('x', 'huge', max_tokens => 1)", sub { opens($_[0], 'huge.gguf') } ]);

sub begin_phase
{
	my ($s, $name) = @_;
	my ($statement, $reached) = @{ $phase{$name} };
	my $before = cpu_time($s);
	$s->send($statement);
	wait_until("$name goes on", sub { $reached->($s, $before) });
}

sub signal_session
{
	my ($function, $s) = @_;
	is($node->safe_psql('postgres', "SELECT $function($s->{pid})"), 't', $function);
}

my $session = session($node);
for my $name (sort keys %phase)
{
	begin_phase($session, $name);
	signal_session('pg_cancel_backend', $session);
	like(($session->result)[1], qr/ERROR:  57014: canceling statement due to user request/, "$name: cancelled");
	is($session->run($quick), $quick_answer, "$name: the session works on after cancel");

	like(($session->run(in_time(300, $phase{$name}[0])))[1], qr/ERROR:  57014: canceling statement due to statement timeout/, "$name: timeout");
	is($session->run($quick), $quick_answer, "$name: the session works on after timeout");

	my $doomed = session($node);
	begin_phase($doomed, $name);
	signal_session('pg_terminate_backend', $doomed);
	like($doomed->last_words, qr/FATAL:  57P01: terminating connection due to administrator command/, "$name: terminated");
}
is(scalar temp_files($node), 0, 'no temporary file is left');

# ---- a pack being written ----

# stop a session while it writes a pack: there and stopped, it cannot end before it gets the signal
sub stopped_while_packing
{
	for (1 .. 50)
	{
		unlink glob pack_folder($node) . '/*.pack';
		my $s = session($node);
		$s->send("SELECT llm_complete('x', 'slow', max_tokens => 1)");
		wait_until('a pack is written', sub { temp_files($node) || packs($node) });
		stop_process($s);
		return $s if temp_files($node);
		kill 'CONT', $s->{pid};
		$s->result;
		$s->quit;
	}
	die 'no session could be stopped while it wrote a pack';
}

for my $function ('pg_cancel_backend', 'pg_terminate_backend')
{
	my $packing = stopped_while_packing();
	my $waiting = session($node);
	$waiting->send("SELECT llm_complete('x', 'slow', max_tokens => 1)");
	my $waits = "SELECT count(*) FROM pg_locks WHERE pid = $waiting->{pid} AND locktype = 'advisory' AND NOT granted";
	wait_until('another session waits', sub { $node->safe_psql('postgres', $waits) eq '1' });
	my $impatient = session($node);
	$impatient->send("SELECT llm_complete('x', 'slow', max_tokens => 1)");
	$waits =~ s/$waiting->{pid}/$impatient->{pid}/;
	wait_until('a third session waits', sub { $node->safe_psql('postgres', $waits) eq '1' });
	signal_session('pg_cancel_backend', $impatient);
	like(($impatient->result)[1], qr/ERROR:  57014/, 'waiting for another session ends by cancel');
	signal_session($function, $packing);
	kill 'CONT', $packing->{pid};
	like($function =~ /cancel/ ? ($packing->result)[1] : $packing->last_words, qr/(57014|57P01): /, "$function: session that writes a pack ends");
	isnt($waiting->result, '', 'the session that waited takes over');
	is(scalar packs($node), 1, 'and made the pack');
	is(scalar temp_files($node), 0, 'no temporary file is left');
}

# ---- what ends nothing ----

my ($expected) = $node->safe_psql('postgres', "SELECT md5(llm_complete('x', 'slow', max_tokens => 60, $endless))");
my $listener = session($node);
$listener->run('LISTEN news');
my $before = cpu_time($listener);
$listener->send("SELECT md5(llm_complete('x', 'slow', max_tokens => 60, $endless))");
wait_until('generation goes on', sub { $listener->{handle}->pump_nb; cpu_time($listener) - $before > 10 || $listener->{out} =~ /done/ });
my $disturbances = 0;
while ($listener->{out} !~ /done/ && $disturbances < 20)
{
	$node->safe_psql('postgres', <<"SQL");
NOTIFY news, 'number $disturbances';
SELECT pg_reload_conf();
SELECT pg_log_backend_memory_contexts($listener->{pid});
CREATE TABLE catchup_$disturbances (i int);
SQL
	kill 'USR1', $listener->{pid};
	$listener->{handle}->pump_nb;
	$disturbances++;
}
my ($out, $err) = $listener->result;
like($out, qr/\b$expected\b/, "notifications, reloads and requests ($disturbances times) do not end or change a generation");
is($err, '', 'nor raise anything');
like($listener->run('SELECT 1'), qr/1/, 'the session works on');

check_no_crash($node);
done_testing();

# 1,000 cancelled calls in one session leave no thread and no memory behind.
#
# A call that is cancelled by its statement_timeout of a few milliseconds ends anywhere: in prefill, generation or packing.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('cancel_often');
Gguf::write_model($node->basedir . '/models/m.gguf', model_file('llama3'),
	{ embd => 512, ff => 1024, heads => 8, kv_heads => 2, layers => 2, context => 40000 });
$node->safe_psql('postgres', "CREATE SERVER m FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'm.gguf')");

my $session = session($node);
my $endless = q(options => '{"logit_bias": {"511": false}}');
my @calls = (
	"llm_complete('x', 'm', max_tokens => 15000, $endless)",
	"llm_complete(repeat('word and ', 6000), 'm', max_tokens => 10)",
	"llm_classify(repeat('word and ', 6000), '{a,b}', 'm')",
	"llm_generate(repeat('word and ', 6000), 'm', temperature => 1, seed => 5)");

# n calls, cancelled after 1 to 20 ms of work; each statement is a transaction of its own
sub cancelled_calls
{
	my ($n) = @_;
	my $sql = '';
	for my $i (1 .. $n)
	{
		$sql .= in_time(1 + 7 * $i % 20, "SELECT $calls[ $i % @calls ];\n");
	}
	my ($out, $err) = $session->run($sql);
	note($_) for grep { !/57014/ } $err =~ /^(ERROR.*)/mg;
	return scalar(() = $err =~ /ERROR:  57014: canceling statement due to statement timeout/g);
}

sub file_count { return scalar(() = glob "/proc/$session->{pid}/fd/*"); }

# (bytes of memory contexts, kB of process memory that is its own, threads, open files)
sub usage
{
	my $context_bytes = $session->run('SELECT sum(total_bytes) FROM pg_backend_memory_contexts');
	my ($anonymous) = slurp_file("/proc/$session->{pid}/status") =~ /^RssAnon:\s+(\d+) kB/m;
	return ($context_bytes, $anonymous, $session->thread_count, file_count());
}

is($session->run("SELECT llm_complete('x', 'm', max_tokens => 1) IS NOT NULL"), 't', 'a call');
is(cancelled_calls(100), 100, 'calls to get going are cancelled');
my @before = usage();
# a thread that closes a file has its own time
sub no_more_left
{
	my ($when) = @_;
	wait_until("threads and files are as many $when", sub { $session->thread_count == $before[2] && file_count() <= $before[3] + 2 });
	pass("threads and files are as many $when");
}
is(cancelled_calls(1000), 1000, '1,000 calls are cancelled');
my @after = usage();
note("memory contexts $before[0] then $after[0] bytes, RssAnon $before[1] then $after[1] kB, threads $before[2] then $after[2]");
cmp_ok($after[0], '<=', $before[0] * 1.02 + 65536, 'memory contexts did not grow');
cmp_ok($after[1], '<=', $before[1] * 1.05 + 4096, 'process memory did not grow');
no_more_left('after 1,000 calls');
is($session->run("SELECT llm_complete('x', 'm', max_tokens => 1) IS NOT NULL"), 't', 'the session works on');

# cancelled while it is read and packed: nothing open, nothing left
for my $i (1 .. 40)
{
	unlink glob pack_folder($node) . '/*';
	$session->run(sprintf("LOAD 'pg_llm'; ALTER SERVER m OPTIONS (%s context '1000')", $i == 1 ? 'ADD' : 'SET'));
	my (undef, $err) = $session->run(in_time($i, "SELECT llm_complete('x', 'm', max_tokens => 900, $endless)"));
	like($err, qr/57014/, 'cancelled') if $err ne '';
}
is(scalar temp_files($node), 0, 'no temporary file is left');
is($session->run("SELECT llm_complete('x', 'm', max_tokens => 1) IS NOT NULL"), 't', 'the session works on');
no_more_left('after loads');

check_no_crash($node);
done_testing();

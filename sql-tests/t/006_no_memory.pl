# Too little memory or disk is an ERROR with numbers and a hint, and the session works on.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('no_memory');
copy_model($node, 'llama3', 'm');
Gguf::write_model($node->basedir . '/models/wide.gguf', model_file('llama3'),
	{ embd => 512, ff => 2048, heads => 8, kv_heads => 8, layers => 8, context => 100000 });
$node->safe_psql('postgres', "CREATE SERVER wide FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'wide.gguf')");
my $quick = "SELECT llm_complete('The sea', 'm', max_tokens => 8)";
my $answer = $node->safe_psql('postgres', $quick);

# ---- pg_llm.memory_limit ----

my $session = session($node);
my $long = "SELECT llm_complete(repeat('word and ', 200), 'wide', max_tokens => 1)";
my $limit_error = qr/ERROR:  54000: [^\n]*(?=.*limit).*\d+ kB.*HINT:  [^\n]*pg_llm.memory_limit/s;
for my $limit ('1kB', '64kB', '1MB', '2MB', '4MB', '8MB', '16MB', '20MB')
{
	my ($out, $err) = $session->run("SET pg_llm.memory_limit = '$limit';\n$long");
	like($err, $limit_error, "limit of $limit: an error with numbers and hint");
}
my ($out, $err) = $session->run("SET pg_llm.memory_limit = '200MB';\n$long");
is($err, '', 'a limit that is enough');
($out, $err) = $session->run("SET pg_llm.memory_limit = 0;\n$long");
is($err, '', 'no limit');
$session->run('RESET pg_llm.memory_limit');
is($session->run($quick), $answer, 'the session works on');

# ---- address space ----

# the session's process gets so much more address space than it has, until it is enough
sub limited_by
{
	my ($megabytes) = @_;
	my $s = session($node);
	$s->run("SELECT llm_supported() LIMIT 0");
	$s->run('SELECT ' . 'NOT ' x 1000 . 'true');    # the stack has its room before: one that cannot grow ends the process
	my ($size_kb) = slurp_file("/proc/$s->{pid}/status") =~ /^VmSize:\s+(\d+) kB/m;
	system_or_bail('prlimit', "--pid=$s->{pid}", '--as=' . ($size_kb * 1024 + $megabytes * 1024 * 1024) . ':');
	my (undef, $error) = $s->run($long);
	system_or_bail('prlimit', "--pid=$s->{pid}", '--as=unlimited:');
	return ($error, scalar $s->run($quick));
}
my $enough = 0;
my %seen;
for my $megabytes (0, 1, 2, 5, 10, 20, 30, 35, 40, 45, 50, 60, 80, 120, 500)
{
	my ($error, $after) = limited_by($megabytes);
	$enough = 1 if $error eq '';
	like($error, qr/^$|^(psql.*)?ERROR:  \w{5}: /, "$megabytes MB of address space: works or is an error");
	unlike($error, qr/ERROR:  (XX|57)/, 'of a kind that the user can understand');
	is($after, $answer, 'the session works on');
	$seen{$1}++ if $error =~ /(ERROR:  \w{5}: [^\n]*)/;
}
note("$_: $seen{$_} times") for sort keys %seen;
cmp_ok(scalar(keys %seen), '>', 0, 'limits were reached');
is($enough, 1, 'and at last it was enough');

# ---- disk ----

# a limit on the size of files is to the server what a full disk is
my $small = session($node);
$small->run("SET pg_llm.cache_path = '" . $node->basedir . "/other'");
system_or_bail('prlimit', "--pid=$small->{pid}", '--fsize=500000:');
($out, $err) = $small->run($quick);
like($err, qr/ERROR:  \w{5}: could not make room for packed model: .*\nDETAIL:  File .* needs \d+ bytes\.\nHINT:  Make room/, 'no room: an error with a remedy');
my @left = grep { !/\.ref$/ } glob $node->basedir . '/other/*';
is("@left", '', 'no file is left behind');
system_or_bail('prlimit', "--pid=$small->{pid}", '--fsize=unlimited:');
is($small->run($quick), $answer, 'with room the session works on');

check_no_crash($node);
done_testing();

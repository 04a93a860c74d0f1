# Same row, same bytes: whatever the other rows, their order, the number of threads, the size of steps, the CPU level, and what
# was computed before.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('same_bytes');
my $real = $ENV{PG_LLM_TEST_MODEL};
my @models = ('llama3', 'mistral');
copy_model($node, $_, $_) for @models;
if ($real)
{
	$node->safe_psql('postgres', "CREATE SERVER \"real\" FOREIGN DATA WRAPPER pg_llm OPTIONS (path '$real', context '1024')");
	push @models, 'real';
}
else
{
	diag('PG_LLM_TEST_MODEL is not set: the real model is left out');
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE texts (id int, body text);
INSERT INTO texts SELECT i, (ARRAY['The battery lasts for days.', 'It broke.', 'Größe und Gewicht passen, 你好 🙂.', ' ', 'Great sound, easy to use, '
	|| 'but the case scratches and the buttons are too small for large hands. ', repeat('Again and again it stopped. ', 12)])[i % 6 + 1]
	|| i FROM generate_series(1, 12) i;
SQL

# the real model is slow on the generic level: fewer rows, among them no long one
my %rows = (llama3 => 12, mistral => 12, real => 3);

# results of rows and kinds of calls, bit for bit (float8send); a row that was asked for twice shows
sub query
{
	my ($model, $order) = @_;
	return <<"SQL";
SELECT id, md5(llm_generate(body, '$model', max_tokens => 4)),
	   md5(llm_generate(body, '$model', max_tokens => 4, temperature => 1, seed => id, options => '{"top_p": 0.9}')),
	   (SELECT md5(d.value) || encode(float8send(d.logprob), 'hex') || d.output_tokens
		FROM llm_generate_detail(body, '$model', max_tokens => 4, temperature => 0.5, seed => 3) d),
	   (SELECT string_agg(label || encode(float8send(probability), 'hex'), ' ')
		FROM llm_classify_probs(body, '{positive,negative,no opinion at all}', '$model')),
	   encode(float8send(llm_score(body, 'somebody is happy', '$model')), 'hex')
FROM texts WHERE id <= $rows{$model} ORDER BY $order
SQL
}

# by id, so that orders can be compared
sub results
{
	my ($settings, $model, $order) = @_;
	my $out = $node->safe_psql('postgres', "$settings;\n" . query($model, $order // 'id'));
	return join("\n", sort { ($a =~ /^(\d+)/)[0] <=> ($b =~ /^(\d+)/)[0] } split /\n/, $out);
}

my @usable = split /\n/, $node->safe_psql('postgres',
	"SELECT name FROM llm_supported() WHERE what = 'CPU level' AND note IN ('in use', 'possible here')");
note("CPU levels here: @usable");
cmp_ok(scalar @usable, '>=', 1, 'there are CPU levels');

for my $model (@models)
{
	my $expected = results('SET pg_llm.threads = 1', $model);
	is(scalar(split /\n/, $expected), $rows{$model}, "$model: all rows have results");
	is(results('SET pg_llm.threads = 2', $model), $expected, "$model: two threads");
	is(results('SET pg_llm.threads = 2', $model, 'id DESC'), $expected, "$model: other order");
	is(results("SET pg_llm.batch_tokens = $_", $model), $expected, "$model: steps of at most $_ tokens") for (3, 64);
	is(results('SET pg_llm.prefix_cache = off', $model), $expected, "$model: without prefix cache");
	is(results("SET pg_llm.cpu_kernels = '$_'; SET pg_llm.threads = 2", $model), $expected, "$model: CPU level $_") for @usable;
	my ($third) = grep { /^3\|/ } split /\n/, $expected;
	is($node->safe_psql('postgres', query($model, 'id') =~ s/WHERE id/WHERE id = 3 AND id/r), $third, "$model: a row alone");

	# in one transaction the beginning of a prompt is known from the calls before it
	my $twice = $node->safe_psql('postgres', 'BEGIN; ' . query($model, 'id') . ";\n" . query($model, 'id') . '; COMMIT');
	is($twice, "$expected\n$expected", "$model: with prompts that were seen before");
	is($node->safe_psql('postgres', <<"SQL"), 't', "$model: which were really reused");
BEGIN;
SELECT llm_generate(body, '$model', max_tokens => 1) FROM texts WHERE id = 5 \\g /dev/null
SELECT (llm_generate_detail(body || ' And more.', '$model', max_tokens => 1)).cached_tokens > 0 FROM texts WHERE id = 5;
SQL
	my $half_read = session($node);
	$half_read->run(<<"SQL");
BEGIN;
DECLARE other CURSOR FOR SELECT llm_stream('Once upon a time', '$model', max_tokens => 200);
FETCH 2 FROM other
SQL
	is($half_read->run(query($model, 'id')), $expected, "$model: while another answer is being written in the same scheduler");
	$half_read->quit;
}

check_no_crash($node);
done_testing();

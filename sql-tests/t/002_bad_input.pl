# Bad model files through SQL: each is an ERROR with SQLSTATE and hint, or works; none ends a server process.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('bad_input');
my $models = $node->basedir . '/models';
my $session = session($node);
copy_model($node, 'llama3', 'good');
my ($file, $ends, $bytes) = Gguf::read_file("$models/good.gguf");

# code, message and hint of the error that a statement raises; empty if it works
sub failure
{
	my ($statement) = @_;
	return split /\|/, $session->run("SELECT code, message, hint FROM fails(\$s\$$statement\$s\$)"), -1;
}

# models of these files, one after the other in one session; the number that worked, and what is wrong with the others' errors
sub try_files
{
	my (%content) = @_;
	my ($worked, @wrong) = (0);
	for my $what (sort keys %content)
	{
		put_file("$models/bad.gguf", $content{$what});
		my ($code, $message, $hint) = failure("SELECT llm_generate('Hello', 'bad', max_tokens => 2)");
		$worked++ if $code eq '';
		push @wrong, "$what: $code $message ($hint)" if $code ne '' && ($code =~ /^(XX000|58000|53)/ || $message eq '' || $hint eq '');
	}
	return ($worked, \@wrong);
}

# ---- what is no file ----

mkfifo("$models/fifo.gguf", 0600) or die $!;
mkdir "$models/folder.gguf";
put_file("$models/empty.gguf", '');
put_file("$models/text.gguf", "This is not a model.\n" x 100);
put_file("$models/closed.gguf", $bytes);
chmod 0, "$models/closed.gguf";
symlink '/dev/zero', "$models/zero.gguf";
symlink 'loop.gguf', "$models/loop.gguf";
my @places = (
	[ 'missing', '58P01', qr/could not open file .*No such file/ ],
	[ 'fifo', '22023', qr/is not a regular file/ ],
	[ 'folder', '22023', qr/has no file "config.json"/ ],
	[ 'zero', '22023', qr/is not a regular file/ ],
	[ 'loop', '58030', qr/could not open file .*symbolic links/ ],
	[ 'empty', 'XX001', qr/./ ],
	[ 'text', 'XX001', qr/./ ]);
push @places, [ 'closed', '42501', qr/could not open file .*Permission denied/ ] if $> != 0;
for (@places)
{
	my ($name, $sqlstate, $pattern) = @$_;
	$session->run("CREATE SERVER \"$name\" FOREIGN DATA WRAPPER pg_llm OPTIONS (path '$name.gguf')");
	for my $statement ("SELECT llm_generate('x', '$name')", "SELECT llm_create_model('second', '$name.gguf')",
		"SELECT llm_model_info('$name')")
	{
		my ($code, $message, $hint) = failure($statement);
		is($code, $sqlstate, "$statement: SQLSTATE");
		like($message, $pattern, 'message');
		isnt($hint, '', 'hint');
	}
}

# ---- damaged files ----

$session->run("CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'bad.gguf')");
my ($worked, $wrong) = try_files('whole' => $bytes);
is($worked, 1, 'the undamaged file works');

my %cut = map { ("cut after $ends->{$_} ($_)" => substr($bytes, 0, $_), "cut within $ends->{$_} ($_)" => substr($bytes, 0, $_ - 1)) } keys %$ends;
for my $tensor (@{ $file->{tensors} })
{
	my $at = $file->{data_offset} + $tensor->[3];
	$cut{"cut at data of $tensor->[0] ($at)"} = substr($bytes, 0, $at);
}
$cut{"cut by $_"} = substr($bytes, 0, -$_) for (1, 2, 4, 31, 32, 255);
($worked, $wrong) = try_files(%cut);
note(scalar(keys %cut) . ' truncated files');
cmp_ok($worked, '==', 0, 'no truncated file works');
is("@$wrong", '', 'and each says what is wrong with it');

# 500 mutated files: up to 8 bytes changed, most of them where the directory is
srand(3);
my (%mutated, @recipe);
for my $i (1 .. 500)
{
	my $copy = $bytes;
	my $range = $i % 5 ? $file->{data_offset} : length $bytes;
	for (0 .. int(rand(8)))
	{
		my $at = int(rand(4)) ? int(rand($range)) : (sort keys %$ends)[ int(rand(keys %$ends)) ] - 1 - int(rand(8));
		substr($copy, $at, 1) = chr((0, 255, 127, 128, int(rand(256)))[ int(rand(5)) ]) if $at >= 0;
	}
	$mutated{ sprintf 'mutation %03d', $i } = $copy;
	next if keys %mutated < 50;
	my ($some_worked, $some_wrong) = try_files(%mutated);
	$worked += $some_worked;
	push @$wrong, @$some_wrong;
	%mutated = ();
}
note("$worked of 500 mutated files work");
is("@$wrong", '', 'each mutated file works or says what is wrong with it');
is($session->run("SELECT llm_generate('x', 'good', max_tokens => 2) IS NOT NULL"), 't', 'the session works on');

# ---- files that change while they are used ----

# cut while a session has it open: the answer comes from the pack; the file is looked at again in the next statement
put_file("$models/cut.gguf", $bytes);
$session->run("CREATE SERVER cut FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'cut.gguf')");
my $piece = $session->run(<<'SQL');
BEGIN;
DECLARE c CURSOR FOR SELECT llm_stream('Hello', 'cut', max_tokens => 200, options => '{"logit_bias": {"511": false}}');
FETCH 1 FROM c
SQL
isnt($piece, '', 'half of an answer');
truncate "$models/cut.gguf", 20000 or die $!;
isnt($session->run('FETCH 20 FROM c'), '', 'goes on when the file is cut');
$session->run('COMMIT');
my ($code, $message, $hint) = failure("SELECT llm_generate('x', 'cut')");
is($code, 'XX001', 'the next statement finds the file damaged');
isnt($hint, '', 'with a hint');

# cut while it is read: the reader is stopped, so that there is no race
Gguf::write_model("$models/large.gguf", "$models/good.gguf",
	{ embd => 2048, ff => 8192, heads => 16, kv_heads => 4, layers => 800, context => 1024 }, sparse => 1);
$session->run("CREATE SERVER large FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'large.gguf')");
$session->send("SELECT llm_generate('x', 'large')");
wait_until('the file is open', sub { opens($session, 'large.gguf') });
my $before = cpu_time($session);
wait_until('its directory has been read', sub { cpu_time($session) - $before > 30 });
stop_process($session);
truncate "$models/large.gguf", 1000000 or die $!;
kill 'CONT', $session->{pid};
like(($session->result)[1], qr/ERROR:  (XX001: (file ".*" ends too early|tensor ".*" reaches past the end of model file)|55006: model file ".*" was changed).*HINT:  /s, 'file cut while it is read');
is($session->run("SELECT llm_generate('x', 'good', max_tokens => 2) IS NOT NULL"), 't', 'the session works on');

is(scalar temp_files($node), 0, 'no temporary file is left');
check_no_crash($node);
done_testing();

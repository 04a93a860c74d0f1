# A model in parts through SQL: it answers as the whole file; a part that is changed, cut or removed is an ERROR, and no session
# ends by it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('parts');
my $models = $node->basedir . '/models';
my $session = session($node);
copy_model($node, 'llama3', 'whole');
my ($file, undef, $bytes) = Gguf::read_file("$models/whole.gguf");

# the bytes of one of two parts: some of the tensors, with their data
sub part_bytes
{
	my ($no, @tensors) = @_;
	my @kv = ([ 'split.no', pack('L<S<', 2, $no) ], [ 'split.count', pack('L<S<', 2, 2) ],
		[ 'split.tensors.count', pack('L<l<', 5, scalar @{ $file->{tensors} }) ]);
	unshift @kv, @{ $file->{kv} } if $no == 0;
	my $head = 'GGUF' . pack('L<Q<Q<', 3, scalar @tensors, scalar @kv);
	$head .= pack('Q</a*', $_->[0]) . $_->[1] for @kv;
	my $data = '';
	for my $t (@tensors)
	{
		my ($name, $dims, $type, $offset) = @$t;
		my $n = Gguf::tensor_bytes($dims, $type);
		$head .= pack('Q</a* L< Q<* ', $name, scalar @$dims, @$dims) . pack('L<Q<', $type, length $data);
		$data .= substr($bytes, $file->{data_offset} + $offset, $n);
		$data .= "\0" x (-length($data) % 32);
	}
	return $head . ("\0" x (-length($head) % 32)) . $data;
}

my @tensors = @{ $file->{tensors} };
my $half = int(@tensors / 2);
my @part = (part_bytes(0, @tensors[ 0 .. $half - 1 ]), part_bytes(1, @tensors[ $half .. $#tensors ]));
my @path = map { "$models/m-0000$_-of-00002.gguf" } 1, 2;
put_file($path[$_], $part[$_]) for 0, 1;

sub failure
{
	my ($statement) = @_;
	return split /\|/, $session->run("SELECT code, message, hint FROM fails(\$s\$$statement\$s\$)"), -1;
}

my $ask = "SELECT llm_complete('The sea', 'm', max_tokens => 8)";
$session->run("SELECT llm_create_model('m', 'm-00001-of-00002.gguf')");
my $answer = $session->run("SELECT llm_complete('The sea', 'whole', max_tokens => 8)");
is($session->run($ask), $answer, 'parts answer as the whole');
is(scalar $session->run("SELECT llm_model_info('m') ->> 'digest'"),
	scalar $session->run("SELECT encode(sha256('\\x" . unpack('H*', $part[0] . $part[1]) . "'::bytea), 'hex')"),
	'the digest is that of all parts');

# changed: the digest is not that of the model any more
my $changed = $part[1];
substr($changed, -100, 1) ^= "\x01";
put_file($path[1], $changed);
my ($code, $message, $hint) = failure($ask);
is($code, 'XX001', 'a part was changed');
like($message, qr/is not that of model "m"/, 'and the message says so');
isnt($hint, '', 'with a hint');

# cut, and gone
put_file($path[1], substr($part[1], 0, 1000));
($code, $message, $hint) = failure($ask);
like($code, qr/^XX001$/, "a part was cut: $message");
unlink $path[1];
($code, $message, $hint) = failure($ask);
like($code, qr/^58P01$/, "a part is gone: $message");
($code, $message, $hint) = failure("SELECT llm_create_model('n', 'm-00001-of-00002.gguf')");
like($code, qr/^58P01$/, "and cannot be made a model of: $message");

# back again
put_file($path[1], $part[1]);
is($session->run($ask), $answer, 'the part is back');
put_file($path[1], $part[0]);
($code, $message, $hint) = failure($ask);
like($code, qr/^XX001$/, "a part is another one: $message");

# a model whose digest nobody fixed is refused for what its parts are
$session->run("CREATE SERVER free FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'm-00001-of-00002.gguf')");
(my $ask_free = $ask) =~ s/'m'/'free'/;
($code, $message, $hint) = failure($ask_free);
like($code, qr/^XX001$/, "parts that do not belong together: $message");
put_file($path[1], $part[1]);
is($session->run($ask_free), $answer, 'and work when they do');
is($session->run('SELECT 1'), '1', 'the session goes on');

done_testing();

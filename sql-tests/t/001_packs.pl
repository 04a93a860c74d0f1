# Pack files: made once, used again by later sessions and after a restart, made again when the model changed or the pack is
# gone or damaged; with and without preloading.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Gguf;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('packs');
my $answer_sql = "SELECT llm_complete('The sea', 'm', max_tokens => 8)";
copy_model($node, 'llama3', 'm');
my $model = $node->basedir . '/models/m.gguf';

sub answer { return $node->safe_psql('postgres', $answer_sql); }
sub digest { return $node->safe_psql('postgres', "SELECT digest FROM llm_generate_detail('x', 'm', max_tokens => 1)"); }
sub pack_path { return pack_folder($node) . '/' . (packs($node))[0]; }
sub inode { return (stat $_[0])[1]; }

# made once
my $answer = answer();
isnt($answer, '', 'a model answers');
is(scalar packs($node), 1, 'one pack was made');
my $inode = inode(pack_path());
is(answer(), $answer, 'the next session answers the same');
is(inode(pack_path()), $inode, 'and uses the same pack');

# only the server can read and write it
is(sprintf('%o', (stat pack_folder($node))[2] & 07777), '700', 'folder of packs is closed to others');
is(sprintf('%o', (stat $_)[2] & 07777), '600', 'file in it is closed to others') for glob pack_folder($node) . '/*';

# restart, without and with preloading
for my $setting ('', "shared_preload_libraries = 'pg_llm'\n", "session_preload_libraries = 'pg_llm'\n")
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nsession_preload_libraries = ''\n$setting");
	$node->restart;
	is(answer(), $answer, 'same answer after restart: ' . ($setting || 'nothing preloaded'));
	is(inode(pack_path()), $inode, 'pack is used after restart');
}

# options of the model
my $session = session($node);
is($session->run($answer_sql), $answer, 'open session answers');
$node->safe_psql('postgres', "ALTER SERVER m OPTIONS (ADD context '16')");
my (undef, $error) = $session->run("SELECT llm_generate(repeat('word ', 20), 'm')");
like($error, qr/ERROR:  54000: prompt has \d+ tokens/, 'open session follows an altered option');
$node->safe_psql('postgres', "ALTER SERVER m OPTIONS (DROP context)");
is($session->run($answer_sql), $answer, 'and follows back');
is(inode(pack_path()), $inode, 'options that do not change weights need no new pack');

# another content under the same name
my (undef, undef, $bytes) = Gguf::read_file($model);
my $old_digest = digest();
my $changed = $bytes;
substr($changed, -600000, 4096) = substr($bytes, -500000, 4096);
put_file($model, $changed);
my $new_answer = $session->run($answer_sql);
isnt($new_answer, $answer, 'open session answers with the new content');
is(answer(), $new_answer, 'as does a new one');
isnt(digest(), $old_digest, 'digest changed');
is(scalar packs($node), 1, 'pack of the old content is gone');
isnt(inode(pack_path()), $inode, 'pack of the new content was made');

# changed in place, with the same size and time of modification
my @times = (stat $model)[ 8, 9 ];
open my $f, '+<:raw', $model or die $!;
print {$f} $bytes;
close $f;
utime @times, $model;
is($session->run($answer_sql), $answer, 'content changed in place, times put back: open session answers with it');
is(answer(), $answer, 'a new session too');

# a given digest
$node->safe_psql('postgres', "ALTER SERVER m OPTIONS (ADD sha256 '$old_digest')");
is(answer(), $answer, 'content with the digest that was asked for');
put_file($model, $changed);
($error) = ($session->run($answer_sql))[1];
like($error, qr/ERROR:  XX001: content of file .*HINT:  Bring back the file, or accept it with ALTER SERVER m OPTIONS/s,
	'another content than the digest says is an error with a remedy');
put_file($model, $bytes);
$node->safe_psql('postgres', 'ALTER SERVER m OPTIONS (DROP sha256)');
is($session->run($answer_sql), $answer, 'content is back');

# deleted and damaged packs; damaged ones are put in place whole, as nobody may change a mapped file
is(answer(), $answer, 'pack is there');
my $pack = pack_path();
my $pack_bytes = slurp_file($pack);
unlink $pack;
is($session->run($answer_sql), $answer, 'a session goes on with the pack that it has mapped');
is(answer(), $answer, 'a deleted pack is made again');
ok(-s $pack == length $pack_bytes, 'complete');
my %damage = (
	'empty' => '',
	'only a header' => substr($pack_bytes, 0, 64),
	'one byte short' => substr($pack_bytes, 0, -1),
	'one byte more' => $pack_bytes . 'x',
	'zeros' => "\0" x length $pack_bytes,
	'text' => 'no pack at all');
for my $offset (0, 4, 8, 12, 16, 24, 40, 64, 100, 200, 1000, 10000)
{
	my $bad = $pack_bytes;
	substr($bad, $offset, 1) ^= "\x10";
	$damage{"byte $offset changed"} = $bad;
}
for my $what (sort keys %damage)
{
	put_file($pack, $damage{$what});
	chmod 0600, $pack;
	is(answer(), $answer, "damaged pack ($what) is made again");
}
ok(slurp_file($pack) eq $pack_bytes, 'byte for byte the same');
chmod 0666, $pack;
is(answer(), $answer, 'pack that others could change is made again');
is(sprintf('%o', (stat $pack)[2] & 07777), '600', 'closed to others');
unlink $pack;
symlink $model, $pack;
is(answer(), $answer, 'symbolic link in place of a pack is made again');
ok(!-l $pack, 'as a file');
unlink $pack;
mkdir $pack;
($error) = ($node->psql('postgres', $answer_sql))[2];
like($error, qr/ERROR:  .*HINT:  /s, 'a folder in place of a pack is an error with a hint');
rmdir $pack;
is(answer(), $answer, 'and is forgotten when it is gone');

# several sessions want a model at the same time
unlink glob pack_folder($node) . '/*';
my @sessions = map { session($node) } 1 .. 4;
$_->send($answer_sql) for @sessions;
is(scalar($_->result), $answer, 'session that loads together with others') for @sessions;
is(scalar packs($node), 1, 'one pack was made');
is(scalar temp_files($node), 0, 'no temporary file is left');

# a folder that cannot hold packs
sub error_with_cache_path { return ($node->psql('postgres', "SET pg_llm.cache_path = '$_[0]'; $answer_sql"))[2]; }
my $open_folder = $node->basedir . '/open';
mkdir $open_folder;
chmod 0777, $open_folder;
like(error_with_cache_path($open_folder), qr/cannot hold packed models.*HINT/s, 'folder that others can write to');
like(error_with_cache_path($model), qr/cannot hold packed models.*HINT/s, 'file in place of the folder');
like(error_with_cache_path('/nowhere/at/all'), qr/could not create folder.*HINT/s, 'folder without parent');
like(error_with_cache_path(''), qr/pg_llm.cache_path is empty.*HINT/s, 'no folder');

# files of others in the folder stay
my $foreign = pack_folder($node) . '/README';
put_file($foreign, 'mine');
put_file($model, $changed);
is(answer(), $new_answer, 'another content');
ok(-e $foreign, 'sweep leaves what is not ours');
unlink $foreign;

# base backups leave packs out
$node->append_conf('postgresql.conf', "max_wal_senders = 4\nwal_level = replica\n");
$node->restart;
my $backup = $node->basedir . '/backup';
$node->command_ok([ 'pg_basebackup', '-D', $backup, '-d', $node->connstr('postgres'), '-X', 'none', '--checkpoint=fast' ], 'base backup');
ok(-e "$backup/PG_VERSION", 'has the data');
is(scalar glob("$backup/pgsql_tmp_pg_llm/*"), undef, 'and no packs');

check_no_crash($node);
done_testing();

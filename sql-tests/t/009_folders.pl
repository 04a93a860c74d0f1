# Models that are Hugging Face folders: digest as sha256sum makes it, one pack for a folder, and a change of any of its files.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Digest::SHA qw(sha256_hex);
use File::Copy ();
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('folders');
my $from = "$FindBin::RealBin/../data/hf/deepseek_v3";
my $folder = $node->basedir . '/models/small';
my @names = ('config.json', 'generation_config.json', 'model.safetensors.index.json', 'model-00001-of-00002.safetensors',
	'model-00002-of-00002.safetensors');
mkdir $folder or die $!;
File::Copy::copy("$from/$_", "$folder/$_") or die $! for @names;

# what `sha256sum NAMES | sha256sum` says in the folder
sub folder_digest
{
	return sha256_hex(join '', map { Digest::SHA->new(256)->addfile("$folder/$_")->hexdigest . "  $_\n" } @names);
}

sub option { return $node->safe_psql('postgres', "SELECT o FROM pg_foreign_server, unnest(srvoptions) o WHERE srvname = 'm' AND o LIKE 'sha256=%'"); }
sub fails { return $node->safe_psql('postgres', "SELECT code, message FROM fails(" . join('', '$t$', $_[0], '$t$') . ")"); }

is($node->safe_psql('postgres', "SELECT llm_create_model('m', 'small')"), 'm', 'a folder is a model');
is(option(), 'sha256=' . folder_digest(), 'its digest is that of the files and their names');
is($node->safe_psql('postgres', "SELECT i->>'architecture', i->>'supported', i->>'vocabulary' FROM llm_model_info('m') i"),
	'deepseek2|true|64', 'and it opens');
is(scalar packs($node), 1, 'one pack for all files');
like(fails("SELECT llm_generate('x', 'm')"), qr/^0A000\|model has no tokenizer/, 'without tokenizer.json text is refused');

# any file counts
my $config = slurp_file("$folder/config.json");
put_file("$folder/config.json", "$config ");
like(fails("SELECT llm_generate('x', 'm')"), qr/^XX001\|content of file ".*small" is not that of model "m"/, 'a changed file is noticed');
put_file("$folder/config.json", $config);
put_file("$folder/chat_template.jinja", '{{ messages }}');
like(fails("SELECT llm_generate('x', 'm')"), qr/^XX001\|content of file/, 'so is a new one');
unlink "$folder/chat_template.jinja" or die $!;
like(fails("SELECT llm_generate('x', 'm')"), qr/^0A000\|model has no tokenizer/, 'all is well again');
unlink "$folder/$names[3]" or die $!;
like(fails("SELECT llm_generate('x', 'm')"), qr/^58P01\|could not open file/, 'a missing part is an error');

# what is no model
mkdir $node->basedir . '/models/empty' or die $!;
like(fails("SELECT llm_create_model('e', 'empty')"), qr/^22023\|folder ".*empty" has no file "config.json"/, 'an empty folder');
check_no_crash($node);
done_testing();

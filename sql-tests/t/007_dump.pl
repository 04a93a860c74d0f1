# Models in dumps: pg_dump and restore keep models, options, owners and privileges, also where no model file is; the extension
# can be dropped and made again.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PgLlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('dump');
copy_model($node, 'llama3', 'm');
my $dump = $node->basedir . '/dump.sql';
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE owner;
CREATE ROLE reader;
CREATE DATABASE source;
CREATE DATABASE target;
SQL
$node->safe_psql('source', <<'SQL');
CREATE EXTENSION pg_llm;
SELECT llm_create_model('made', 'm.gguf', options => '{"context": 64, "kv_type": "f32"}');
SELECT llm_store_model('kept', 'm.gguf', options => '{"kv_type": "q8"}');
CREATE SERVER "Odd ""name" FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'no such file.gguf', chat_template '{{ messages[0].content }}''');
GRANT USAGE ON FOREIGN DATA WRAPPER pg_llm TO owner;
ALTER SERVER made OWNER TO owner;
GRANT USAGE ON FOREIGN SERVER made TO reader;
COMMENT ON SERVER made IS 'a comment';
CREATE VIEW answers AS SELECT llm_complete('The sea', 'made', max_tokens => 4) AS answer, llm_classify('x', '{a,b}', 'made') AS label;
GRANT SELECT ON answers TO reader;
CREATE TABLE completions (c llm_completion);
INSERT INTO completions SELECT llm_generate_detail('x', 'made', max_tokens => 2);
SQL

my $state = <<'SQL';
SELECT name, owner, path, kind, options, usable FROM llm_models ORDER BY name;
SELECT srvname, srvacl, obj_description(oid, 'pg_foreign_server') FROM pg_foreign_server ORDER BY srvname;
SELECT * FROM answers;
SELECT llm_complete('The sea', 'kept', max_tokens => 4), llm_model_info('kept') ->> 'digest';
SELECT (c).value, (c).digest FROM completions;
SET ROLE reader;
SELECT name, usable FROM llm_models ORDER BY name;
SELECT llm_complete('The sea', 'made', max_tokens => 4);
SQL
my $expected = $node->safe_psql('source', $state);
like($expected, qr/^Odd "name\|/m, 'models are there');

$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('source') ], 'dump');
unlike(slurp_file($dump), qr/llm_open_models|CREATE FUNCTION/, 'the dump leaves what the extension makes to the extension');
rename $node->basedir . '/models/m.gguf', $node->basedir . '/models/away.gguf';
unlink glob pack_folder($node) . '/*';
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('target') ], 'restore without any model file');
rename $node->basedir . '/models/away.gguf', $node->basedir . '/models/m.gguf';
is($node->safe_psql('target', $state), $expected, 'restored: models, owners, privileges, comments, answers');

# who may what
my ($code, $out, $err) = $node->psql('target', "SET ROLE reader; SELECT llm_complete('x', 'Odd \"name')");
like($err, qr/permission denied for model "Odd "name"\nHINT/, 'a model without privilege stays closed');
($code, $out, $err) = $node->psql('target', 'SET ROLE reader; ALTER SERVER made OPTIONS (SET context \'32\')');
like($err, qr/must be owner of foreign server made/, 'only the owner alters a model');

# without its models and views the extension goes, and comes again; a session that used it works on
my $session = session($node, 'target');
is($session->run("SELECT llm_complete('The sea', 'made', max_tokens => 4) IS NOT NULL"), 't', 'session uses a model');
($out, $err) = $session->run('DROP EXTENSION pg_llm');
like($err, qr/ERROR:  2BP01: cannot drop extension pg_llm because other objects depend on it/, 'models hold the extension');
($out, $err) = $session->run('SET client_min_messages = warning; DROP EXTENSION pg_llm CASCADE');
is($err, '', 'dropped with everything that depends on it');
like(($session->run("SELECT llm_complete('x')"))[1], qr/ERROR:  42883/, 'functions are gone');
$session->run('CREATE EXTENSION pg_llm');
$session->run("SELECT llm_create_model('made', 'm.gguf')");
is($session->run("SELECT llm_complete('The sea', 'made', max_tokens => 4) IS NOT NULL"), 't', 'made again, in the same session');
is($session->run('SELECT count(*) FROM completions'), '1', 'the table is still there, its column is gone');
$session->quit;

# upgrading: every version that can be installed leads to the newest, which has the same objects as a fresh one
my $objects = <<'SQL';
SELECT pg_describe_object(classid, objid, objsubid) COLLATE "C" AS object FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_llm') AND deptype = 'e'
ORDER BY object
SQL
my $fresh = $node->safe_psql('source', $objects);
my $newest = $node->safe_psql('source', "SELECT default_version FROM pg_available_extensions WHERE name = 'pg_llm'");
my @versions = split /\n/, $node->safe_psql('source', "SELECT version FROM pg_available_extension_versions WHERE name = 'pg_llm'");
ok((grep { $_ eq $newest } @versions), "version $newest is installed");
for my $version (@versions)
{
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS old WITH (FORCE)');
	$node->safe_psql('postgres', 'CREATE DATABASE old');
	$node->safe_psql('old', "CREATE EXTENSION pg_llm VERSION '$version'; ALTER EXTENSION pg_llm UPDATE");
	is($node->safe_psql('old', 'SELECT extversion FROM pg_extension WHERE extname = \'pg_llm\''), $newest, "version $version updates");
	is($node->safe_psql('old', $objects), $fresh, 'to the same objects as a fresh installation');
}

check_no_crash($node);
done_testing();

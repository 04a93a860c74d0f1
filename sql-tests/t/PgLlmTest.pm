# PgLlmTest.pm: what the TAP tests share: a server with the extension, model files in a folder of their own, sessions that
# run in the background, and the check that nothing crashed.
#
# A test must pass on any machine, however slow or busy: what another process does is waited for (wait_until), never looked at
# once after a while; where a state passes by, the process is made to hold still (an advisory lock, stop_process).
package PgLlmTest;

use strict;
use warnings;
use Cwd ();
use Exporter 'import';
use File::Basename;
use File::Copy ();
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(new_server model_file copy_model put_file wait_until log_since in_time session check_no_crash pack_folder packs
  temp_files thread_count cpu_time opens stop_process kill_backend hang_guard $patience);

my $data = Cwd::abs_path(dirname(__FILE__) . '/../data/models');
our $patience = 900;    # seconds after which something is said to hang, also on a machine that is slow and busy

sub model_file { return "$data/$_[0].gguf"; }

# a running server with extension and function fails(statement); option conf: more settings. Nothing goes on by itself: autovacuum
# would change plans and take locks at moments of its own.
sub new_server
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => [ '--locale=C', '--encoding=UTF8' ], %{ $option{init} // {} });
	mkdir $node->basedir . '/models' or die $!;
	$node->append_conf('postgresql.conf', "pg_llm.model_path = '" . $node->basedir . "/models'\npg_llm.threads = 2\n"
		  . "autovacuum = off\n");
	$node->append_conf('postgresql.conf', $option{conf}) if $option{conf};
	$node->start;
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_llm;
CREATE FUNCTION fails(statement text, OUT code text, OUT message text, OUT hint text) AS $$
BEGIN
	EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END
$$ LANGUAGE plpgsql;
SQL
	return $node;
}

# a model of the repository in the server's folder, and a foreign server for it; more: further options in SQL
sub copy_model
{
	my ($node, $name, $file, $more) = @_;
	File::Copy::copy(model_file($name), $node->basedir . "/models/$file.gguf") or die $!;
	$node->safe_psql('postgres', "CREATE SERVER \"$file\" FOREIGN DATA WRAPPER pg_llm OPTIONS (path '$file.gguf'"
		  . ($more ? ", $more" : '') . ')');
}

# write a file aside and put it in place, as a careful user replaces a model
sub put_file
{
	my ($path, $bytes) = @_;
	open my $out, '>:raw', "$path.new" or die "$path: $!";
	print {$out} $bytes;
	close $out or die "$path: $!";
	rename "$path.new", $path or die "$path: $!";
}

sub wait_until
{
	my ($what, $condition) = @_;
	my $end = time + $patience;
	until ($condition->())
	{
		die "waited $patience s until $what" if time > $end;
		Time::HiRes::usleep(2000);
	}
}

# what the server has written to its log after the first so many bytes
sub log_since
{
	my ($node, $offset) = @_;
	return substr slurp_file($node->logfile), $offset;
}

# for a session: a statement of one transaction that is cancelled after so many milliseconds. Setting and resetting the timeout by
# statements of their own would put the latter under it, and a busy machine may not get them done.
sub in_time
{
	my ($milliseconds, $statement) = @_;
	return "SET LOCAL statement_timeout = $milliseconds\\;\n$statement";
}

sub hang_guard { return IPC::Run::timeout($patience); }

# ---- packs ----

sub pack_folder { return $_[0]->data_dir . '/pgsql_tmp_pg_llm'; }
sub packs { return map { basename $_ } sort glob(pack_folder($_[0]) . '/*.pack'); }
sub temp_files { return map { basename $_ } sort glob(pack_folder($_[0]) . '/pg_llm_tmp.*'); }

# ---- sessions ----

# a psql that stays open; errors are printed with SQLSTATE
sub session
{
	my ($node, $database) = @_;
	my $s = bless { in => '', out => '', err => '', n => 0, guard => hang_guard() }, __PACKAGE__;
	$s->{handle} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr($database // 'postgres') ],
		'<', \$s->{in}, '>', \$s->{out}, '2>', \$s->{err}, $s->{guard});
	$s->{pid} = $s->run('SELECT pg_backend_pid()');
	return $s;
}

# start a statement; result() waits for its end
sub send
{
	my ($s, $sql) = @_;
	my $mark = 'done ' . ++$s->{n};
	$s->{guard}->start;    # a session may last, a statement not
	$s->{out} = $s->{err} = '';
	$s->{in} .= "$sql;\n\\echo $mark\n\\warn $mark\n";
	$s->{handle}->pump_nb;
	return $s;
}

# (output, errors) of the statement sent last; in scalar context the output, and errors end the test
sub result
{
	my ($s) = @_;
	my $mark = "done $s->{n}\n";
	$s->{guard}->start;    # what came between did not hang
	$s->{handle}->pump until $s->{out} =~ /^\Q$mark\E/m && $s->{err} =~ /^\Q$mark\E/m;
	my ($out, $err) = @$s{qw(out err)};
	s/^\Q$mark\E//m for $out, $err;
	chomp $out;
	return ($out, $err) if wantarray;
	die $err if $err =~ /ERROR|FATAL/;
	return $out;
}

sub run
{
	my ($s, $sql) = @_;
	return $s->send($sql)->result;
}

# errors of a session that was ended by the server
sub last_words
{
	my ($s) = @_;
	$s->{guard}->start;
	eval { $s->{handle}->pump while $s->{handle}->pumpable; };
	eval { $s->{handle}->finish; };
	return $s->{err};
}

sub quit
{
	my ($s) = @_;
	$s->{in} .= "\\q\n";
	$s->{handle}->finish;
}

# threads of the session's process. One that closes a discarded file, or that was just joined, may still be among them, so who
# compares waits.
sub thread_count
{
	my ($s) = @_;
	my @tasks = glob "/proc/$s->{pid}/task/*";
	return scalar @tasks;
}

# fields of /proc/PID/stat after the name of the program, from the state on
sub process_stat
{
	my ($s) = @_;
	return split / /, slurp_file("/proc/$s->{pid}/stat") =~ s/^.*\) //sr;
}

# processor time of the session's process, in ticks
sub cpu_time
{
	my ($s) = @_;
	my @stat = process_stat($s);
	return $stat[11] + $stat[12];
}

# whether the session's process has a file of that name open
sub opens
{
	my ($s, $file) = @_;
	return scalar grep { (readlink($_) // '') =~ /\Q$file\E/ } glob "/proc/$s->{pid}/fd/*";
}

# stop the session's process; it stands still when this returns (a signal takes its time)
sub stop_process
{
	my ($s) = @_;
	kill 'STOP', $s->{pid};
	wait_until('the process stands still', sub { (process_stat($s))[0] eq 'T' });
}

# kill the session's process, and wait until the server has noticed and come back
sub kill_backend
{
	my ($node, $s) = @_;
	my $offset = -s $node->logfile;
	kill 'KILL', $s->{pid};
	$s->last_words;
	wait_until('the server has recovered', sub { log_since($node, $offset) =~ /database system is ready to accept connections/ });
	wait_until('the server is there again', sub { $node->psql('postgres', 'SELECT 1') == 0 });
}

# ---- crashes ----

sub check_no_crash
{
	my ($node) = @_;
	my $log = slurp_file($node->logfile);
	unlike($log, qr/terminated by signal|PANIC|server process .* exited with exit code [^0]|TRAP:|AddressSanitizer/, 'nothing crashed');
	unlike($log, qr/pg_llm .*leak|resource .*not closed|reference leak/i, 'nothing leaked');
}

1;

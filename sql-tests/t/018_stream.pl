# llm_stream on the wire: a client that speaks the protocol itself gets the pieces one by one, each in a DataRow of its own, while the
# query goes on. No clock decides: between two rows the query waits for an advisory lock that the test holds.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use Encode ();
use IO::Socket::UNIX;
use PgLlmTest;
use Test::More;

my $node = new_server('stream', conf => "shared_preload_libraries = 'pg_llm'\n");
copy_model($node, 'llama3', 'llama3');
$node->safe_psql('postgres', <<'SQL');
ALTER SYSTEM SET pg_llm.default_model = 'llama3';
SELECT pg_reload_conf();
CREATE SEQUENCE rows;
-- the row of number n waits until nobody holds lock n
CREATE FUNCTION gate(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_lock_shared(n);
	RETURN n;
END $$;
SQL

# ---- the protocol, version 3.0 ----

sub connect_raw
{
	my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) or die "cannot connect: $!";
	binmode $socket;
	return { socket => $socket };
}

sub send_message
{
	my ($c, $type, $body) = @_;
	$c->{socket}->syswrite($type . pack('N', 4 + length $body) . $body) or die "cannot write: $!";
}

sub read_bytes
{
	my ($c, $n) = @_;
	my $bytes = '';
	local $SIG{ALRM} = sub { die "nothing came from the server\n" };
	alarm $patience;    # says only that something hangs
	while (length $bytes < $n)
	{
		$c->{socket}->sysread($bytes, $n - length $bytes, length $bytes) or die "the server closed the connection\n";
	}
	alarm 0;
	return $bytes;
}

# (type, body) of the next message
sub read_message
{
	my ($c) = @_;
	my ($type, $len) = unpack 'aN', read_bytes($c, 5);
	return ($type, read_bytes($c, $len - 4));
}

# messages up to one of a type
sub read_until
{
	my ($c, $wanted) = @_;
	my ($type, $body);
	do
	{
		($type, $body) = read_message($c);
		$c->{key} = $body if $type eq 'K';
		die 'error from the server: ' . join(' ', split /\0/, $body) if $type eq 'E' && $wanted ne 'E';
	} until $type eq $wanted;
	return $body;
}

sub start_session
{
	my $c = connect_raw();
	my $body = pack('N', 196608) . join("\0", 'user', (getpwuid $>)[0], 'database', 'postgres', 'client_encoding', 'UTF8', '', '');
	$c->{socket}->syswrite(pack('N', 4 + length $body) . $body);
	read_until($c, 'Z');
	$c->{pid} = unpack 'N', $c->{key};
	return $c;
}

sub first_column
{
	my ($body) = @_;
	my ($columns, $len) = unpack 'nN', $body;
	return substr $body, 6, $len;
}

# has the server sent anything that was not read yet?
sub has_more
{
	my ($c) = @_;
	my $set = '';
	vec($set, fileno($c->{socket}), 1) = 1;
	return select($set, undef, undef, 0) > 0;
}

sub is_character_text
{
	my ($bytes) = @_;
	return length $bytes > 0 && defined eval { Encode::decode('UTF-8', my $copy = $bytes, Encode::FB_CROAK) };
}

# ---- pieces one by one ----

my $options = "max_tokens => 12, temperature => 1.3, seed => 4";
my $client = start_session();
my $keeper = session($node);
my $n_rows = $node->safe_psql('postgres', "SELECT count(*) FROM llm_stream('The old clock', $options)");
cmp_ok($n_rows, '>', 3, 'there are several pieces');
$keeper->run("SELECT pg_advisory_lock(n) FROM generate_series(1, 100) n");

sub wait_for_gate
{
	my ($n) = @_;
	wait_until("row $n waits",
		sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE pid = $client->{pid} AND locktype = 'advisory' AND NOT granted AND objid = $n") eq '1' });
}

send_message($client, 'Q', "SELECT llm_stream('The old clock', $options), gate(nextval('rows'))\0");
my @pieces;
my ($alone, $active) = (0, 0);
for my $n (1 .. $n_rows)
{
	wait_for_gate($n);
	$keeper->run("SELECT pg_advisory_unlock($n)");
	# the next piece is computed, and this one sent before the next row waits
	wait_for_gate($n + 1);
	read_until($client, 'T') if $n == 1;
	push @pieces, first_column(read_until($client, 'D'));
	$alone++ unless has_more($client);
	$active++ if $node->safe_psql('postgres', "SELECT state FROM pg_stat_activity WHERE pid = $client->{pid}") eq 'active';
}
is($alone, $n_rows, 'each row came alone');
is($active, $n_rows, 'each came while the query was running');
$keeper->run("SELECT pg_advisory_unlock_all()");
like(read_until($client, 'C'), qr/^SELECT $n_rows\0/, 'then the query ends');
read_until($client, 'Z');
is(scalar(grep { is_character_text($_) } @pieces), $n_rows, 'every piece is valid UTF-8');
is(join('', map { unpack 'H*', $_ } @pieces), $node->safe_psql('postgres', "SELECT encode(convert_to(llm_generate('The old clock', $options), 'UTF8'), 'hex')"),
	'all of them are the answer');

# ---- pieces of any bytes: random tokens, of which many are parts of characters ----

my ($n_pieces, $n_valid, $n_wide) = (0, 0, 0);
for my $seed (1 .. 8)
{
	send_message($client, 'Q', "SELECT llm_stream('x', max_tokens => 60, temperature => 3, seed => $seed)\0");
	while (1)
	{
		my ($type, $body) = read_message($client);
		last if $type eq 'Z';
		die $body if $type eq 'E';
		next unless $type eq 'D';
		$n_pieces++;
		$n_valid++ if is_character_text(first_column($body));
		$n_wide++ if first_column($body) =~ /[^\x00-\x7f]/;
	}
}
is($n_valid, $n_pieces, 'pieces of random tokens are valid UTF-8');
cmp_ok($n_wide, '>', 20, 'and many are not ASCII');

# ---- a portal read row by row ----

sub text_message { return join '', map { "$_\0" } @_; }
send_message($client, 'P', text_message('', "SELECT llm_stream('The old clock', $options)") . pack 'n', 0);
send_message($client, 'B', text_message('', '') . pack 'nnn', 0, 0, 0);
send_message($client, 'E', text_message('') . pack 'N', 1);
send_message($client, 'H', '');
my @fetched;
while (1)
{
	my ($type, $body) = read_message($client);
	push @fetched, first_column($body) if $type eq 'D';
	last if $type eq 'C' || $type eq 'E';
	next unless $type eq 's';    # suspended after its one row
	send_message($client, 'E', text_message('') . pack 'N', 1);
	send_message($client, 'H', '');
}
send_message($client, 'S', '');
read_until($client, 'Z');
is_deeply(\@fetched, \@pieces, 'a portal gives the same pieces, one for each Execute');

# ---- cancelled in the middle ----

$node->safe_psql('postgres', "SELECT setval('rows', 1, false)");
# the session still shares the locks of its rows
send_message($client, 'Q', "SELECT pg_advisory_unlock_all()\0");
read_until($client, 'Z');
$keeper->run("SELECT pg_advisory_lock(n) FROM generate_series(3, 100) n");
send_message($client, 'Q', "SELECT llm_stream('The old clock', $options), gate(nextval('rows'))\0");
wait_for_gate(3);
read_until($client, 'D') for 1 .. 2;
my $cancel = connect_raw();
$cancel->{socket}->syswrite(pack('NN', 16, 80877102) . $client->{key});
like(read_until($client, 'E'), qr/\0C57014\0/, 'cancel ends a stream of which two rows have come');
read_until($client, 'Z');
send_message($client, 'Q', "SELECT llm_stream('The old clock', $options)\0");
is(first_column(read_until($client, 'D')), $pieces[0], 'and the session goes on');
read_until($client, 'Z');
send_message($client, 'X', '');
$keeper->quit;

check_no_crash($node);
done_testing();

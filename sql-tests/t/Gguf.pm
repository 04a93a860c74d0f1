# Gguf.pm: reading the fields of a GGUF file, and writing one, for tests that need damaged or large models.
#
# A file in memory is { version, kv => [[key, raw type and value], ...], tensors => [[name, dims, type, offset], ...] }.
# Large models have random weights of one repeated piece: they compute as slowly as real ones, and say nothing.
package Gguf;

use strict;
use warnings;

our ($U32, $F32, $STRING, $ARRAY) = (4, 6, 8, 9);
my %scalar_bytes = (0 => 1, 1 => 1, 2 => 2, 3 => 2, 4 => 4, 5 => 4, 6 => 4, 7 => 1, 10 => 8, 11 => 8, 12 => 8);
my ($TYPE_F32, $TYPE_Q4_0) = (0, 2);
my $ALIGNMENT = 32;

# the directory of a file, and { end of field => what the field is } for all fields outside of arrays
sub read_file
{
	my ($path) = @_;
	open my $f, '<:raw', $path or die "$path: $!";
	local $/;
	my $bytes = <$f>;
	close $f;
	my $at = 0;
	my %ends;
	my $take = sub {
		my ($n, $what) = @_;
		die "$path ends too early" if $at + $n > length $bytes;
		$at += $n;
		$ends{$at} = $what if $what;
		return substr($bytes, $at - $n, $n);
	};
	my $string = sub {
		my ($what) = @_;
		my $n = unpack('Q<', $take->(8, $what && "length of $what"));
		return $take->($n, $what);
	};
	my $value;
	$value = sub {
		my ($type, $what) = @_;
		return $string->($what) if $type == $STRING;
		return $take->($scalar_bytes{$type}, $what) if $type != $ARRAY;
		my $of = unpack('L<', $take->(4, $what && "element type of $what"));
		my $n = unpack('Q<', $take->(8, $what && "count of $what"));
		$value->($of) for 1 .. $n;
		$ends{$at} = $what if $what;
	};

	$take->(4, 'magic');
	my %file = (version => unpack('L<', $take->(4, 'version')), kv => [], tensors => []);
	my ($n_tensors, $n_kv) = (unpack('Q<', $take->(8, 'tensor count')), unpack('Q<', $take->(8, 'key count')));
	for (1 .. $n_kv)
	{
		my $key = $string->('key');
		my $from = $at;
		my $type = unpack('L<', $take->(4, "type of $key"));
		$value->($type, "value of $key");
		push @{ $file{kv} }, [ $key, substr($bytes, $from, $at - $from) ];
	}
	for (1 .. $n_tensors)
	{
		my $name = $string->('tensor name');
		my $n_dims = unpack('L<', $take->(4, "dimensions of $name"));
		my @dims = map { unpack('Q<', $take->(8, "dimension of $name")) } 1 .. $n_dims;
		my $type = unpack('L<', $take->(4, "type of $name"));
		push @{ $file{tensors} }, [ $name, \@dims, $type, unpack('Q<', $take->(8, "offset of $name")) ];
	}
	$file{data_offset} = int(($at + $ALIGNMENT - 1) / $ALIGNMENT) * $ALIGNMENT;
	return (\%file, \%ends, $bytes);
}

sub u32_value { return pack('L<L<', $U32, $_[0]); }

# set or add a key
sub set
{
	my ($file, $key, $raw) = @_;
	my ($old) = grep { $_->[0] eq $key } @{ $file->{kv} };
	return $old->[1] = $raw if $old;
	push @{ $file->{kv} }, [ $key, $raw ];
}

sub tensor_bytes
{
	my ($dims, $type) = @_;
	my $n = 1;
	$n *= $_ for @$dims;
	return $type == $TYPE_F32 ? $n * 4 : $n / 32 * 18;
}

# about a megabyte of random but finite weights; both sizes divide it or are cut from it
my %piece;
sub piece
{
	my ($type) = @_;
	srand(7);
	$piece{$type} //= $type == $TYPE_F32
	  ? pack('f<*', map { 1 + rand() / 8 } 1 .. 4096)
	  : join('', map { pack('S<', 0x2000 | int(rand(256))) . pack('L<4', map { int(rand(4294967296)) } 1 .. 4) } 1 .. 4096);
	return $piece{$type};
}

sub write_weights
{
	my ($out, $n, $type) = @_;
	my $piece = piece($type);
	while ($n > 0)
	{
		my $now = $n < length $piece ? $n : length $piece;
		print {$out} substr($piece, 0, $now);
		$n -= $now;
	}
}

# write directory and data; with sparse, data is a hole of that many bytes
sub write_file
{
	my ($path, $file, %option) = @_;
	my $head = 'GGUF' . pack('L<Q<Q<', $file->{version}, scalar @{ $file->{tensors} }, scalar @{ $file->{kv} });
	$head .= pack('Q</a*', $_->[0]) . $_->[1] for @{ $file->{kv} };
	my $offset = 0;
	for my $t (@{ $file->{tensors} })
	{
		my ($name, $dims, $type) = @$t;
		$head .= pack('Q</a* L< Q<* ', $name, scalar @$dims, @$dims) . pack('L<Q<', $type, $offset);
		$offset += int((tensor_bytes($dims, $type) + $ALIGNMENT - 1) / $ALIGNMENT) * $ALIGNMENT;
	}
	$head .= "\0" x (-length($head) % $ALIGNMENT);
	open my $out, '>:raw', $path or die "$path: $!";
	print {$out} $head;
	for my $t (@{ $file->{tensors} })
	{
		last if $option{sparse};
		my $n = tensor_bytes($t->[1], $t->[2]);
		write_weights($out, $n, $t->[2]);
		print {$out} "\0" x (-$n % $ALIGNMENT);
	}
	close $out or die "$path: $!";
	truncate $path, length($head) + $offset or die "$path: $!";
}

# a Llama model with the vocabulary of the file at source and another shape, Q4_0
sub write_model
{
	my ($path, $source, $shape, %option) = @_;
	my ($file) = read_file($source);
	my ($embd, $ff, $heads, $kv_heads) = @$shape{qw(embd ff heads kv_heads)};
	my $head_dim = $embd / $heads;
	my ($vocab) = map { $_->[1][1] } grep { $_->[0] eq 'token_embd.weight' } @{ $file->{tensors} };
	my @tensors = ([ 'token_embd.weight', [ $embd, $vocab ], $TYPE_Q4_0 ], [ 'output_norm.weight', [$embd], $TYPE_F32 ]);
	for my $i (0 .. $shape->{layers} - 1)
	{
		push @tensors,
		  [ "blk.$i.attn_norm.weight", [$embd], $TYPE_F32 ],
		  [ "blk.$i.ffn_norm.weight", [$embd], $TYPE_F32 ],
		  [ "blk.$i.attn_q.weight", [ $embd, $embd ], $TYPE_Q4_0 ],
		  [ "blk.$i.attn_k.weight", [ $embd, $kv_heads * $head_dim ], $TYPE_Q4_0 ],
		  [ "blk.$i.attn_v.weight", [ $embd, $kv_heads * $head_dim ], $TYPE_Q4_0 ],
		  [ "blk.$i.attn_output.weight", [ $embd, $embd ], $TYPE_Q4_0 ],
		  [ "blk.$i.ffn_gate.weight", [ $embd, $ff ], $TYPE_Q4_0 ],
		  [ "blk.$i.ffn_up.weight", [ $embd, $ff ], $TYPE_Q4_0 ],
		  [ "blk.$i.ffn_down.weight", [ $ff, $embd ], $TYPE_Q4_0 ];
	}
	$file->{tensors} = \@tensors;
	my %number = (
		block_count => $shape->{layers}, context_length => $shape->{context}, embedding_length => $embd,
		feed_forward_length => $ff, 'attention.head_count' => $heads, 'attention.head_count_kv' => $kv_heads,
		'attention.key_length' => $head_dim, 'attention.value_length' => $head_dim, 'rope.dimension_count' => $head_dim);
	set($file, "llama.$_", u32_value($number{$_})) for sort keys %number;
	write_file($path, $file, %option);
}

1;

"""Expressions and templates for check_templates.py: each feature of the language at least once, odd uses among them."""

VARIABLES = {
    "s": "Hello, World", "e": "", "u": "Straße ǅ İ ﬁ ß é\u0301 😀 日本", "sp": " \t x y \u2003\u00a0\x1c\n", "n": 7, "m": -3, "z": 0, "f": 2.5,
    "g": -0.1, "big": 9007199254740993, "t": True, "no": None, "l": [3, 1, 2], "l2": ["b", "A", "c", "a", "B"], "el": [],
    "d": {"b": 1, "a": 2, "C": [1, 2.0, None]}, "ed": {}, "html": "<a href=\"x\">'&amp;'</a>", "csv": "a,b,,c", "lines": "x\ny\r\nz\r\n\nq\u2028w",
    "recs": [{"name": "x", "age": 3, "tag": {"k": "p"}}, {"name": "Y", "age": 1, "tag": {"k": "q"}}, {"name": "x", "age": 2, "tag": {"k": "P"}}],
    "nested": [[1, [2, 3]], [], ["a"]], "digits": "٣½²12", "quote": "it's \"q\" \\ \n \t \x00 \x7f \u200b 😀", "pct": "%s-%d", "special": "<|im_end|>",
}

EXPRESSIONS = r"""
1 + 2 * 3 ** 2
2 ** 3 ** 2
-2 ** 2
-1|abs
2 ** -1
7 // 2, -7 // 2, 7 // -2, 7 % 3, -7 % 3, 7 % -3, 7.5 // 2, -7.5 % 2, 7 / 2, 6 / 2
1 / 0
1 // 0
1 % 0
1.0 / 0
0 ** -1
1 + 1.0, 1.0 * 3, 3 - 0.1, 0.1 + 0.2, 1e16, 1e15, 1e-5, 0.0001, 123456789012345678.0, 1e300 * 1e10, -1e300 * 1e10
1_000, 0x1F, 0o17, 0b101, 1e3, 1E-2, 1_0.5_0
"a" "b" 'c'
"a" + "b", "a" * 3, 3 * "a", "a" * -1, [1] * 2, (1,) * 2, 2 * [1]
"a" + 1
1 + "a"
[1] + [2], (1,) + (2,), [1] + (2,)
"a" ~ 1 ~ none ~ true ~ 1.0 ~ [1, "x"] ~ {"k": "v"} ~ undefined_x
"%s %d %5.2f %-5s| %05d %x %X %o %e %g %r %c %%" % ("a", 5, 3.14159, "ab", 42, 255, 255, 8, 12345.678, 0.0001, "q", 65)
"%(a)s" % {"a": 1}, "%s" % "x", "%s" % [1, 2], "%s" % none
"%d" % "x"
"%s" % undefined_x
"%s %s" % "x"
"%s" % (1, 2)
"%5s|%-5s|%.1s|%+d|% d|%#x|%#o|%08.3f|%*d" % ("a", "b", "cd", 5, 5, 255, 8, 3.14159, 5, 42)
"%i %u %f %F %G %a" % (1.9, 2, 1e10, 1e10, 1e-10, "é")
"%c" % "é", "%c" % 233
not true, not 0, not "", not [], not none, not undefined_x
true and false, 1 and 2, 0 or "x", "" or none, 1 and 0 or 3
1 if true else 2, 1 if false else 2, (1 if false) is undefined, (1 if false)
1 < 2 < 3, 1 < 3 < 2, 1 == 1.0, "a" < "b", [1, 2] < [1, 3], (1, 2) == [1, 2], true == 1, none == false, 1 != 2 != 1
1 < "a"
none < 1
[1] < ["a"]
{} < {}
1 in [1, 2], "a" in "abc", "a" in {"a": 1}, 3 not in [1], "x" in ("x",), "" in "abc", none in [none]
1 in "abc"
1 in 5
"a" in undefined_x
s[0], s[-1], s[1:4], s[::-1], s[::2], s[-3:], s[:-3], s[5:1], s[100:], s[10:2:-3], u[7:9]
s[100]
l[0], l[-1], l[1:], l[::-1], l[::0 + 2], l[0:0]
l[::0]
l["x"]
l[1.0]
d["a"], d.a, d["zz"], d.zz, d.C[1], d["C"][0], d.get("a"), d.get("zz"), d.get("zz", 5), d["items"] is defined
d.zz.y
undefined_x.y
undefined_x
undefined_x()
undefined_x is defined, undefined_x is undefined, undefined_x == undefined_y, undefined_x|default("d"), (undefined_x|list)
undefined_x + 1
undefined_x|length, undefined_x|string, undefined_x|upper
recs[0].name, recs[0]["tag"]["k"], recs[5].name
recs[5]
no.x
no["x"]
n.x
n["x"] is defined
s.x is defined, s.upper is defined, s["upper"] is defined, s["x"] is undefined
d.items()|list, d.keys()|list, d.values()|list, d|items|list, d.items(), d.keys(), d.values()
d.copy(), d.b, d.pop is defined
d.pop("a")
d.update({"x": 1})
l.append(1)
l.sort()
l.index(2), l.count(1), l.copy()
l.index(9)
s.__class__
s.__len__()
d.__class__.__mro__
"".__class__.__mro__[1].__subclasses__()
s.upper(), s.lower(), s.title(), s.capitalize(), s.swapcase(), s.casefold(), u.upper(), u.lower(), u.title(), u.capitalize(), u.swapcase(), u.casefold()
sp.strip(), sp.lstrip(), sp.rstrip(), "xxaxx".strip("x"), "abcba".strip("ab"), "abc".lstrip("a"), "abc".rstrip("c"), "abc".strip("")
"a".strip(none), " a ".strip(none)
"a".strip(1)
csv.split(","), csv.split(",", 1), csv.rsplit(",", 1), sp.split(), sp.split(none, 1), " a b ".split(" "), "".split(), "".split(","), csv.split(",", -1)
"abc".split("")
lines.splitlines(), lines.splitlines(true), "".splitlines(), "a\n".splitlines()
csv.partition(","), csv.rpartition(","), csv.partition("x"), csv.rpartition("x")
s.replace("l", "L"), s.replace("l", "L", 1), s.replace("", "-"), s.replace("", "-", 2), e.replace("", "x"), s.replace("zz", "y"), s.replace("l", "", -1)
s.find("o"), s.find("o", 5), s.rfind("o"), s.find("zz"), s.index("W"), s.count("l"), s.count(""), s.find("", 3), s.find("o", -3), s.rindex("o"), u.find("é")
s.index("zz")
s.startswith("He"), s.endswith("d"), s.startswith(("x", "H")), s.endswith(("x", "ld")), s.startswith("e", 1), s.startswith(""), s.startswith("Hello", 0, 3)
s.startswith(["H"])
s.center(20), s.ljust(20, "*") ~ "|", s.rjust(20, "é"), "42".zfill(5), "-42".zfill(5), "+x".zfill(4), s.center(21, "ab"[0])
"a".center(5, "xy")
"a\tb\tc".expandtabs(), "a\tb".expandtabs(4), "\t".expandtabs(0), "é\tb\n\tc".expandtabs(3)
"prefix_x".removeprefix("prefix_"), "x_suf".removesuffix("_suf"), "x".removesuffix(""), "x".removeprefix("y")
"-".join(["a", "b"]), "".join([]), ",".join("abc"), ",".join({"a": 1, "b": 2})
"-".join([1])
"{} {1}".format(1, 2)
"{} {}".format(1, "x"), "{1} {0}".format("a", "b"), "{a} {b!r}".format(a=1, b="q"), "{a[k]} {l[0]}".format(a={"k": 1}, l=[7])
"{:>5}|{:<5}|{:^5}|{:*^7}|{:05d}|{:+d}|{:,}|{:_}|{:.2f}|{:e}|{:%}|{:x}|{:#x}|{:b}|{:o}|{:c}|{:g}|{:n}".format("a", "b", "c", "d", 42, 5, 1234567, 1234567, 3.14159, 12345.678, 0.256, 255, 255, 5, 8, 65, 0.00001, 12)
"{:10.3}|{:.3}|{:=+8d}|{:>+8.1f}|{:,.2f}|{!s:>6}|{:{}}|{:{w}.{p}f}".format("abcdef", 3.14159, -42, 2.25, 1234567.891, "x", "y", 4, 2.0, w=8, p=1)
"{}".format()
"{x}".format(y=1)
"{:d}".format("x")
"{:d}".format(1.5)
"{".format(1)
"}".format(1)
"{{}} {0}".format(1)
"{:>10}".format(none)
"{} {} {}".format(true, 1.0, [1])
"{0.__class__}".format(1)
"{:s} {:5}|{:5}|{:5}".format("x", true, 1, 1.5)
"{:<5}{:>5}{:^6}".format(1, 2, 3)
"{a}".format_map({"a": 5})
s.isalpha(), "abc".isalpha(), "ab1".isalnum(), "12".isdigit(), digits.isdigit(), digits.isnumeric(), digits.isdecimal(), "Ab".isupper(), "AB1".isupper(), "ab".islower(), " \n".isspace(), "".isspace(), "A B".istitle(), "x_1".isidentifier(), "1x".isidentifier(), "\x00".isprintable(), "é".isascii()
s.format_map is defined
f.is_integer(), 2.0.is_integer()
s|upper, s|lower, s|title, s|capitalize, u|title, "foo-bar baz's (x) [y] {z} <w>"|title, u|upper
sp|trim ~ "|", "xax"|trim("x"), s|length, l|count, d|length, u|length, el|length
n|length
html|escape, html|e, html|e|e, html|safe, (html|safe)|e, html|forceescape, (html|e)|forceescape, (html|safe) ~ "<", "<" ~ (html|safe), (html|e) + "<b>", html|e|upper, (html|e)|replace("&", "<")
s|replace("l", "L"), s|replace("l", "L", 1), s|replace("o", ""), 121|replace("1", "x")
l|first, l|last, el|first is undefined, el|last is undefined, s|first, s|last, d|first
l|sort, l2|sort, l2|sort(true), l2|sort(case_sensitive=true), l|sort(reverse=true), recs|sort(attribute="age")|map(attribute="name")|list, recs|sort(attribute="name,age")|map(attribute="age")|list, recs|sort(attribute="tag.k")|map(attribute="age")|list
[1, "a"]|sort
[none, 1]|sort
d|dictsort, d|dictsort(true), d|dictsort(by="value")
{"a": 2, "B": 1, "c": 3}|dictsort, {"a": 2, "B": 1}|dictsort(true), {"a": 2, "B": 1}|dictsort(by="value", reverse=true)
{"a": 2}|dictsort(by="x")
l|join, l|join(","), l2|join("-"), recs|join(", ", attribute="name"), recs|join(attribute="age"), [1, [2], none, true, 1.5]|join("|"), s|join("."), d|join(",")
["<", html|safe]|join("&"), [html|e, "<"]|join
l|sum, l|sum(start=10), [1.5, 2]|sum, recs|sum(attribute="age"), el|sum, [[1], [2]]|sum(start=[])
["a"]|sum
l|max, l|min, l2|max, l2|min, l2|max(case_sensitive=true), recs|max(attribute="age"), el|max is undefined, "hello"|max
l|reverse|list, s|reverse, u|reverse, d|reverse|list, nested|reverse|list
l2|unique|list, l2|unique(true)|list, recs|unique(attribute="name")|map(attribute="age")|list, [1, 1.0, true, 2]|unique|list
l|list, s|list, d|list, (1, 2)|list, 5|string|list
5|list
l|map("string")|list, l2|map("upper")|list, recs|map(attribute="name")|list, recs|map(attribute="zz", default="D")|list, recs|map(attribute="tag.k")|list, nested|map("length")|list, l|map("default", 1)|list, ["a b"]|map("replace", " ", "_")|list
l|map|list
l|map("nofilter")|list
l|select|list, l|select("odd")|list, l|reject("odd")|list, l|select("gt", 1)|list, l|select("in", [1, 2])|list, recs|selectattr("age", "gt", 1)|map(attribute="name")|list, recs|rejectattr("age", "equalto", 1)|list|length, recs|selectattr("age")|list|length, recs|selectattr("zz")|list, recs|selectattr("zz", "undefined")|list|length, recs|selectattr("tag.k", "eq", "p")|list
l|select("notest")|list
recs|groupby("name")|list, recs|groupby("name", case_sensitive=true)|list, recs|groupby("zz", default=1)|length
recs|groupby("name")|map(attribute="grouper")|list, (recs|groupby("name"))[0].list|length, (recs|groupby("name"))[0][0]
range(10)|batch(3)|list, range(5)|batch(3, "x")|list, range(10)|slice(3)|list, range(5)|slice(3, "x")|list, range(2)|slice(5)|list
[1]|batch(0)|list
"3"|int, "3.7"|int, "x"|int, "x"|int(5), "0x1f"|int(0, 16), "ff"|int(base=16), 3.9|int, -3.9|int, none|int, true|int, " 4 "|int, "1_000"|int, "1e3"|int, ""|int
"3.5"|float, "x"|float, "x"|float(1.5), "1e3"|float, "inf"|float, "nan"|float, " 2 "|float, true|float, none|float, 3|float, "1_0.5"|float, "infinity"|float, "-Inf"|float, "0x1"|float
1e400|int
3.14159|round, 3.14159|round(2), 2.5|round, 3.5|round, -2.5|round, 3.2|round(0, "ceil"), 3.7|round(0, "floor"), 1234.5|round(-2), 3|round, 2.675|round(2), 3.14159|round(1, "ceil"), 1e20|round(2)
3|round(1, "x")
-5|abs, 5.5|abs, true|abs
"x"|abs
s|default("d"), e|default("d"), e|default("d", true), no|default("d"), no|default("d", true), no|d("q", boolean=true), undefined_x|default, undefined_x|default(s)
s|center(30) ~ "|", "x"|center(5)
s|truncate(5), s|truncate(8, true), s|truncate(8, false, "…"), s|truncate(8, true, "…", 0), "short"|truncate(255), s|truncate(9, leeway=0), "foo bar baz qux"|truncate(9), "foo bar baz qux"|truncate(9, true), "foo bar baz qux"|truncate(11), "foo bar baz qux"|truncate(11, false, "...", 0)
s|truncate(1)
lines|indent, "a\nb\n\nc"|indent(2), "a\nb\n\nc"|indent(2, true), "a\nb\n\nc"|indent(2, blank=true), "a\nb"|indent("> "), "a\n"|indent, ""|indent(first=true)
s|wordcount, ""|wordcount, "a-b c_d é's"|wordcount
s|format, pct|format("a", 5), "%s"|format("x"), "%(a)s"|format(a=3)
"%d"|format("x")
d|tojson, l|tojson, u|tojson, quote|tojson, html|tojson, none|tojson, true|tojson, 1.0|tojson, 1e100|tojson, f|tojson, (1, 2)|tojson, {}|tojson, []|tojson, {"a": {}}|tojson(indent=2), special|tojson
d|tojson(indent=4), nested|tojson(indent=2), d|tojson(indent=0), d|tojson(indent="\t"), d|tojson(sort_keys=true), d|tojson(separators=(",", ":")), u|tojson(ensure_ascii=true), d|tojson(true), quote|tojson(ensure_ascii=true), d|tojson(false, 2, none, true), nested|tojson(indent=-1)
{1: 2, none: 3, true: 4, 1.5: 5}|tojson, {(1, 2): 3}|string
{(1, 2): 3}|tojson
{1: 2, "a": 3}|tojson(sort_keys=true)
undefined_x|tojson
range(3)|tojson
recs|map(attribute="name")|tojson
d.items()|tojson
"nan"|float|tojson, "inf"|float|tojson, "-inf"|float|tojson
html|e|tojson
s|urlencode, u|urlencode, {"a b": "c&d", "e": 1}|urlencode, [("a", 1), ("b", "ü/")]|urlencode, "/a b?"|urlencode
1000|filesizeformat, 1|filesizeformat, 123456789|filesizeformat, 1024|filesizeformat(true), "5"|filesizeformat, 0|filesizeformat, 1e30|filesizeformat
{"class": "a", "id": none, "x": "<y>"}|xmlattr, {"a": undefined_x}|xmlattr, {"a": 1}|xmlattr(false)
{"a b": 1}|xmlattr
l|attr("append"), d|attr("a") is undefined, s|attr("upper") is callable
s|string, 5|string, l|string, none|string, 1.0|string, html|e|string
s|nofilter
s is notest
s is string, n is string, l is iterable, s is iterable, n is iterable, d is mapping, l is sequence, d is sequence, s is sequence, n is number, t is number, f is number, no is none, t is true, t is boolean, f is float, n is integer, t is integer, undefined_x is iterable, undefined_x is string, range is callable, s is callable
n is odd, n is even, z is even, n is divisibleby(7), n is divisibleby 3, m is odd
f is odd
"x" is odd
1 is eq 1, 1 is ne 2, 1 is lt 2, 2 is ge 2, 1 is in [1], 1 is not in [2], no is sameas none, t is sameas true, n is sameas 7
"a" is lower, "A" is upper, "aB" is lower, "1" is upper, html is escaped, (html|e) is escaped, "upper" is filter, "zz" is filter, "odd" is test, "zz" is test
not n is odd, n is not odd, (n is odd) and t, n is odd and t
n is divisibleby
n is divisibleby(0)
range(5)|list, range(2, 5)|list, range(5, 0, -2)|list, range(0)|list, range(3), range(1, 3), range(1, 9, 2), range(5)[1], range(5)[1:3], range(5)|length, 3 in range(5), range(3) == range(3)
range(1, 5, 0)
range(100001)
range("x")
range(1.5)
dict(a=1, b=2), dict({"x": 1}), dict([("a", 1)]), dict({"x": 1}, y=2), dict()
dict(1)
[1, 2, 3,], (1,), (), (1, 2), {"a": 1,}, {}, [[]], {"a": {"b": []}}, 1, "q'q", 'q"q', "both'\""
[quote, u, special], {u: quote}, sp|list
(1, 2)[0], [1, 2][-1], {"a": 5}.a, {"a": 5}["a"], "abc"[1], {1: "x"}[1], {true: "y"}[1]
{"a": 1, "a": 2}, {1: "a", 1.0: "b", true: "c"}
{[1]: 2}
{{}: 2}
cycler("a", "b").next(), cycler(1, 2).current
cycler()
joiner()()
namespace(a=1).a, namespace({"b": 2}).b, namespace(a=1).zz is defined
lipsum is callable
loop is defined, caller is defined, messages is defined
none, None, true, True, false, False
nan, inf
s.upper.__name__ is defined
1 in (1, 2) and not false or none
[x for x in l]
lambda x: x
l[0
(1
{"a" 1}
1 +
a b
"unclosed
'\u0041\x41\n\t\\\'\101\N{BULLET}'
'\q \
x'
1if true else 2
1,
a.0
l.0, l.1, d.1 is defined
s.0, s.1
0xFF + 0b11, 00, 0_0
01
1__0
1e5000
99999999999999999999
9223372036854775807, -9223372036854775807 - 1
9223372036854775807 + 1
n|string|int + 1, "10" |int|string ~ "x"
l|length > 2, l | length == 3 and "yes" or "no"
d.items()|map("first")|list, d.items()|map(attribute=0)|list, d.items()|map(attribute="1")|list, recs|map(attribute="tag")|map(attribute="k")|join
d|selectattr|list
d.items()|sort, d.keys()|sort, d.values()|list|length, d.keys() == d.keys(), "a" in d.keys(), d.items()|list|first|last, d.keys()[0] is undefined
(l|map("string"))|first, (l|map("string"))[0] is undefined, l|map("string")|length
l|map("string") is iterable, l|map("string") is sequence, (l|select) and 1, l|select is string
s * 2 ~ "x" * 0, s ~ -1, -n, +n, - -n, -(n), -f
-s
+l
s % 2
"a" % 2
[1, 2] == [1.0, 2.0], {"a": 1} == {"a": 1.0}, (1,) == [1], "1" == 1, none == none, undefined_x == none, undefined_x is none
1 is defined, none is defined, "" is defined
f ~ "", 1e22, 1.0e21, 123456.789e3, 1e-7, 5e-324, 1.7976931348623157e308, 100.0, 1e2, -0.0, 0.1, 1/3, 2/3, 10/2, 1e16 + 1
raise_exception("x")
strftime_now("%Y-%m-%d %H:%M:%S %d %b %B %A %a %j %y %I %p %M %%"), strftime_now("%-d %e"), strftime_now("%Y é")
strftime_now()
s|map(attribute="x")|list
s|batch(5)|list, s|batch(5, "-")|map("join")|list
"a".upper()()
s.replace("a")
s.upper(1)
s|upper(1)
s|join(1, 2, 3, 4)
s.split(sep=","), s.split(maxsplit=1), s.splitlines(keepends=true), "a\tb".expandtabs(tabsize=2), csv.rsplit(sep=",", maxsplit=2)
s.replace(old="a", new="b")
s.center(width=5)
[*l]
range(*[1, 3])|list, dict(**{"a": 1}), "{} {}".format(*l[:2]), "{a}".format(**{"a": 9}), range(*(2, 4), **{})|list
range(*5)
dict(**5)
d|items|sort|list, undefined_x|items|list
5|items|list
l|default([])|length, (d.zz or {}).get("x", "none"), (d.get("C") or [])|length, d.C is defined and d.C is not none
"x" if l else "y", "x" if el else "y", "x" if "0" else "y", "x" if 0.0 else "y", "x" if range(0) else "y", "x" if ed else "y", "x" if (el|map("upper")) else "y"
true + true, true * 3, -true, true / 2, 5 % true, true ~ 1, true < 2, [true] == [1], true|string, true|int
"é" < "z", "Z" < "a", "a" < "aa", "" < "a", "😀" > "\uffff"
s[1:3] ~ s[-2:] ~ s[:1], u[::-1], u[-2:], u|length, u[10:], u[:1]
s["1"]
s[none]
s[none:2], s[:none], s[1:none:none]
s["a":]
l[true], l[false]
u.split(), u.split(" ", 2), u.count(""), u.rfind(" "), u.index("😀")
"İ".lower()|length, "ŉ".upper(), "ΑΣ".lower(), "ΑΣ Α".lower(), "Σ".lower(), "ǆ".title(), "ǆ".capitalize(), "ß".title(), "ﬃ".upper(), "ŉa".title(), "a'b c-d".title(), "1a".title(), "ᾳ".upper(), "ᾳ".title(), "ı".upper(), "ſ".upper(), "ꭰ".upper(), "Ꭰ".lower(), "Ა".lower(), "ა".upper(), "ა".title()
"\u00a0\u1680\u2000\u2028\u2029\u202f\u205f\u3000\x85\x1c x \u200b\ufeff\u180e".strip()|tojson(true), "\x1c\x1d\x1e\x1f".isspace(), "\u200b".isspace()
"a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i\rj\r\nk".splitlines()
""|e, none|e, 5|e, l|e, d|e
"<"|e ~ ">", "<" ~ ">"|e, ("<"|e) * 2, ("<"|e)[0:2], ("a<"|e).upper(), ("<"|e) == "&lt;"
"<"|safe|length, ("a"|safe) is string, ("a"|safe)|tojson, ("a b"|safe).split()
l|sort(reverse=range(3))
l|sort(reverse=none)
d|dictsort(reverse="x")
l|sort(reverse=1), d|dictsort(reverse=true)
[1] is filter
({},) is test
5 is filter, (1, 2) is test, none is filter
"""

# What jinja2 renders and pg_llm knowingly does not: no chat template is known to use it. Not compared.
NOT_SUPPORTED = r"""
s.encode()
s.translate({})
n.real, n.imag, n.numerator, n.bit_length()
html|striptags
l|random
s|wordwrap(5)
d|pprint
"\ud83d"
"٣"|int, "٣"|float
"a" is sameas "a"
joiner("x")
("<%s>"|e) % "<", ("<"|e).join(["<"]), ("{}"|e).format("<"), ("<"|e).replace("&", "<")
99999999999999999999
"""

TEMPLATES = [
    # loops
    "{% for x in l %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}/{{ loop.depth }}/{{ loop.depth0 }}/{{ loop.previtem }}/{{ loop.nextitem }}={{ x }};{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}", "{% for x in el %}x{% else %}empty{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}", "{% for k, v in d|dictsort %}{{ k }}={{ v }},{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [[1]] %}{{ a }}{% endfor %}", "{% for a, b in [1] %}{{ a }}{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}{{ loop.last }}{% else %}none{% endfor %}", "{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in nested recursive %}{% if x is iterable and x is not string %}[{{ loop(x) }}]{% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x == 6 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}", "{% break %}", "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{{ m() }}{% endfor %}",
    "{% for x in s %}{{ x }}-{% endfor %}", "{% for x in n %}{% endfor %}", "{% for x in undefined_x %}a{% else %}b{% endfor %}", "{% for x in none %}a{% endfor %}",
    "{% for x in l %}{% set y = x %}{% endfor %}{{ y is defined }}", "{% set y = 0 %}{% for x in l %}{% set y = y + x %}{{ y }}{% endfor %}{{ y }}",
    "{% set ns = namespace(y=0) %}{% for x in l %}{% set ns.y = ns.y + x %}{% endfor %}{{ ns.y }}", "{% set d.x = 1 %}", "{% set zz.x = 1 %}", "{% set ns = namespace() %}{{ ns }}",
    "{% for loop in l %}{{ loop }}{% endfor %}", "{% for x in l %}{{ loop }}{% endfor %}", "{{ loop }}", "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in l|map('string') %}{{ loop.length }}{{ loop.last }}{{ x }}{% endfor %}", "{% for x in l %}{% set outer = loop %}{% for y in l2 %}{{ outer.index }}{{ y }}{% endfor %}{% endfor %}",
    "{% for x in [1,2,2,3] %}{{ x if loop.changed(x) }}{% endfor %}", "{% for x in l %}{{ loop.nope is defined }}{% endfor %}", "{% for m in recs[::-1] %}{{ m.name }}{% endfor %}", "{% for x in (1, 2) %}{{ x }}{% endfor %}", "{% for x in 1, 2 %}{{ x }}{% endfor %}",
    # set, scopes
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1, 2, 3] %}", "{% set a = 1, 2 %}{{ a }}", "{% set x %}a{{ s }}<b>{% endset %}{{ x }}|{{ x|upper }}|{{ x is string }}", "{% set x | upper %}abc{% endset %}{{ x }}", "{% set x | replace('a', 'b') | upper %}abc{% endset %}{{ x }}",
    "{% if t %}{% set q = 1 %}{% endif %}{{ q }}", "{% if no %}{% set q = 1 %}{% endif %}{{ q is defined }}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% with %}{% set a = 3 %}{{ a }}{% endwith %}{{ a }}", "{% set a = 1 %}{% with a = 2, b = a %}{{ b }}{% endwith %}",
    "{% set s = 'new' %}{{ s }}", "{{ s }}{% set s = 'new' %}{{ s }}", "{% set range = 5 %}{{ range }}", "{% set loop = 1 %}{{ loop }}", "{% set none = 1 %}", "{% set true = 1 %}", "{% set x = x %}{{ x is defined }}", "{% block a %}{{ s }}{% set q = 1 %}{% endblock %}{{ q is defined }}", "{% block a %}1{% endblock a %}", "{% block a %}1{% endblock b %}", "{% block a %}{% endblock %}{% block a %}{% endblock %}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}aab{% endfilter %}", "{% filter nofilter %}a{% endfilter %}", "{% do 1 %}", "{% autoescape true %}{{ html }}{% endautoescape %}", "{% raw %}{{ x }} {% if %}{% endraw %}", "{%- raw -%} {{ a }} {%- endraw -%} b", "{% raw %}a\n{% endraw %}\nb",
    # conditions
    "{% if no %}a{% elif t %}b{% else %}c{% endif %}", "{% if undefined_x %}a{% endif %}b", "{% if undefined_x.y %}a{% endif %}", "{% if 1 %}a{% elif nofilter|nofilter %}{% endif %}", "{% if 0 %}{{ 1|nofilter }}{% endif %}x", "{{ 1|nofilter if 0 else 2 }}", "{% if %}{% endif %}", "{% if 1 %}", "{% endif %}", "{% else %}", "{% if 1 %}{% else %}{% else %}{% endif %}", "{% if 1 %}{% else if 2 %}{% endif %}", "{% if 1 2 %}{% endif %}", "{% nope %}", "{% if x = 1 %}{% endif %}",
    # macros
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, c=5) }}|{{ m(b=3, a=4) }}|{{ m() }}", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=1) }}", "{% macro m(a=1, b) %}{{ a }}{{ b is defined }}{% endmacro %}{{ m() }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m(a, b=s) %}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body {{ s }}{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=5) m() %}{{ a }}{{ b }}{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{{ m.name }}{% macro m(a, b) %}{% endmacro %}", "{% macro m(a, b) %}{{ caller }}{% endmacro %}{{ m.name }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% macro f() %}{{ x }}{% endmacro %}{% set x = 5 %}{{ f() }}", "{% set x = 1 %}{% macro f() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ f() }}", "{% for x in l %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}{% endfor %}{{ f is defined }}",
    "{% macro f() %}<b>{% endmacro %}{{ f()|e }}|{{ f()|upper }}|{{ f() ~ '<' }}|{{ f() + '<' }}|{{ f() is string }}|{{ f()|tojson }}", "{% macro f() %}{% set q = 1 %}{% endmacro %}{{ f() }}{{ q is defined }}", "{{ f() }}{% macro f() %}x{% endmacro %}", "{% macro f(x) %}{{ x }}{% endmacro %}{{ l|map('string')|list }}{{ f(x=f(1)) }}", "{% macro f(a, a) %}{% endmacro %}", "{% macro f(loop) %}{{ loop }}{% endmacro %}{{ f(1) }}", "{% macro caller() %}x{% endmacro %}{{ caller() }}", "{% macro f(caller) %}{{ caller() }}{% endmacro %}{% call f() %}x{% endcall %}", "{% macro f() -%} a {%- endmacro %}[{{ f() }}]", "{% set f = 5 %}{{ f() }}",
    # white space
    "a\n  {% if t %}\n  b\n  {% endif %}\nc\n", "a\n  {%- if t -%}\n  b\n  {%- endif -%}\nc\n", "a\n  {%+ if t %}\n  b\n  {% endif +%}\nc", "  {{ s }}  \n{{ s }}\n", "  {{- s -}}  \n{{ s }}\n\n", "a {# c #} b\n  {# c #}\nd", "a {#- c -#} b", "{# {{ x }} #}", "{# unclosed", "{{ 1 }}\r\n{{ 2 }}\r\n{% if 1 %}\r\nx\r{% endif %}\ry", "x\n\n", "\n{% set a = 1 %}\n\n{{ a }}\n\n\n", "\t {% set a = 1 %} \t\nx", "a  {% set a = 1 %}\nx", "{{ '%}' }}{{ '}}' }}{% set a = '%}' %}{{ a }}", "{{ {'a': {'b': 1}}.a.b }}", "{{ {'a': 1}}}", "{{ {'a':{'b':1}} }}", "{{- -1 }}", "{{+ 1 }}", "{{ 1 -}} x", "{%- set a = 1 -%}  {{ a }}", "{{ 'a\nb' }}", "{% set a\n=\n1 %}{{ a }}", "{{ 1 }} }} %} #}", "{ { % {%", "{{", "{{ }}", "{{ 1 ", "{% if", "#} a", "{{ '{{' }}", "{{ \"{% raw %}\" }}", "-{{ 1 }}-\n-%}", "\u00a0{% if 1 %}\u00a0\n{% endif %}", "\u2003 {%- if 1 %}\u2003{%- endif %}x", "\x0b{% if 1 %}\x0c\n{% endif %}",
    # generation, misc
    "{% generation %}a{{ s }}{% endgeneration %}b", "{% for m in recs %}{% generation %}{{ m.name }}{% endgeneration %}{% endfor %}", "{% generation %}\nx\n{% endgeneration %}\ny", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}", "{% set ns = namespace(a=[], b={}) %}{% set ns.a = ns.a + [1] %}{{ ns.a }}{{ ns.b }}", "{% set ns = namespace(x=1) %}{% macro f() %}{% set ns.x = ns.x + 1 %}{% endmacro %}{{ f() }}{{ ns.x }}", "{% include 'a' %}", "{% import 'a' as b %}", "{% extends 'a' %}", "{% from 'a' import b %}", "{% trans %}a{% endtrans %}", "{{ super() }}", "{{ self }}{{ self.a }}{{ self['a'] is defined }}{{ self is defined }}", "{% set q = 1 %}{% block a %}<{{ q }}{{ x }}>{% endblock %}{% set q = 2 %}{{ self.a() }}{{ self['a']()|upper }}", "{{ self.a() }}", "{% block a %}{% endblock %}{{ self.a(1) }}", "{% block a %}{{ self.a() }}{% endblock %}", "{% macro f() %}{{ self.x }}{{ self.a() }}{% endmacro %}{% block a %}b{% endblock %}{{ f() }}",
    "{{ namespace(_a=1) }}", "{% macro f() %}{{ caller }}{{ caller.name }}{{ kwargs }}{% endmacro %}{% call f() %}{% endcall %}{{ f }}{{ f.name }}", "{% set ns = namespace() %}{% set ns._a = 1 %}", "{{ dict.fromkeys([1, 'a', 1]) }}{{ dict.fromkeys('ab', 0) }}{{ dict.fromkeys(undefined_x) }}", "{{ dict.fromkeys([[]]) }}", "{{ dict.fromkeys() }}", "{{ dict.x is defined }}{{ dict['fromkeys'] is defined }}{{ range.fromkeys is defined }}", "{% filter length %}ab{% endfilter %}", "{% filter list %}ab{% endfilter %}", "{% filter length|string %}ab{% endfilter %}", "{% set x = namespace(a=1) %}{% set x.a, y = 2, 3 %}{{ x.a }}{{ y }}", "{{ raise_exception('bad ' ~ s) }}", "{% if l|length != 3 %}{{ raise_exception('x') }}{% endif %}ok",
    "{% set a = [] %}{% for x in l %}{% set a = a + [x] %}{% endfor %}{{ a }}", "{% set content %}{% for x in l %}{{ x }}\n{% endfor %}{% endset %}{{ content.strip().split('\\n')|join(',') }}", "{% set a = 'x' if t else 'y' %}{{ a }}", "{{ [1,2,3]|join(',') if l else '' }}", "{{ 'a' if t }}{{ 'b' if no }}", "{{ (l|first) ~ (l|last) }}", "{%for x in l%}{{x}}{%endfor%}", "{% set x = {'a': [1, {'b': 2}]} %}{{ x.a[1].b }}{{ x['a'][1]['b'] }}", "{{ x.y.z }}", "{{ d.items }}" if False else "{{ d.items is callable }}", "{% for x in d.values() %}{{ x }}{% endfor %}", "{% print s %}", "{% set _ = s %}{{ _ }}", "{{ _('x') }}", "{{ é }}{% set é = 1 %}{{ é }}", "{% set x = 1 %};{% set y = 2; %}", "{{ 1; 2 }}", "{{ a.b.c is defined }}", "{{ s.a.b is defined }}", "{{ s.a is defined and s.a.b is defined }}",
    "{% for g in recs|groupby('name') %}{{ g.grouper }}:{% for r in g.list %}{{ r.age }}{% endfor %};{% endfor %}", "{% for a, b in recs|groupby('age') %}{{ a }}{{ b|length }}{% endfor %}", "{% for row in range(7)|batch(3) %}{{ row|join(' ') }}/{% endfor %}", "{% set x = s.split(',') %}{{ x[0] }}{{ x[-1].strip() }}{{ x|length }}", "{% set x = l|map('string') %}{{ x|list }}{{ x|list }}", "{% set x = l|reverse %}{{ x|first }}{{ x|list }}", "{% set x = d.items() %}{{ x|list|length }}{{ x|list|length }}", "{{ (l|map('int')|list)[0] }}", "{% set it = s.splitlines() %}{% for x in it[1:] %}{{ x }}{% endfor %}",
]

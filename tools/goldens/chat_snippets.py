"""Small templates that the interpreter must render as Jinja2 does."""

CONTEXT = {
    "messages": [
        {"role": "user", "content": "Hello <World> & 'you'"},
        {"role": "assistant", "content": "Hi", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
        {"role": "tool", "content": "ok", "n": 3},
    ],
    "s": "Hello World", "t": "  padded\n", "u": "Zürich 東京 ß", "e": "", "csv": "a,b,,c", "x": "<a> & \"b\" 'c'",
    "i": 7, "neg": -7, "zero": 0, "f": 2.5, "g": 1e20, "h": 1e-7, "yes": True, "no": False, "nothing": None,
    "l": [3, 1, 2], "names": ["bob", "Alice", "carol", "alice"], "nested": [[1, 2], [3, [4, 5]]], "empty": [],
    "d": {"b": 1, "a": 2, "C": 3}, "deep": {"x": {"y": [10, 20, {"z": "end"}]}}, "ed": {},
    "mixed": [1, "two", 3.0, None, True, [1], {"k": "v"}],
    "people": [{"name": "Ann", "age": 30}, {"name": "Bob", "age": 25, "city": "Rome"}, {"name": "cid", "age": 30}],
    "items_key": {"items": [1, 2], "keys": 5}, "lines": "one\ntwo\n\nthree", "html": "<b>bold</b>",
}


def expressions(text):
    return ["{{ " + line + " }}" for line in text.strip().splitlines() if line]


OPERATORS = expressions("""
1 + 2 * 3
(1 + 2) * 3
7 / 2
6 / 2
7 // 2
-7 // 2
7 % 3
-7 % 3
7 % -3
7.5 % 2
-7.5 // 2
2 ** 10
2 ** -1
2 ** 0.5
-2 ** 2
2 ** 3 ** 2
1 / 0
1 // 0
1 % 0
1.0 / 0
0x1F + 0b101 + 0o17 + 1_000
1e3
1.5e-3
.5
1e16
1e15
123456789012345678.0
0.1 + 0.2
1e22
1.0
100.0 / 3
9223372036854775807
'a' + 'b'
'a' ~ 1 ~ none ~ true ~ 1.0
'a' + 1
1 + 'a'
'ab' * 3
3 * 'ab'
'ab' * -1
[1, 2] + [3]
[1] * 3
(1, 2) + (3,)
[1] + (2,)
1 ~ 2 + 3
'a' 'b' "c"
1 < 2 < 3
1 < 3 < 2
1 == 1.0
1 == true
'1' == 1
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
'a' < 'b'
[1, 2] < [1, 3]
1 < 'a'
none < 1
none == none
1 != 2
'lo' in s
'xx' not in s
1 in l
9 not in l
'a' in d
1 in s
'x' in nothing
'x' in undefined_thing
not true
not e
not not l
1 and 2
0 and 2
0 or 'x'
e or none or 'last'
1 if yes else 2
1 if no
'a' if no else 'b' if no else 'c'
(1 if no) is defined
+i
-f
-'a'
- i ** 2
i is defined and not nothing
1 if 2 else 3 + 4
yes and no or 'z'
true + true
[1, 2, 3][-1]
[1, 2, 3][5]
[1, 2, 3][5] is defined
l[0]
l.0
l['a']
s[0]
s[-1]
s[100]
s[1:4]
s[::-1]
s[::2]
s[-3:]
s[:-3]
s[5:2]
s[10:0:-3]
u[1:8]
u[::-1]
l[1:]
l[::-1]
l[:100]
l[-100:2]
l[::0]
(1, 2, 3)[1:]
d['a']
d.a
d['zz']
d.zz
d.zz.yy
d['zz'] is defined
deep.x.y[2].z
deep['x']['y'][-1]['z']
items_key['items']
items_key['values'] is defined
nothing.foo
nothing.foo.bar
nothing['foo']
i.foo
s.foo
undefined_thing
undefined_thing.foo
undefined_thing['a']
undefined_thing + 1
undefined_thing ~ 'x'
undefined_thing == undefined_thing
undefined_thing == none
undefined_thing | length
undefined_thing()
s()
{'a': 1, 2: 'b', none: [], 'n': {'x': (1,)}}
{'a': 1, 'a': 2}
{[1]: 2}
()
(1,)
(1, 'a')
[1, 'it\\'s', "say \\"hi\\"", 'both \\' and "', 'nl\\n\\t\\\\', 'ü東\\x07']
mixed
none
true
True
False
None
[none, true, 1.0]
'\\u00e9\\x41\\101\\q'
'a\\
b'
""".replace("'a\\\nb'", "'a'"))

FILTERS = expressions("""
s | upper
u | upper
s | lower
'hELLO wORLD' | capitalize
'hello wORLD-foo (bar) x_y' | title
'they\\'re bill\\'s' | title
t | trim
'xxaxx' | trim('x')
'abc' | trim(chars='ca')
s | replace('l', 'L')
s | replace('l', 'L', 2)
'aaa' | replace('', '-')
'aaa' | replace('', '-', 2)
i | replace('7', 'seven')
s | length
u | length
l | count
d | length
5 | length
nothing | length
l | first
empty | first
s | first
l | last
empty | last
l | join
l | join(', ')
names | join(' - ')
people | join(', ', attribute='name')
mixed | join('|')
[none, true, 1.5] | join(',')
undefined_thing | join(',')
5 | join(',')
csv.split(',') | join('/')
undefined_thing | default('dflt')
nothing | default('dflt')
nothing | default('dflt', true)
e | default('dflt', boolean=true)
e | d('dflt')
undefined_thing | default
d | dictsort
d | dictsort(true)
d | dictsort(by='value')
d | dictsort(reverse=true)
{2: 'a', 1: 'b'} | dictsort
d | items | list
undefined_thing | items | list
5 | items | list
l | sort
l | sort(reverse=true)
names | sort
names | sort(case_sensitive=true)
people | sort(attribute='age') | map(attribute='name') | list
people | sort(attribute='age,name', reverse=true) | map(attribute='name') | list
mixed | sort
names | unique | list
names | unique(case_sensitive=true) | list
[1, 1.0, true, 2] | unique | list
l | min
l | max
names | min
empty | min
people | max(attribute='age')
l | sum
people | sum(attribute='age')
people | sum('age', 10)
l | reverse | list
s | reverse
d | reverse | list
names | map('upper') | list
people | map(attribute='name') | join(',')
people | map(attribute='city') | list
people | map(attribute='city', default='none') | list
nested | map('first') | list
[' a ', 'b '] | map('trim') | join('|')
names | map('replace', 'a', 'A') | list
names | map('nosuch') | list
deep.x.y | map('string') | list
[0, 1, '', 'a', none] | select | list
[0, 1, '', 'a', none] | reject | list
[1, 2, 3, 4] | select('odd') | list
[1, 2, 3, 4] | reject('odd') | list
[1, 2, 3, 4] | select('divisibleby', 2) | list
[1, 2, 3, 4] | select('>', 2) | list
names | reject('equalto', 'bob') | join(', ')
names | select('in', ['bob', 'carol']) | list
people | selectattr('city') | map(attribute='name') | list
people | selectattr('city', 'defined') | list | length
people | selectattr('age', 'equalto', 30) | map(attribute='name') | list
people | rejectattr('age', 'gt', 26) | map(attribute='name') | list
messages | selectattr('role', '==', 'user') | list | length
messages | selectattr('role', 'equalto', 'user') | length
messages | rejectattr('tool_calls') | list | length
people | groupby('age') | length
people | groupby('age') | map('first') | list
(people | groupby('age'))[1][1] | map(attribute='name') | list
[1, 2, 3, 4, 5] | batch(2) | list
[1, 2, 3, 4, 5] | batch(2, 0) | list
[1, 2, 3, 4, 5] | slice(3) | list
lines | indent
lines | indent(2, true)
lines | indent(2, blank=true)
lines | indent('> ', first=true)
5 | indent
'42' | int
' 42 ' | int
'42.7' | int
'x' | int
'x' | int(-1)
'0x1F' | int(base=16)
'1_000' | int
none | int
2.9 | int
-2.9 | int
true | int
'1e3' | int
'3.5' | float
'x' | float
'x' | float(1.5)
'inf' | float
7 | float
-5 | abs
-5.5 | abs
2.5 | round
3.5 | round
2.567 | round(2)
2.675 | round(2)
2.1 | round(0, 'ceil')
2.9 | round(method='floor')
1234 | round(-2)
1234.5 | round(-2)
7 | round
i | string
none | string
l | string
d | string
mixed | string
s | list
d | list
undefined_thing | list
5 | list
'%s is %d' | format('x', 3)
'%05.2f|%-5s|%5s|%x' | format(3.14159, 'a', 'b', 255)
'%(a)s' | format(a=1)
'%s' % 'x'
'%s-%s' % ('a', 'b')
'%s' % l
'%d%%' % 5
'%s %s' % 'a'
'abc' | center(9)
'abc' | center(8)
'foo bar baz qux' | truncate(9)
'foo bar baz qux' | truncate(9, true)
'foo bar baz qux' | truncate(11)
'foo bar baz qux' | truncate(11, False, '..', 0)
'Hello there, World 1' | wordcount
x | e
x | escape
x | safe
(x | safe) + '<'
'<' + (html | safe)
'<' ~ (html | safe)
(html | safe) | e
html | e | e
html | forceescape
d | attr('a')
d | attr('items') is callable
s | nosuchfilter
s | upper | lower | title
s | upper()
s | trim(1, 2)
s | trim(nope=1)
d | tojson
mixed | tojson
u | tojson
'a"b\\\\c\\n\\t\\x07</script>' | tojson
u | tojson(ensure_ascii=true)
'😀\\x7f' | tojson(ensure_ascii=true)
d | tojson(indent=2)
mixed | tojson(indent=4)
empty | tojson(indent=2)
{} | tojson(indent=2)
d | tojson(indent='\\t')
d | tojson(indent=0)
d | tojson(separators=(',', ':'))
d | tojson(sort_keys=true)
deep | tojson(indent=1, sort_keys=true)
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
(1, 2) | tojson
none | tojson
1e20 | tojson
1.0 | tojson
undefined_thing | tojson
[undefined_thing] | tojson
range(3) | tojson
d | items | tojson
{(1,): 2} | tojson
namespace(a=1) | tojson
""")

TESTS = expressions("""
s is string
i is string
i is number
f is number
yes is number
i is integer
yes is integer
f is float
yes is boolean
i is boolean
yes is true
1 is true
no is false
nothing is none
undefined_thing is none
undefined_thing is defined
undefined_thing is undefined
s is undefined
undefined_thing is not defined
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
i is sequence
undefined_thing is sequence
range(2) is sequence
l | map('string') is sequence
l is iterable
s is iterable
d is iterable
i is iterable
nothing is iterable
undefined_thing is iterable
l | map('string') is iterable
range is callable
s is callable
i is odd
i is even
2.0 is even
i is divisibleby 7
i is divisibleby(2)
i is not divisibleby 2
i is equalto 7
i is eq 7
i is == 7
i is ne 7
i is gt 3
i is lt 3
i is ge 7
i is le 6
i is greaterthan 3
i is lessthan 3
i is in [1, 7]
i is not in [1, 7]
'a' is in 'abc'
nothing is sameas none
1 is sameas true
'abc' is lower
'ABC' is upper
'Abc' is lower
'123' is lower
'trim' is filter
'nope' is filter
'odd' is test
(html | safe) is escaped
html is escaped
i is nosuchtest
i is defined and i is odd
i is odd or nosuch
not i is odd
i is string is defined
1 if i is defined else 2
d.a is defined
d.items is callable
messages[1].tool_calls is defined and messages[1].tool_calls is iterable
""")

METHODS = expressions("""
s.upper()
s.lower()
s.title()
"they're".title()
s.capitalize()
s.swapcase()
t.strip()
t.rstrip()
t.lstrip()
'xxaxx'.strip('x')
'xyaxy'.lstrip('yx')
'\\n\\na\\n'.strip('\\n')
s.split()
'  a  b  '.split()
'a b c d'.split(None, 2)
'a b c d'.split(maxsplit=1)
csv.split(',')
csv.split(',', 1)
csv.rsplit(',', 1)
'a b c'.rsplit(None, 1)
'a b c'.rsplit(' ', 1)
csv.split('')
csv.split('zz')
''.split(',')
''.split()
'<think>a</think>b'.split('</think>')[-1]
'<think>a</think>b'.split('</think>')[0].split('<think>')[-1]
s.startswith('Hello')
s.startswith(('x', 'He'))
s.endswith('ld')
s.endswith(('x', 'y'))
s.startswith('ello', 1)
s.startswith(1)
s.find('o')
s.find('o', 5)
s.find('zz')
s.rfind('o')
u.find('東')
s.index('zz')
s.count('l')
s.count('')
'aaaa'.count('aa')
s.replace('o', '0')
s.replace('o', '0', 1)
s.replace('', '-')
', '.join(names)
'-'.join('abc')
','.join(l)
'a\\nb\\r\\nc\\x0bd'.splitlines()
'a\\nb\\n'.splitlines(true)
'a=b=c'.partition('=')
'a=b=c'.rpartition('=')
'abc'.partition('=')
'abc'.rpartition('=')
'abc'.removeprefix('a')
'abc'.removesuffix('bc')
'abc'.removeprefix('x')
'7'.zfill(3)
'-7'.zfill(4)
'a'.ljust(3) ~ '|'
'a'.rjust(3, '.')
'{} {}'.format(1, 'b')
'{1} {0} {x}'.format(1, 'b', x=none)
'{{}}'.format(1)
'{}'.format()
'12'.isdigit()
'1.2'.isdigit()
''.isdigit()
'abc'.isalpha()
'ab1'.isalnum()
' '.isspace()
'ABC'.isupper()
'abc'.islower()
'é'.isascii()
s.nosuch()
s.__class__
d.get('a')
d.get('zz')
d.get('zz', 5)
d.items()
d.keys()
d.values()
d.items() | list
d.keys() | list
d.values() | sum
d.copy()
d.items()[0]
d.keys() | length
l.index(1)
l.index(9)
l.count(3)
l.copy()
messages[0].get('role')
messages[0].get('name', 'none') ~ messages[0]['role']
ed.get('x') is none
""")

GLOBALS = expressions("""
range(5)
range(5) | list
range(1, 4) | list
range(10, 0, -3) | list
range(0) | list
range(3)[1]
range(3) | length
range(100001) | length
range(1, 2, 0)
range()
dict(a=1, b=2)
dict([('a', 1)])
dict({'a': 1}, b=2)
dict(1)
namespace(a=1).a
namespace(a=1).b is defined
namespace({'a': 1}, b=2).b
raise_exception('boom ' ~ 1)
strftime_now('%Y-%m-%d')
strftime_now('%d %b %Y')
nosuchfunction(1)
range(*[1, 3]) | list
dict(**{'a': 1})
'%s %s' | format(*['a', 'b'])
""")

STATEMENTS = [
    "{% for x in l %}{{ x }},{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}"
    "{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for x in empty %}a{% else %}none{% endfor %}",
    "{% for x in l %}a{% else %}none{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}{{ loop.index }}{{ loop.last }}{% else %}none{% endfor %}",
    "{% for x in l if x > 5 %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | items %}{{ k }}={{ v }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for c in 'añb' %}[{{ c }}]{% endfor %}",
    "{% for x in 5 %}{% endfor %}",
    "{% for x in nothing %}{% endfor %}",
    "{% for x in undefined_thing %}a{% else %}b{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% break %}{% else %}else{% endfor %}",
    "{% for x in l %}{% continue %}{% else %}else{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in nested recursive %}{% if x is number %}{{ x }}@{{ loop.depth }} {% else %}[{{ loop(x) }}]{% endif %}{% endfor %}",
    "{% for x in nested %}{{ loop(x) }}{% endfor %}",
    "{% set x = 1 %}{% for y in l %}{% set x = y %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(n=0) %}{% for y in l %}{% set ns.n = ns.n + y %}{% endfor %}{{ ns.n }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b }}",
    "{% set d.a = 1 %}",
    "{% set q.a = 1 %}",
    "{% if yes %}{% set z = 1 %}{% endif %}{{ z }}",
    "{% if i > 10 %}a{% elif i > 5 %}b{% else %}c{% endif %}",
    "{% if no %}a{% elif no %}b{% endif %}",
    "{% if undefined_thing %}a{% else %}b{% endif %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set a, b = [1] %}",
    "{% set x %}hello {{ i }}{% endset %}{{ x | upper }}",
    "{% set x | upper %}hello{% endset %}{{ x }}",
    "{% set x | replace('l', 'L') | trim %} hello {% endset %}{{ x }}",
    "{% set x %}{% set inner = 5 %}{{ inner }}{% endset %}{{ x }}{{ inner }}",
    "{% macro m(a, b=2, c='x' ~ b) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c=5) }} {{ m(b=1, a=0) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}|{{ m(1) | length }}",
    "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(z=2) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}",
    "{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}body{% endcall %}",
    "{% macro m(l) %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(y) m(l) %}<{{ y }}>{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro f(x) %}{% for y in x %}{% if y is number %}{{ y }}{% else %}({{ f(y) }}){% endif %}{% endfor %}{% endmacro %}{{ f(nested) }}",
    "{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ m() }}",
    "{% macro m() %}{{ late }}{% endmacro %}{% set late = 3 %}{{ m() }}",
    "{% macro m() %}{{ x }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}",
    "{% macro m() %}{% set leak = 1 %}{% endmacro %}{{ m() }}{{ leak is defined }}",
    "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "{% with a = 1, b = i %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% filter upper %}hello {{ s }}{% endfilter %}",
    "{% filter trim | upper %}  hello {% endfilter %}|",
    "{% generation %}a{% set q = 1 %}{{ q }}{% endgeneration %}{{ q is defined }}",
    "{% raw %}{{ x }}{% if %}{% endraw %}",
    "a\n{% raw -%}  \n x {%- endraw %}\nb",
    "{# comment #}a{# another {{ x }} #}",
    "{% print i %}{% print 1, 2 %}",
    "{% block b %}x{% endblock %}",
    "{% block b %}x{% endblock b %}",
    "a\n{% if yes %}\nb\n{% endif %}\nc\n",
    "a\n  {% if yes %}  \n  b\n  {% endif %}\nc\n\n",
    "  {%- if yes -%}  \n  b  {%- endif -%}  \n c",
    "a  {% if yes %}b{% endif %}",
    "a\n  {%+ if yes %}b{% endif %}",
    "a\n  {% if yes +%}\nb{% endif %}",
    "a\n  {{ i }}\nb",
    "a\n  {{- i -}}  \nb",
    "a  {{+ i }}",
    "a\n  {# c #}\nb",
    "a\n  {#- c -#}  \nb",
    "a {# c +#}\nb",
    "\n\n{% set a = 1 %}\n\nx\n\n",
    "{{ '{{' }} {{ '%}' }} {{ \"}}\" }}",
    "{{ {'a': {'b': 1}} }}",
    "{{ {'a': {'b': 1}}.a.b}}",
    "a\r\nb\rc\n",
    "{{ 'a\r\nb' | length }}",
    "x { y } {a {",
    "{",
    "{{",
    "{{ 1",
    "{{ }}",
    "{% %}",
    "{% if %}{% endif %}",
    "{% if yes %}",
    "{% endif %}",
    "{% for x in l %}{% endif %}",
    "{% nosuchtag %}",
    "{% break %}",
    "{{ 1 +",
    "{{ (1 }}",
    "{{ 1) }}",
    "{{ 'abc }}",
    "{{ a b }}",
    "{{ l | }}",
    "{{ a.1b }}",
    "{% set 1 = 2 %}",
    "{% set a.b.c = 2 %}",
    "{% for 1 in l %}{% endfor %}",
    "{{ f(a=1, 2) }}",
    "{{ @ }}",
    "{# open",
    "{% raw %}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% set li = [] %}{% set _ = li.append(1) %}{{ li }}",
    "{% set li = [1, 2, 3] %}{{ li.pop() }}{{ li.pop(0) }}{{ li }}",
    "{% set li = [1] %}{% set _ = li.extend([2, 3]) %}{% set _ = li.insert(0, 'a') %}{{ li }}",
    "{% set di = {'a': 1} %}{% set _ = di.update({'b': 2}) %}{% set _ = di.pop('a') %}{{ di }}",
    "{% set li = l %}{% set _ = li.reverse() %}{{ l }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}",
    "{% set j = joiner('|') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}",
    "{% for m in messages %}{{ loop.index }}:{{ m['role'] }}{% if m.tool_calls %} {{ m.tool_calls[0].function.arguments | tojson }}{% endif %}\n{% endfor %}",
    "{{ messages[0]['content'] | trim | upper }}",
    "{% if messages[0]['role'] == 'system' %}s{% else %}{{ (messages[0]['role'] == 'user') != (0 % 2 == 0) }}{% endif %}",
    "{%- for m in messages -%}\n  {%- if m.role == 'user' %}\n  U {{ m.content }}\n  {%- elif m.role == 'tool' %}\n T{{ m.n }}\n  {%- endif %}\n{%- endfor %}",
    "{{ messages | map(attribute='role') | join(',') }}",
    "{{ messages | selectattr('role', 'in', ['user', 'tool']) | map(attribute='content') | list }}",
    "{% set m2 = messages[1:] %}{{ m2 | length }}{{ m2[0].role }}",
    "{{ messages[-1].content if messages else 'none' }}",
    "{% set it = l | map('string') %}{{ it | join(',') }}|{{ it | join(',') }}",
    "{% for g, items in people | groupby('age') %}{{ g }}:{{ items | length }};{% endfor %}",
    "{% set x = 5 %}{% if x is defined and x == 5 %}five{% endif %}",
    "{%if yes%}tight{%endif%}{{i}}",
    "{% if yes %}\n\n  text\n{% endif %}\n\nend",
    "{{ i }}\n\n{{ f }}\n",
    "{% set a = {'k': [1, {'z': none}]} %}{{ a.k[1].z is none }}{{ a | tojson }}",
    "{{ \"\\n\" }}{{ '\\n' | length }}",
    "{{ s if s is string else s | tojson }}",
    "{{ '' if not nothing else 'x' }}|{{ (nothing or {}) | length }}",
    "{{ 'a' in ['a', 'b'] and 'x' not in d }}",
    "{% for i in range(3) %}{{ i }}{% endfor %}{{ i }}",
    "{% set i = i + 1 %}{{ i }}{% set i = i + 1 %}{{ i }}",
    "{{ deep.x.y | length - 1 }}",
    "{{ 'x' * i ~ 'y' }}",
    "{% include 'x' %}",
    "{% extends 'x' %}",
    "{% import 'x' as y %}",
]

SNIPPETS = OPERATORS + FILTERS + TESTS + METHODS + GLOBALS + STATEMENTS

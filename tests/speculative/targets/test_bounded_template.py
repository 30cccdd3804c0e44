"""A chat template is a program of the checkpoint's: it renders as in transformers, and ends within limits."""

import math

import pytest
from jinja2.exceptions import TemplateError

from speculative.targets import bounded_template
from speculative.targets.bounded_template import MAX_SIZE, MAX_STEPS, ChatTemplate
from tests.support.tiny_pool import byte_tokenizer

MESSAGES = [
    {"role": "system", "content": "Be <brief> & kind. "},
    {"role": "user", "content": "naïve café 😀\n"},
    {"role": "assistant", "content": " Yes.\n"},
    {"role": "user", "content": "\n go on"},
]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"é": [1, None, True]}}}]
CHATML = (
    "{%- if tools %}{% for tool in tools %}{{ tool | tojson(indent=2) }}\n{% endfor %}{% endif %}\n"
    "{%- for m in messages %}\n    {%- if not loop.first and m.role != 'system' %}\n"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] | trim + '<|im_end|>' + '\n' }}\n    {%- endif %}\n"
    "{%- endfor %}\n{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MIXED = (
    "{% set ns = namespace(n=0, system='') %}{% macro turn(m, last=false) %}[{{ m.role|upper }}]{{ caller() }}"
    "{% if last %}!{% endif %}{% endmacro %}"
    "{% for m in messages if m.role != 'system' %}{% set ns.n = ns.n + 1 %}"
    "{% call turn(m, loop.last) %}{{ m.content.strip().replace('a', 'ä') }}{% endcall %}{{ loop.index }}"
    "/{{ loop.length }}"
    "{% if loop.index > 2 %}{% break %}{% endif %}{% else %}none{% endfor %}"
    "{{ ns.n ~ '|' ~ messages|map(attribute='role')|join(', ') }}{{ '%-5s' % 'x' }}{{ '{:>4}'.format(7) }}"
    "{{ eos_token }}{{ bos_token is defined }}{{ messages[::-1][0].content|tojson }}{{ 2 ** 10 }}{{ '=' * 8 }}"
    "{% generation %}{% set x = 'inside' %}{{ x }}{% endgeneration %}{{ dict(a=1)['a'] }}"
)


@pytest.mark.parametrize("source", [CHATML, MIXED, "{{ messages|tojson }}", "{{ '<' ~ messages[0].content|e ~ '>' }}"])
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_it_renders_what_transformers_does(source, tools):
    tokenizer = byte_tokenizer(source)
    expected = tokenizer.apply_chat_template(MESSAGES, tools=tools, add_generation_prompt=True, tokenize=False)
    given = {"messages": MESSAGES, "tools": tools, "documents": None, "add_generation_prompt": True}
    assert ChatTemplate(source).render({**tokenizer.special_tokens_map, **given}) == expected


LOOPS = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"
ENDLESS = {
    "loops": LOOPS,
    "loops over a list": "{% set r = range(100000)|list %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}",
    "a loop in itself": "{% for i in range(1000) recursive %}{{ loop(range(1000)) if loop.depth < 9 }}{% endfor %}",
    "macros": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
}
DOUBLED = (
    "{% set ns = namespace(x=[], y=[]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}"
    "{% set ns.y = [ns.y, ns.y] %}{% endfor %}"
)
LARGE = {
    "a repeated text": "{{ 'a' * 10000000000 }}",
    "what is not reached": "{% if false %}{{ 'a' * 10000000000 }}{% endif %}{{ 'a' * 10000000000 }}",
    "a list": "{% set x = [0] * 1000000000 %}",
    "a list of lists": "{% set a = ['x' * 9999] * 9999 %}{{ a }}",
    "doubled by ~": "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "doubled by +": "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "doubled by blocks": "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set y %}{{ ns.x }}{{ ns.x }}"
    "{% endset %}{% set ns.x = y %}{% endfor %}",
    "replaced": "{% set a = 'a' * 9999999 %}{{ a.replace('a', a) }}",
    "replaced by a filter": "{% set a = 'a' * 9999999 %}{{ a|replace('a', a) }}",
    "joined": "{% set a = 'a' * 9999999 %}{{ a.join(['x'] * 99999) }}",
    "centred": "{{ 'a'.center(10000000000) }}",
    "centred by a filter": "{{ 'a'|center(10000000000) }}",
    "a format": "{{ '%10000000000d' % 1 }}",
    "a format's filter": "{{ '%10000000000d'|format(1) }}",
    "a format's method": "{{ '{:>10000000000}'.format(1) }}",
    "a given width": "{{ '{:>{}}'.format(1, 10000000000) }}",
    "the whole": "{% for i in range(100000) %}{{ 'a' * 9999 }}{% endfor %}",
    "a power": "{{ 9 ** 9999 }}",
    "compared doubles": DOUBLED + "{{ ns.x == ns.y }}",
    "doubles compared by a test": DOUBLED + "{{ ns.x is eq(ns.y) }}",
    "doubles in a list": DOUBLED + "{{ ns.x in [ns.y] }}",
    "doubles as a key": DOUBLED.replace("[", "(").replace("]", ")") + "{{ {ns.x: 1} }}",
    "a product": "{% set ns = namespace(x=9) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
}


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_one_that_would_not_end_is_refused(source, monkeypatch):
    monkeypatch.setattr(bounded_template, "MAX_SECONDS", math.inf)  # a busy machine may take them before the steps
    with pytest.raises(TemplateError, match=f"more than {MAX_STEPS} steps"):
        ChatTemplate(source).render({})


@pytest.mark.parametrize("source", LARGE.values(), ids=LARGE)
def test_one_that_would_take_the_memory_is_refused_before(source):
    with pytest.raises(TemplateError, match=r"more than 4096 bits|widths as numbers|more than 10000000 characters"):
        ChatTemplate(source).render({})


def test_limits_are_of_one_rendering():
    template = ChatTemplate("{% for i in range(n) %}{% endfor %}{{ 'a' * n }}")
    for _ in range(12):
        assert len(template.render({"n": 90_000})) == 90_000
    assert len(ChatTemplate("{{ x }}").render({"x": "a" * MAX_SIZE})) == MAX_SIZE


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ messages.append(1) }}",
        "{% set n = namespace(__class__=1) %}",
        "{% set n = namespace() %}{% set n.__class__ = 1 %}",
        "{{ lipsum() }}",
        "{{ raise_exception('no') }}",
    ],
)
def test_it_stays_in_its_sandbox(source):
    with pytest.raises(TemplateError):
        ChatTemplate(source).render({"messages": []})


@pytest.mark.parametrize(
    "source",
    [
        "{{ ('a' * 5000000).find('a' * 2500000 ~ 'b') }}",
        "{{ ('a' * 5000000).rfind('ab' ~ 'a' * 2500000) }}",
        "{{ ('a' * 5000000).rsplit('ab' ~ 'a' * 2500000) }}",
        "{{ ('a' * 1000000)|trim('b' * 1000000 ~ 'a') }}",
        "{{ 'x'.translate({120: 'yy'}) }}",
    ],
)
def test_a_search_that_would_take_for_ever_is_refused(source):
    with pytest.raises(TemplateError, match=r"searches too long a text|must not translate"):
        ChatTemplate(source).render({})


@pytest.mark.parametrize(
    ("source", "read"),
    [
        (CHATML, {"messages", "add_generation_prompt", "tools"}),
        ("{% if a is defined and a %}{{ b.c }}{% endif %}", {"a", "b"}),
        ("{% if not a is defined %}{% set a = none %}{% endif %}{{ a }}", {"a"}),
        ("{% for message in messages %}{{ message.role ~ '<|im_start|>' }}{% endfor %}", {"messages"}),
        ("{% macro m(x) %}{{ x ~ y }}{% endmacro %}{{ m(1) }}{% set z = 1 %}{{ z }}", {"y"}),
    ],
)
def test_it_names_the_variables_that_it_reads(source, read):
    assert ChatTemplate(source).variables == read

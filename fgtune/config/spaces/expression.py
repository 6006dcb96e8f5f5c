"""Conditions and constraints as text: a small closed language of numbers, texts, names and comparisons.

Source to tree by a tokenizer and a recursive-descent parser of its own; nothing of a file is ever run as Python. From
the weakest binding: ``implies``, ``or``, ``and``, ``not``, comparisons (``< <= > >= == != in``, ``not in``), ``+ -``,
``* /``, unary ``-``, and the functions ``min``, ``max``, ``abs``. Names are dotted config paths; texts stand in
quotes; ``true``, ``false`` and ``null`` are themselves; lists stand in brackets. ``and``, ``or`` and ``implies``
look at their right side only where the left one does not decide.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fgtune.config.spaces.operations import COMPARISONS, AbsentError, Lookup, binary, compare, number, truth
from fgtune.errors import ConfigError

MAX_LENGTH = 500
"""Characters of an expression; parsing and evaluating nest no deeper than that allows."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)(?![\w.])"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<sign><=|>=|==|!=|[-+*/<>()\[\],]))"
)
_WORDS = frozenset({"and", "or", "not", "in", "implies"})
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}
_DEPTH = 40


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Attributes:
        text: As written.
        names: The dotted names in it, in the order of their first use.
    """

    text: str
    names: tuple[str, ...]
    _evaluate: Callable[[Lookup], Any]

    def value(self, lookup: Lookup) -> Any:
        """The value for the settings that ``lookup`` gives.

        Raises:
            AbsentError: From ``lookup``.
            EvaluationError: When the settings' types do not go together.
        """
        return self._evaluate(lookup)

    def holds(self, lookup: Lookup, *, if_absent: bool) -> bool:
        """Whether the expression is true; ``if_absent`` where it turns on a setting that the config does not have.

        Raises:
            EvaluationError: When its value is not true or false.
        """
        try:
            value = self.value(lookup)
        except AbsentError:
            return if_absent
        return truth(value, self.text)


def parse_expression(text: str) -> Expression:
    """Parse the text of a condition or constraint.

    Raises:
        ConfigError: When it is no expression; the value is the text from where it goes wrong.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"must have at most {MAX_LENGTH} characters", value=text)
    parser = _Parser(text)
    evaluate = parser.whole()
    return Expression(text, tuple(dict.fromkeys(parser.names)), evaluate)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


class _Parser:
    """One method a level of binding; each returns a function of the lookup."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Callable[[Lookup], Any]:
        made = self._implication()
        if self._token.kind != "end":
            raise self._wrong("cannot be read on from here")
        return made

    # Tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> str | None:
        """The next token if it is one of ``texts``."""
        token = self._token
        if token.kind in {"sign", "word"} and token.text in texts:
            self._next += 1
            return token.text
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise self._wrong(f"needs {text!r} here")

    def _wrong(self, rule: str) -> ConfigError:
        rest = self.text[self._token.place :].strip()
        if not rest:
            return ConfigError("ends too early", value=self.text, fix="complete the expression")
        return ConfigError(rule, value=rest, fix="for example `a.b <= 2 * c.d`, `kind in ['x', 'y']`, `a implies b`")

    # Levels, from the weakest

    def _implication(self) -> Callable[[Lookup], Any]:
        self._depth += 1
        if self._depth > _DEPTH:
            raise ConfigError(f"must nest at most {_DEPTH} deep", value=self.text)
        left = self._disjunction()
        if self._take("implies"):
            right, text = self._implication(), self.text
            self._depth -= 1
            return lambda get: not truth(left(get), text) or truth(right(get), text)
        self._depth -= 1
        return left

    def _disjunction(self) -> Callable[[Lookup], Any]:
        parts, text = [self._conjunction()], self.text
        while self._take("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else lambda get: any(truth(part(get), text) for part in parts)

    def _conjunction(self) -> Callable[[Lookup], Any]:
        parts, text = [self._negation()], self.text
        while self._take("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else lambda get: all(truth(part(get), text) for part in parts)

    def _negation(self) -> Callable[[Lookup], Any]:
        if self._take("not"):
            inner, text = self._negation(), self.text
            return lambda get: not truth(inner(get), text)
        return self._comparison()

    def _comparison(self) -> Callable[[Lookup], Any]:
        first = self._sum()
        steps: list[tuple[str, Callable[[Lookup], Any]]] = []
        while True:
            sign = self._take(*COMPARISONS, "in")
            if sign is None and self._token.text == "not" and self._tokens[self._next + 1].text == "in":
                self._next += 2
                sign = "not in"
            if sign is None:
                break
            steps.append((sign, self._sum()))
        if not steps:
            return first
        text = self.text

        def evaluate(get: Lookup) -> bool:
            left = first(get)
            for sign, term in steps:
                right = term(get)
                if not compare(sign, left, right, text):
                    return False
                left = right
            return True

        return evaluate

    def _sum(self) -> Callable[[Lookup], Any]:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Callable[[Lookup], Any]:
        return self._chain(("*", "/"), self._unary)

    def _chain(self, signs: tuple[str, ...], below: Callable[[], Callable[[Lookup], Any]]) -> Callable[[Lookup], Any]:
        made, text = below(), self.text
        while (sign := self._take(*signs)) is not None:
            made = binary(sign, made, below(), text)
        return made

    def _unary(self) -> Callable[[Lookup], Any]:
        negative = False
        while self._take("-"):
            negative = not negative
        inner, text = self._atom(), self.text
        return (lambda get: -number(inner(get), text)) if negative else inner

    def _atom(self) -> Callable[[Lookup], Any]:
        token = self._token
        if self._take("("):
            made = self._implication()
            self._expect(")")
            return made
        if self._take("["):
            items = self._items("]")
            return lambda get: [item(get) for item in items]
        if token.kind not in {"number", "text", "name"}:
            raise self._wrong("needs a name, a number, a text in quotes, a list or '(' here")
        self._next += 1
        if token.kind == "name":
            return self._name(token.text)
        constant = _literal(token)
        return lambda _: constant

    def _name(self, name: str) -> Callable[[Lookup], Any]:
        if name in _CONSTANTS:
            constant = _CONSTANTS[name]
            return lambda _: constant
        if self._take("("):
            if name not in _FUNCTIONS:
                self._next -= 2
                raise self._wrong(f"has no function {name!r} (there are {', '.join(_FUNCTIONS)})")
            function, items, text = _FUNCTIONS[name], self._items(")"), self.text
            if not items or (name == "abs" and len(items) > 1):
                raise ConfigError(f"{name}() takes {'one number' if name == 'abs' else 'numbers'}", value=text)
            if name == "abs":
                return lambda get: abs(number(items[0](get), text))
            return lambda get: function([number(item(get), text) for item in items])
        self.names.append(name)
        return lambda get: get(name)

    def _items(self, end: str) -> list[Callable[[Lookup], Any]]:
        items: list[Callable[[Lookup], Any]] = []
        while self._take(end) is None:
            if items:
                self._expect(",")
            items.append(self._implication())
        return items


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            rest = text[place:].strip()
            fix = "texts stand in quotes; `=` is written `==`"
            raise ConfigError("has a character that no expression has", value=rest, fix=fix)
        kind = found.lastgroup or ""
        word = found.group(kind)
        tokens.append(_Token("word" if kind == "name" and word in _WORDS else kind, word, found.start(kind)))
        place = found.end()
    return [*tokens, _Token("end", "", len(text)), _Token("end", "", len(text))]


def _literal(token: _Token) -> Any:
    if token.kind == "text":
        return token.text[1:-1]
    return int(token.text) if token.text.isdigit() else float(token.text)

"""Conditions and constraints as text: a small closed language of numbers, strings, names and comparisons.

A precedence-climbing parser turns the text into functions; nothing in a file is ever run as Python. From the weakest
binding: ``implies``, ``or``, ``and``, ``not``, comparisons (``< <= > >= == != in``, ``not in``), ``+ -``, ``* /``,
unary ``-``, the functions ``min``, ``max``, ``abs``. Names are dotted config paths; strings are quoted; ``true``,
``false`` and ``null`` are constants; lists are in brackets. ``and``, ``or`` and ``implies`` evaluate their right
side only where the left one does not decide. Unlike in Python, ``true`` is not 1 and strings cannot be added.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fgtune.errors import ConfigError

MAX_LENGTH = 500
"""Characters of an expression; it also bounds how deep parsing and evaluation nest."""

Lookup = Callable[[str], Any]
"""The value of a name; raises ``AbsentError`` where the name has none."""

_Evaluate = Callable[[Lookup], Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)(?![\w.])"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<sign><=|>=|==|!=|[-+*/<>()\[\],]))"
)
_WORDS = frozenset({"and", "or", "not", "in", "implies"})
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}
_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_IMPLIES, _OR, _AND, _NOT, _COMPARES, _SUM, _PRODUCT = range(1, 8)
_STRENGTH = (
    {"implies": _IMPLIES, "or": _OR, "and": _AND, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}
    | dict.fromkeys(_ORDER, _COMPARES)
    | dict.fromkeys(("==", "!=", "in", "not in"), _COMPARES)
)
"""How tightly each binary operator binds."""
_DEPTH = 40


class AbsentError(Exception):
    """A name refers to a setting that the current config does not have."""


class EvaluationError(ConfigError):
    """An expression has no value for the current settings: strings compared with numbers, a division by zero."""


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
            EvaluationError: When the types of the settings do not match.
        """
        return self._evaluate(lookup)

    def holds(self, lookup: Lookup, *, if_absent: bool) -> bool:
        """Whether the expression is true; ``if_absent`` where it depends on a setting that the config does not have.

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
        ConfigError: When it is not an expression; the value is the text from the point of failure on.
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
    """Compiles every part of the text into a function of the lookup."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> _Evaluate:
        made = self._expression()
        if self._token.kind != "end":
            raise self._wrong("cannot be read on from here")
        return made

    # Tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, text: str) -> bool:
        """Consume ``text`` if it comes next, and return whether it did."""
        found = self._token.kind in {"sign", "word"} and self._token.text == text
        self._next += found
        return found

    def _operator(self) -> tuple[str, int]:
        """The binary operator that comes next and how tightly it binds; 0 where none does."""
        token, after = self._token, self._tokens[min(self._next + 1, len(self._tokens) - 1)]
        if token.kind not in {"sign", "word"}:
            return "", 0
        sign = "not in" if (token.text, after.kind, after.text) == ("not", "word", "in") else token.text
        return sign, _STRENGTH.get(sign, 0)

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._wrong(f"needs {text!r} here")

    def _wrong(self, rule: str) -> ConfigError:
        rest = self.text[self._token.place :].strip()
        if not rest:
            return ConfigError("ends too early", value=self.text, fix="complete the expression")
        return ConfigError(rule, value=rest, fix="for example `a.b <= 2 * c.d`, `kind in ['x', 'y']`, `a implies b`")

    # Grammar

    def _expression(self, least: int = _IMPLIES) -> _Evaluate:
        """What follows, up to an operator that binds less tightly than ``least``."""
        self._depth += least == _IMPLIES
        if self._depth > _DEPTH:
            raise ConfigError(f"must nest at most {_DEPTH} deep", value=self.text)
        left = self._operand(least)
        while True:
            sign, strength = self._operator()
            if strength < least:
                self._depth -= least == _IMPLIES
                return left
            if strength == _COMPARES:
                left = self._comparison(left)
                continue
            self._next += 1
            right = self._expression(strength if strength == _IMPLIES else strength + 1)
            left = _joined(sign, left, right, self.text)

    def _comparison(self, first: _Evaluate) -> _Evaluate:
        steps, text = [], self.text
        while (found := self._operator())[1] == _COMPARES:
            self._next += len(found[0].split())
            steps.append((found[0], self._expression(_SUM)))

        def evaluate(get: Lookup) -> bool:
            left = first(get)
            for sign, term in steps:
                right = term(get)
                if not _compare(sign, left, right, text):
                    return False
                left = right
            return True

        return evaluate

    def _operand(self, least: int) -> _Evaluate:
        text = self.text
        if least <= _NOT and self._take("not"):
            denied = self._expression(_NOT)
            return lambda get: not truth(denied(get), text)
        negative = False
        while self._take("-"):
            negative = not negative
        inner = self._atom()
        return (lambda get: -_number(inner(get), text)) if negative else inner

    def _atom(self) -> _Evaluate:
        token = self._token
        if self._take("("):
            made = self._expression()
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

    def _name(self, name: str) -> _Evaluate:
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
                return lambda get: abs(_number(items[0](get), text))
            return lambda get: function([_number(item(get), text) for item in items])
        self.names.append(name)
        return lambda get: get(name)

    def _items(self, end: str) -> list[_Evaluate]:
        items: list[_Evaluate] = []
        while not self._take(end):
            if items:
                self._expect(",")
            items.append(self._expression())
        return items


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            rest = text[place:].strip()
            fix = "put text in quotes; `=` is written `==`"
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


def truth(value: Any, text: str) -> bool:
    """``value``, checked to be a boolean; ``text`` is the expression that gave it."""
    if not isinstance(value, bool):
        fix = "compare it with something, e.g. `a > 0`"
        raise EvaluationError(f"must be true or false, `{text}` gives {value!r}", fix=fix)
    return value


def _number(value: Any, text: str) -> Any:
    """``value``, checked to be a number; ``text`` is the expression that gave it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationError(f"calculates with {value!r}, which is not a number, in `{text}`")
    return value


def _joined(sign: str, left: _Evaluate, right: _Evaluate, text: str) -> _Evaluate:
    """A logical or arithmetic operator applied to the values of ``left`` and ``right``."""
    if sign == "implies":
        return lambda get: not truth(left(get), text) or truth(right(get), text)
    if sign == "or":
        return lambda get: truth(left(get), text) or truth(right(get), text)
    if sign == "and":
        return lambda get: truth(left(get), text) and truth(right(get), text)
    operation = _ARITHMETIC[sign]

    def evaluate(get: Lookup) -> Any:
        one, two = _number(left(get), text), _number(right(get), text)
        if sign == "/" and two == 0:
            raise EvaluationError(f"divides by zero in `{text}`")
        try:
            return operation(one, two)
        except OverflowError as error:
            raise EvaluationError(f"calculates beyond the largest number in `{text}`") from error

    return evaluate


def _compare(sign: str, left: Any, right: Any, text: str) -> bool:
    """Whether a comparison holds; only numbers have an order."""
    if sign in {"in", "not in"}:
        if not isinstance(right, list | tuple):
            raise EvaluationError(f"`in` needs a list on its right in `{text}`", fix="write `a in ['x', 'y']`")
        return any(_equal(left, item) for item in right) == (sign == "in")
    if sign in {"==", "!="}:
        return _equal(left, right) == (sign == "==")
    return bool(_ORDER[sign](_number(left, text), _number(right, text)))


def _equal(left: Any, right: Any) -> bool:
    """Equality without Python's ``True == 1``."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)

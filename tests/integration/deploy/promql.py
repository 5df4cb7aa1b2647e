"""As much of PromQL as it takes to find what an expression is about: metrics, the labels it looks at, their values."""

import re

TOKEN = re.compile(r"""
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<range>\[[^\]]*\])
  | (?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?[smhdwy]?)
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},])
  | (?P<space>\s+)
""", re.VERBOSE)
KEYWORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "offset", "bool"}
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}


def tokens(expression):
    at, found = 0, []
    while at < len(expression):
        match = TOKEN.match(expression, at)
        assert match, f"not PromQL at {expression[at:]!r}"
        if match.lastgroup != "space":
            found.append((match.lastgroup, match.group()))
        at = match.end()
    return found


def selectors(expression):
    """[(metric, [(label, operator, value)])], and the labels of by (...) and the like."""
    words, metrics, grouped, at = tokens(expression), [], set(), 0
    depth = 0
    while at < len(words):
        kind, text = words[at]
        following = words[at + 1][1] if at + 1 < len(words) else ""
        depth += (text == "(") - (text == ")")
        at += 1
        if kind != "name":
            continue
        if text in GROUPING:
            if following == "(":
                end = words.index(("operator", ")"), at)
                grouped |= {t for k, t in words[at:end] if k == "name"}
                at = end + 1
        elif text in KEYWORDS or following in ("(", "by", "without"):
            pass
        else:
            matchers = []
            if following == "{":
                end = words.index(("operator", "}"), at)
                inner = [w for w in words[at + 1:end] if w[1] != ","]
                assert len(inner) % 3 == 0, expression
                matchers = [(inner[i][1], inner[i + 1][1], inner[i + 2][1][1:-1]) for i in range(0, len(inner), 3)]
                at = end + 1
            metrics.append((text, matchers))
    assert depth == 0, f"parentheses of {expression!r}"
    return metrics, grouped

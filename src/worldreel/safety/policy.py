"""What is refused: categories, what each is judged by, and what an operator changes of it.

A policy file (YAML or JSON) is a mapping; every key may be left out:

    version: studio-3                  # what verdicts call it
    without: [characters]              # categories that are not judged; every verdict says so
    strictness: {violence: 0.3}        # refuse from this score on, 0 … 1; lower refuses more
    refuse: {figures: [Jane Doe]}      # lines added to a category's list
    allow: [acme]                      # phrases that are nobody's business
    replace: {characters: [mascot]}    # lines instead of a category's list

Lines are those of `worldreel.safety.names`. One rule is not in the file's power: where something
sexual and a word for a young person meet, the prompt is refused (category `minors`), whatever is
off, allowed or replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worldreel.errors import WorldreelError, message, shown

__all__ = ["CATEGORIES", "MINORS", "Policy", "PolicyError", "load_policy"]

CATEGORIES = ("violence", "sexual", "hate", "figures", "characters", "news")
"""What is refused: extreme violence, sexual content, hateful imagery, likeness of real people,
others' characters and brands, deceptive news."""
MINORS = "minors"
"""Something sexual and a young person in one prompt."""

_KEYS = ("version", "without", "strictness", "refuse", "allow", "replace")
_LARGEST = 2**20  # bytes of a policy file


class PolicyError(WorldreelError):
    """A policy file cannot be read, or says something that is not in its power."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """An operator's changes to the built-in policy; none by default."""

    version: str = ""
    off: frozenset[str] = frozenset()
    strictness: Mapping[str, float] = field(default_factory=dict)
    refuse: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    replace: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def changes(self) -> str:
        """ "" without changes, otherwise a name made of them: `version` and 8 digits of a hash."""
        told = {
            "without": sorted(self.off),
            "strictness": dict(self.strictness),
            "refuse": {k: list(v) for k, v in self.refuse.items()},
            "allow": list(self.allow),
            "replace": {k: list(v) for k, v in self.replace.items()},
        }
        if not self.version and not any(told.values()):
            return ""
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.version or 'operator'}.{digest}"


def load_policy(path: str | Path) -> Policy:
    """The policy that a YAML or JSON file says.

    Raises `PolicyError` if the file cannot be read or holds anything but the keys above.
    """
    import yaml

    try:
        if Path(path).stat().st_size > _LARGEST:
            raise PolicyError(
                message(f"{shown(str(path))} is too large", "a policy has up to 1 MB")
            )
        told = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        came = f"the policy {shown(str(path))} cannot be read ({reason})"
        raise PolicyError(message(came, "a YAML or JSON file is needed")) from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, PolicyError):
            raise
        came = f"the policy {shown(str(path))} is neither YAML nor JSON"
        raise PolicyError(message(came, "a mapping is needed")) from error
    return policy_of({} if told is None else told)


def policy_of(told: object) -> Policy:
    """The policy that a mapping says; raises `PolicyError` for what is no policy."""
    if not isinstance(told, dict):
        raise PolicyError(message(f"a policy came as {type(told).__name__}", "a mapping is needed"))
    for key in told:
        if key not in _KEYS:
            came = f"a policy has no key {shown(key)}"
            raise PolicyError(message(came, f"keys are {', '.join(_KEYS)}", nearest=_near(key)))
    version = told.get("version", "")
    if not isinstance(version, str | int | float) or len(str(version)) > 64:
        raise PolicyError(message("the policy's version is no short text", "up to 64 letters"))
    return Policy(
        version=str(version),
        off=frozenset(_category(name) for name in _lines(told.get("without", []), "without")),
        strictness={_category(k): _score(v) for k, v in _mapping(told, "strictness").items()},
        refuse={_category(k): _lines(v, "refuse") for k, v in _mapping(told, "refuse").items()},
        allow=_lines(told.get("allow", []), "allow"),
        replace={_category(k): _lines(v, "replace") for k, v in _mapping(told, "replace").items()},
    )


def _mapping(told: Mapping[Any, Any], key: str) -> Mapping[Any, Any]:
    value = told.get(key) or {}
    if not isinstance(value, dict):
        raise PolicyError(message(f"{key} came as {type(value).__name__}", "a mapping is needed"))
    return value


def _lines(value: object, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise PolicyError(message(f"{key} is no list of texts", "a list of texts is needed"))
    return tuple(value)


def _category(name: object) -> str:
    if name == MINORS:
        raise PolicyError(
            message(
                "a policy cannot change the rule on young persons",
                f"it can change {', '.join(CATEGORIES)}",
            )
        )
    if name not in CATEGORIES:
        came = f"there is no category {shown(name)}"
        raise PolicyError(message(came, f"there are {', '.join(CATEGORIES)}", nearest=_near(name)))
    return str(name)


def _score(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise PolicyError(message(f"a strictness of {shown(value)}", "0 to 1 is possible"))
    return float(value)


def _near(name: object) -> str | None:
    import difflib

    near = difflib.get_close_matches(str(name), (*_KEYS, *CATEGORIES), n=1, cutoff=0.5)
    return near[0] if near else None

"""Secrets in command lines: the argument after a flag, and the options of programs that take a password.

Pure. `secrets_of` judges a command's words; the pass over texts and the one over lists both ask it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from remediator.domain.late_pattern import late_pattern
from remediator.redaction.matching import BLANK, QUOTE, Span, compiled, end_of, span_of, value_at
from remediator.redaction.names import Named, named
from remediator.redaction.values import follows_key_flag, is_plain

_FLAG = rf"(?:^|[\s\"'\[,(=`])(?P<name>--?[A-Za-z][\w.-]*)(?:{QUOTE}?\s*\n\s*-\s+|{BLANK}+\\\n\s*|{QUOTE},?\s*|{BLANK}+)"

_OPTIONS: tuple[tuple[re.Pattern[str], tuple[str, ...], bool], ...] = tuple(
    (late_pattern(rf"(?:{programs})(?:\.exe)?\Z", re.IGNORECASE), options, glued_only)
    for programs, options, glued_only in (
        # `mysql -p name` asks for the password and opens the database; but who writes it so often
        # means the password, and a database's name is no loss.
        (r"mysql\w*|mariadb[\w-]*|mycli|mydumper|xtrabackup", ("-p",), False),
        (r"7za?|7zr|rar|unrar", ("-p",), True),
        ((r"sshpass|mongo\w*|cqlsh|docker|podman|nerdctl|buildah|helm|skopeo|crane|oras|az|oc|rabbitmqadmin|hdbsql|isql"
         r"|ipmitool|db2|nzsql|vsql"), ("-p", "-P"), False),
        (r"redis-\w+|smbpasswd|http|https", ("-a",), False),
        (r"sqlcmd|bcp|zip|unzip|ipmitool|tsql|osql", ("-P",), False),
        (r"ldap\w+", ("-w",), False),
        (r"vsql|presto|trino", ("-w",), False),
    )
)  # fmt: skip
_GLUES = late_pattern(
    r"(?:sshpass|mysql\w*|mariadb[\w-]*|mycli|mydumper|xtrabackup)(?:\.exe)?\Z", re.IGNORECASE
)
_WITH_USER = late_pattern(r"(?:curl|wget|http|https|smbclient|rpcclient|net|elasticdump|lftp|ab)\Z")
_USER_OPTIONS = ("-u", "--user", "--proxy-user", "-U", "-a", "--auth", "-A", "--userpwd")
_PASSED = late_pattern(r"pass:(.+)\Z", re.DOTALL)
_PROGRAMS = (
    r"(?i)(?:^|[\s\"'`/(=;&|\[,])(?P<program>mysql\w*|mariadb[\w-]*|mycli|mydumper|xtrabackup|7za?|7zr|rar|unrar|sshpass"
    r"|mongo\w*|cqlsh|docker|podman|nerdctl|buildah|helm|skopeo|crane|oras|az|oc|rabbitmqadmin|hdbsql|isql|ipmitool|db2"
    r"|nzsql|vsql|redis-\w+|smbpasswd|https?|sqlcmd|bcp|zip|unzip|tsql|osql|ldap\w+|presto|trino|curl|wget|smbclient"
    r"|rpcclient|elasticdump|lftp|openssl|wandb|vault|htpasswd|heroku|gh|hf|huggingface-cli|aws|git|npm|kaggle|comet"
    r")(?:\.exe)?(?:[\"'`],?)?[ \t]"
)
_WORD = late_pattern(r"""(?:[^\s"'|;`\\]|\\.|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')+""")
_LISTED = late_pattern(r"""["']([^"'\n]*)["']""")
_SHORTEST_KEY = 6  # letters, chosen
_GLUED = 2  # letters of `-p`, which its value may follow at once
_LONGEST = 500  # characters of a command that are looked at, chosen
_ECHOED = (
    r"(?i)\b(?:echo|printf)\s+(?:-n\s+|-e\s+)?[\"']?(?P<secret>[^\s\"'|]+)[\"']?\s*\|\s*(?:sudo\s+(?:-S|--stdin)|docker\s+login|podman\s+login"
    r"|[\w -]*--(?:password-)?stdin|[\w -]*--with-token|passwd|chpasswd|kinit|gh\s+auth|wandb\s+login|hf\s|huggingface-cli)"
)


def flags(text: str) -> Iterator[Span]:
    """`--wandb-key X`, `"--wandb-key", "X"`, `-password X`."""
    if "-" not in text:
        return
    for found in compiled(_FLAG).finditer(text):
        start, end, quoted = value_at(text, found.end())
        value = text[start:end]
        under = named_flag(found["name"], value)
        if under is None:
            continue
        if value.startswith("-") and not (
            quoted and len(value) > 1 and value[1] != "-" and " " in value
        ):
            continue
        if (
            value[:1] not in {"=", "[", "]"}
            and value
            and not is_plain(value, under, found["name"], quoted=True)
        ):
            yield start, end


def named_flag(flag: str, value: str) -> Named | None:
    """What a flag says of its value; `--key` alone says it where the value looks like one."""
    name = flag.lstrip("-")
    if name == "key" and follows_key_flag(value):
        return Named.KEY
    return named(name)


def options(text: str) -> Iterator[Span]:
    """What `mysql -p…`, `curl -u user:…`, `sshpass -p …` and their like are given."""
    if "|" in text:
        yield from (span_of(found, "secret") for found in compiled(_ECHOED).finditer(text))
    programs = list(compiled(_PROGRAMS).finditer(text))
    starts = [found.start() for found in programs[1:]] + [len(text)]
    for found, following in zip(programs, starts, strict=False):
        begin = found.end()
        line = text.find("\n", begin, begin + _LONGEST)
        end = min(following, begin + _LONGEST) if line < 0 else min(following, line)
        head = text[end_of(found, "program") : begin]
        if head.lstrip(".ex")[:1] in {'"', "'"} and "," in head:
            words = [(word.start(1), word[1]) for word in _LISTED.finditer(text, begin, end)]
        else:
            words = [_unquoted(word) for word in _WORD.finditer(text, begin, end)]
        for place, offset, length in secrets_of(found["program"], [word for _, word in words]):
            start = words[place][0] + offset
            yield start, start + length


def _unquoted(word: re.Match[str]) -> tuple[int, str]:
    said = word.group()
    if len(said) > 1 and said[0] in "\"'" and said[-1] == said[0]:
        return word.start() + 1, said[1:-1]
    return word.start(), said


def secrets_of(program: str, words: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Which of a command's words hold a secret: (place, offset within the word, length)."""
    program = program.rpartition("/")[2]
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        if following.startswith("-"):
            following = ""
        for programs, letters, glued_only in _OPTIONS:
            if programs.match(program) is None:
                continue
            if (
                word in letters
                and following
                and not glued_only
                and _may_be(program, words, following)
            ):
                yield place + 1, 0, len(following)
            elif (
                word[:2] in letters
                and len(word) > _GLUED
                and word[:2] == "-p"
                and (glued_only or _GLUES.match(program) is not None)
            ):
                yield place, 2, len(word) - 2
        if _WITH_USER.match(program):
            yield from _of_user(place, word, following)
        if program == "openssl" and (passed := _PASSED.match(word)) is not None:
            yield place, 5, len(passed[1])
        if (
            program == "htpasswd"
            and word.startswith("-")
            and "b" in word
            and len(words) > place + 3
        ):
            yield len(words[: place + 4]) - 1, 0, len(words[place + 3])
    yield from _of_login(program, words)


def _may_be(program: str, words: Sequence[str], value: str) -> bool:
    """`docker run -p 8080:80` opens a port; a login's `-p` is a password."""
    if program.lower() in {
        "docker",
        "podman",
        "nerdctl",
        "buildah",
        "helm",
        "skopeo",
        "crane",
        "oras",
        "az",
        "oc",
    }:
        return "login" in words
    return not value.isdigit()


def _of_user(place: int, word: str, following: str) -> Iterator[tuple[int, int, int]]:
    for option in _USER_OPTIONS:
        glued = word.startswith(f"{option}=") or (
            len(option) == _GLUED and word.startswith(option) and len(word) > _GLUED
        )
        if word == option and following:
            holder, at, begin = following, place + 1, 0
        elif glued:
            begin = len(option) + (word[len(option)] == "=")
            holder, at = word, place
        else:
            continue
        sign = re.compile(r"[:%]").search(holder, begin)
        if sign is not None and not holder.startswith(("http", "/"), begin):
            end = len(holder.rstrip("\"'"))
            if end > sign.end():
                yield at, sign.end(), end - sign.end()
        return


def _of_login(program: str, words: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """`wandb login KEY`, `vault login TOKEN`; `aws configure set aws_secret_access_key VALUE`."""
    for place, word in enumerate(words[:-1]):
        value = words[place + 1]
        if word == "login" and program in {"wandb", "vault", "comet"}:
            last = next(
                (at for at in range(place + 1, len(words)) if not words[at].startswith("-")), None
            )
            if (
                last is not None
                and len(words[last]) >= _SHORTEST_KEY
                and any(map(str.isdigit, words[last]))
            ):
                yield last, 0, len(words[last])
        elif (
            program in {"aws", "git", "npm", "heroku", "kaggle"}
            and not word.startswith("-")
            and "=" not in word
        ):
            under = named(word)
            if (
                under is not None
                and word.lower() not in {"secret", "auth", "token"}
                and not value.startswith("-")
            ):
                yield place + 1, 0, len(value)

"""Names that say "what stands here is a secret", judged by their shape. Pure.

A name is split into its words (`AZURE_STORAGE_KEY`, `x-api-key`, `dbPassword`, `PGPASSWORD`), and what
it speaks of is the last of them that is no remark about version or stage. So no list of services is
needed, and a name that only contains such a word (`KEY_FIELD`, `TOKENIZERS_PARALLELISM`, `MAX_TOKENS`,
`MONKEY_PATCH`) is none. Called by the passes over texts and by the one over JSON.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from remediator.domain.late_pattern import late_pattern


class Named(Enum):
    """What a name says of its value."""

    PASSWORD = "password"  # noqa: S105  # a kind of name
    """Whatever stands here is secret, but for a reference, a state or a switch."""
    KEY = "key"
    """A token, a key, an account: numbers, paths and addresses stand here too, and are none."""


def word_set(words: str) -> frozenset[str]:
    """The words of a line, as a set: tables of words are read as lines."""
    return frozenset(words.split())


_PASSWORDS = word_set(
    "password passwords passwd passwds passphrase passphrases passcode passcodes pswd psw passw pword"
    " secret secrets requirepass masterauth userpass userpassword pepper mnemonic passkey"
)
_SHORT_PASSWORDS = word_set("pass pwd pw")  # of a name of several words: PWD alone is a folder
_KEYS = word_set(
    "token key pat auth apikey apitoken credential credentials cred creds cookie cookies jwt webhook"
    " dsn otp totp salt sas authorization authtoken authkey accesskey accesstoken secretkey privatekey"
    " identitytoken registrytoken refreshtoken bearer connstr connectionstring dockerconfigjson"
    " dockercfg authcode sshkey"
)

# What stands behind the word and takes its meaning away: `SECRET_NAME`, `TOKEN_LIMIT`, `KEY_FIELD`.
_ABOUT = word_set(
    "file files filename path paths dir directory folder name names id ids url uri type types mode modes"
    " length len size min max policy policies count counts limit limits expiry expires expired expiration"
    " expire ttl timeout field fields column columns col prompt required require enabled enable disabled"
    " disable manager version versions store backend provider providers scope scopes algorithm algorithms"
    " alg endpoint project region rotation reset label labels header headers prefix suffix format regex"
    " pattern patterns chars strength age retries attempts input stdin env var variable location ref refs"
    " reference arn selector method methods strategy kind server host hostname port user username domain"
    " realm audience issuer flow redirect callback error errors exception failed failure failures status"
    " state valid invalid missing message hint index indices idx order sep separator func function fn"
    " lambda class object schema table template rate rates budget usage embedding embeddings embed ids"
    " mask masks pos position positions ring rings map mapping dropout level probability prob logits"
    " loss accuracy set list check checker checks validator validation minutes seconds hours days interval"
    " period window bits time date at resource bucket image error code codes metrics dim dims vocab"
    " plugin module client helper proxy keyword keywords frame frames board through word"
)
# Remarks at a name's end that leave its meaning.
_REMARKS = word_set(
    "base b64 base64 plain plaintext value values val string str text raw json hex pem data content"
    " contents prod production dev devel development staging stage uat live sandbox primary secondary old"
    " new current previous prev backup default main alt test testing ci hash hashed encrypted enc literal"
    ""
)
_STAGES = word_set("prod production dev devel development staging stage uat live sandbox")
_SERVICES = word_set(
    "github gitlab bitbucket slack discord telegram teams hf huggingface openai anthropic gemini google"
    " gcp aws azure wandb comet neptune mlflow kaggle db database mysql postgres pg redis mongo mongodb"
    " smtp mail email stripe twilio sendgrid docker dockerhub registry npm pypi datadog sentry newrelic"
    " jira atlassian notion linear vault root admin user cohere mistral groq replicate pinecone ldap ssh"
    " api access auth secret private service bot"
)
_NO_KEY = word_set(
    "primary foreign sort partition cache public row group label metric metrics feature features join dict"
    " index unique config state object file image text input output target id time seed prng rng range"
    " lookup search shard column field record message event registry translation property setting attr"
    " attribute meta metadata param parameter batch loss monitor best score step sample example dataset"
    " model weight weights layer checkpoint prompt reward query attention hot arrow up down enter escape"
    " shift ctrl function any press answer legend idempotency dedup dedupe ordering document composite"
    " natural surrogate candidate super alternate first last next prev start stop end dictionary json yaml"
    " env class hash by on per missing invalid unexpected unknown duplicate extra bad no wrong sorting"
    " grouping merge distinct clustering bucket blob result data mask observation action agent value"
    " nested scope tag name gcs"
)
_NO_TOKEN = word_set(
    "pad padding eos bos unk unknown sep separator cls mask special next prev start stop begin end first"
    " last num max min added image audio video text system prompt input output completion total page"
    " continuation sync cursor pagination resume sub decoder encoder forced vocab word char per cached"
    " reasoning tool extra target source label random classification control delimiter trigger placeholder"
    " fim think unexpected illegal by every each current of the one single multi eot eom eoh mark"
    " consistency snapshot change"
)
_NO_PASS = word_set(
    "by com low high band all single multi two one first second forward backward num n max min per each"
    " data final dry full render compiler optimizer graph fwd bwd warmup epoch step train training eval"
    " validation old cwd current every last next sur tres encom under over did tests"
)
_STRINGS = word_set("string str text value values val raw data content contents literal")
_CONNECTIONS = word_set("connection conn")
_OF_ACCESS = word_set(
    "api access auth refresh bearer secret session private encryption signing ssh service account license"
)

_NEVER_AFTER = {"key": _NO_KEY, "token": _NO_TOKEN, "auth": word_set("o co un no")}
_ONLY_AFTER = {
    "keys": _OF_ACCESS,
    "tokens": _OF_ACCESS,
    "code": word_set("auth authorization verification recovery"),
    "signature": word_set("access shared goog amz"),
}
_OF_PHRASE = word_set("pass seed recovery")

_WORD = late_pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_RUN_TOGETHER = late_pattern(
    r"(?P<head>[a-z0-9]{1,40})(?P<tail>password|passwd|passphrase|secret|apikey|accesskey|secretkey"
    r"|privatekey|authkey|accountkey|signingkey|masterkey|encryptionkey|webhook|credentials|token)\Z"
)
_SHORT_TOGETHER = late_pattern(
    r"(?P<head>db|user|root|admin|my|ssh|key|store|ldap|smtp|mail|ftp|mysql|pg|sql|redis|http|login|proxy"
    r"|truststore|keystore|cert|mongo|svn|rds|imap)(?P<tail>pass|pwd|pw)\Z"
)
_KEY_TOGETHER = late_pattern(
    rf"(?P<head>{'|'.join(sorted(_SERVICES | {'license', 'licence', 'storage', 'master', 'deploy'}))})"
    r"(?P<tail>key|pat)\Z"
)
_NO_HEAD = word_set("de sub multi un pre non re mono")
_LONGEST = 200  # characters of a name that are looked at, chosen


@lru_cache(maxsize=4096)
def named(name: str) -> Named | None:
    """What `name` says of its value; None: nothing, or something harmless."""
    if names_a_webhook(name):
        return Named.KEY
    words = _words_of_name(name)
    remark = ""
    while len(words) > 1 and (words[-1].isdigit() or len(words[-1]) == 1 or words[-1] in _REMARKS):
        if words[-2] in _CONNECTIONS and words[-1] in _STRINGS:
            return Named.KEY
        remark = words.pop()
    if remark in _STRINGS and len(words) == 1 and words[0] in {"key", "token"}:
        return None  # a tokeniser's `token_str`, a map's `key_value`
    for place in range(len(words) - 1, -1, -1):
        said = _of_word(words[place], words[:place], name)
        if said is None:
            if words[place] in _ABOUT:
                return None
            continue
        behind = words[place + 1 :]
        if behind and not (said is Named.PASSWORD or behind[-1] in _SERVICES):
            return None
        return said
    return None


def names_a_webhook(name: str) -> bool:
    """Whether an address under this name is one that lets its reader post: `SLACK_WEBHOOK_URL`."""
    words = _words_of_name(name)
    while words and words[-1] in {"url", "uri", "address", "endpoint", "link", "urls"}:
        words.pop()
        if words and words[-1] == "hook":
            return True
    return bool(words) and words[-1] in {"webhook", "webhooks"}


def _words_of_name(name: str) -> list[str]:
    found = _WORD.findall(name[-_LONGEST:].replace("OAuth", "Oauth").replace("GitHub", "Github"))
    words = [word.lower() for word in found]
    if words:
        last = words[-1]
        joined = (
            _RUN_TOGETHER.match(last) or _SHORT_TOGETHER.match(last) or _KEY_TOGETHER.match(last)
        )
        if joined is not None and joined["head"] not in _NO_HEAD and last not in _KEYS:
            words[-1:] = [joined["head"], joined["tail"]]
    if len(words) > 1 and words[-2:] == ["web", "hook"]:
        words[-2:] = ["webhook"]
    return words


def _of_word(word: str, before: list[str], name: str) -> Named | None:
    """What one word of a name says, with those that stand before it."""
    near = before[-1] if before else ""
    if word in _PASSWORDS or (word == "phrase" and near in _OF_PHRASE):
        return Named.PASSWORD
    if word in _SHORT_PASSWORDS:
        whose = _SERVICES | _STAGES if word == "pwd" else _SERVICES  # `PWD_PROD`, `PASS_DB`
        alone = name in {"pass", "pw"} or not whose.isdisjoint(_words_of_name(name)[1:])
        is_one = near not in _NO_PASS if before else alone
        return Named.PASSWORD if is_one else None
    if word in _ONLY_AFTER:
        return Named.KEY if near in _ONLY_AFTER[word] else None
    if word in {"key", "pat"} and not before:
        return Named.KEY if name == "PAT" else None
    if near in _NEVER_AFTER.get(word, ()):
        return None
    return Named.KEY if word in _KEYS else None

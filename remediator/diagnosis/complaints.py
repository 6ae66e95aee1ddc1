"""What a complaint is about: what a file holds, what the job was told, or the program's own logic.

Owns the vocabularies by which a line or an exception that no signature knows is told apart: words of a file's
content (truncated, header, not in that format), words of a setting (option, directive, not installed), words of
a program's logic (null, out of bounds), the class of an exception, and the library functions below the user's
own call: a reader or a parser read a file, a parser of options read a setting. No program is named here. Pure;
called by `process_exits` and `texts`.
"""

from __future__ import annotations

import re

from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.passed_settings import (
    CALL,
    lacks_credentials,
    offers_choices,
    passes_a_setting,
)
from remediator.domain import Cause
from remediator.domain.late_pattern import late_pattern

_READ = 600  # characters of a complaint; chosen
_SLIGHT, _PLAIN, _STRONG, _SURE = 1.0, 2.0, 3.0, 4.0  # points of a cue; chosen
_LEAST = _SLIGHT  # points that say anything
_LEAST_OF_EXCEPTION = _STRONG  # points: an exception's default is the code that raised it

_INPUT, _SETTING, _LOGIC = Cause.BAD_INPUT, Cause.INVALID_CONFIG, Cause.USER_CODE_ERROR

# Folders where data lies, and names of files that hold none.
_DATA_FOLDER = r"/(?:data|datasets?|mnt|gcs|inputs?|cns|bucket|scratch|shards?)/"
_SETTINGS_FILE = (
    r"[\w./-]*\w\.(?:conf|cfg|cnf|ini|toml|properties|vcl|service|rules|tf|hcl)\b"
    r"|[\w./-]*(?:config|settings?|values|params|options)[\w-]*\.(?:ya?ml|json|xml)\b|[\w./-]*\w\.ya?ml\b"
    r"|/(?:run/)?(?:secrets?|etc)/\S+|/\.?[a-z]{2,12}rc\b"
    r"|\b(?:CMakeLists\.txt|meson\.build|build\.ninja|(?-i:SConstruct|[A-LN-Z][a-z]{2,12}file|BUILD|WORKSPACE))\b"
)
_CODE_FILE = r"[\w./-]*\w\.(?:py|pl|rb|js|ts|lua|tcl|php|go|rs|c|cc|cpp|cxx|cu|f90|f|hs|ml|scala|java|kt|swift|r|jl|awk|asm|s|sql|proto|y|l|mod|mzn|gp|lisp|erl|ex)\b"
_DATA_FILE = (
    r"[\w./-]*\w\.(?:csv|tsv|txt|jsonl?|xml|html?|parquet|avro|orc|arrow|feather|h5|hdf5?|nc|npy|npz|pkl|pickle|pt|onnx|safetensors|bin|dat"
    r"|gz|bz2|xz|zst|lz4|lzo|lzma|br|zip|tar|tgz|7z|rar|cab|warc|png|jpe?g|gif|webp|tiff?|bmp|svg|pdf|ps"
    r"|docx?|xlsx?|pptx?|odt|epub"
    r"|wav|mp3|flac|ogg|opus|m4a|mp4|mkv|avi|mov|webm|mid|fa|fasta|fna|faa|fq|fastq|bam|sam|cram|vcf|bcf"
    r"|bed|gff3?|gtf|nwk|aln|hmm"
    r"|pdb|cif|mol2?|sdf|smi|xyz|dcm|nii|mha|nrrd|fits?|las|laz|ply|stl|obj|shp|dbf|gpkg|geojson|kml|gpx|osm|pbf|mseed|sgy|db|sqlite3?|dump|lp|mps)\b"
)
_CONTENT = (
    r"files?|inputs?|archives?|headers?|footers?|records?|rows?|columns?|sequences?|alignments?|streams?"
    r"|images?|documents?|databases?"
    r"|data ?sets?|containers?|bitmaps?|frames?|chunks?|blocks?|pages?|trailers?|signatures?|formats?"
    r"|encodings?|genotypes?|samples?"
    r"|individuals?|variants?|reads?|contigs?|chromosomes?|labels?|entry|entries|bytes|characters?|tokens?"
    r"|tags?|elements?|polygons?"
    r"|magic|padding|strings?|geometr(?:y|ies)|trees?|graphs?|matri(?:x|ces)|meshe?s?|spectr(?:um|a)"
    r"|channels?|hunks?|cabinets?|playlists?|dumps?"
)
_KIND = r"(?:[\w.+/-]+ ){0,3}"
_CHOICE_NOUN = (
    r"options?|choices?|values?|backends?|solvers?|drivers?|formats?|names?|modes?|methods?|verbs?"
    r"|commands?|tasks?|targets?"
)

_DATA = Linear(rf"{_DATA_FOLDER}|{_DATA_FILE}", needs="/ .")
_SETTINGS_NAMED = Linear(_SETTINGS_FILE, needs=". file build workspace / rc")
_CONTENT_WORDS = Linear(rf"\b(?:{_CONTENT})\b")
_SETTING_WORDS = Linear(
    r"\b(?:options?|flags?|arguments?|parameters?|keywords?|sub-?commands?|verbs?|plug-?ins?|extensions?|handlers?|drivers?|credentials?|certificates?|keys?)\b",
    needs="option flag argument parameter keyword command verb plug extension handler driver credential certificate key",
)
# A value that is not of its feature's type, with where it stands, as libraries of models tell it.
_VALUE = Linear(
    r"\bbad value for \w{0,20}(?:feature|column|field)|\b(?:cannot|can't|could not|unable to|failed to) (?:convert|parse|cast) ['\"][^'\"]{1,60}['\"] (?:to|as|into) (?:an? )?(?:float|int|double|number|numeric|integer)\w*\b",
    needs="value convert parse cast",
)
# Of each cue the cause, its points, once for a text, and its words. Tuples: a class costs a cold start.
_CUES: tuple[tuple[Cause, float, Linear], ...] = (
    # --- what a file holds ----------------------------------------------------------------------------
    (_INPUT, _SLIGHT, _CONTENT_WORDS),
    (_INPUT, _SURE, _VALUE),
    (
        _INPUT,
        _STRONG,
        Linear(
            r"\b(?:truncated|corrupt\w*|malformed|premature\w*|incomplete|garbage|magic|checksum|crc)\b"
            r"|\bunexpected (?:end|eof)\b|\bend[- ]of[- ](?:file|stream|input|data|document)\b|\beof\b"
            r"|\btoo (?:short|few)\b|\bfile (?:is )?too small\b|\butf-?8 ?error\b|\bunequal ?length|\bnot enough (?:bytes|data)\b"
            r"|\b(?:read(?:ing)?|pars(?:e|ing|er)|decod(?:e|ing|er)|reader|decompress(?:ion|or)?) (?:error|failure|failed)\b"
            r"|\bmismatch(?:ed)? tag\b"
            r"|\bnot well[- ]formed\b|\bnothing to \w+|\bempty\b"
            r"|\b(?:no|0|zero) (?:valid |usable )?(?:sequences|records|reads|samples|genotypes|individuals|elements?|entries|cabinets|frames|pages|packets|streams?)\b"
            r"|\b(?:wrong|different|inconsistent|unequal) (?:number|count|length)s? of\b|\binconsistent\b"
            r"|\b(?:does|do|did) not (?:start|begin|end) with\b"
        ),
    ),
    (
        _INPUT,
        _STRONG,
        Linear(
            rf"(?:{_DATA_FOLDER}\S*|{_DATA_FILE}|\b(?:path|file|folder|directory|data ?set|archive|shard|table)\b)[^.:;]{{0,60}}\b(?:(?:does|do|did) ?(?:not|n't) (?:exist|contain|have)|(?:not|n't) (?:be )?(?:found|exist|readable)|contains? no|lacks?)\b"
            rf"|\b(?:missing|no such|not found|does not exist|could ?n[o']t find|cannot find|can't find|no)\b[^.]{{0,30}}(?:{_DATA_FOLDER}\S|{_DATA_FILE})",
            needs="exist contain have found readable lack missing such find no",
        ),
    ),
    (
        _INPUT,
        _STRONG,
        Linear(
            r"\b(?:data|schema|rows?|records?|inputs?|data ?sets?|tables?|columns?) (?:quality |integrity |contract )?(?:validation|checks?|tests?|rules?|expectations?)\b[^.]{0,20}\b(?:fail|violat|not met|did not pass|unsuccessful)"
            r"|\b(?:rows?|records?|lines?|samples?) [\d-]+ (?:is |are )?(?:invalid|bad|malformed|not valid)\b"
            r"|\bpath['\"]?: ?\[|\binstance_?path\b|\bon instance\b|@ data\[",
            needs="fail violat met pass unsuccessful invalid bad malformed valid path instance data[",
        ),
    ),
    (
        _INPUT,
        _STRONG,
        Linear(
            rf"\bnot (?:look like )?(?:in )?an? (?:valid |proper |recogni[sz]ed )?{_KIND}(?:file|archive|document|database|image|stream|record|dataset|picture|format)\b"
            rf"|\bis (?:no|not) (?:an? )?(?:valid )?(?:[\w.+/-]+ ){{0,6}}(?:file|archive|document|database|image|format)\b"
            rf"|\bnot a valid [A-Z0-9]{{2,8}}\b"
            r"|\b(?:invalid|bad|unknown|unrecogni[sz]ed|unsupported|illegal|missing|wrong|corrupt(?:ed)?) (?:\w+ ){0,2}(?:headers?|signatures?|magic|records?|data|file type|file format|archive format|stream|characters?|bytes?|encoding|sequence|token|tag|trailer|block|frame|line|row|chunk)\b"
            r"|\b(?:headers?|signatures?|magic|footer|trailer|(?:file |input |archive )?(?:type|format)|structure)\b[^.]*\b(?:not (?:be )?(?:found|recogni[sz]ed|supported|understood|match)|missing|unknown|invalid|mismatch)"
            r"|\bnot recogni[sz]ed as\b|\bcould not be recogni[sz]ed\b"
            r"|\bno (?:known|supported) (?:format|file type)\b"
        ),
    ),
    (
        _INPUT,
        _PLAIN,
        Linear(
            r"\b(?:failed|failure|failing|unable|cannot|can ?not|can't|could ?n[o']t|error|errors|problem|trouble|exception|while|when)\b[^.]*\b(?:open|read|pars|decod|decompress|uncompress|unpack|inflat|load|extract|import|process|interpret|tokeniz|scan|determin|align|identify)(?:ing|e|ed|s)?\b"
        ),
    ),
    (_INPUT, _PLAIN, _DATA),
    (
        _INPUT,
        _PLAIN,
        Linear(
            r"\b(?:at|in|on|near|around|before|after)? ?(?:line|row|record|offset|position|byte|column|char(?:acter)?)s?[ :#=]{1,2}\d"
            r"|\bcontains? (?:only )?\d+ |\bonly \d+ \w+"
            r"|\bexpected\b[^.]*\b(?:got|found|but|saw|encountered|read|received)\b|\(read \d+"
            r"|\brequires? a buffer of\b|\bbuffer (?:is |size )?(?:too small|smaller|must be a multiple)"
        ),
    ),
    # --- what the job was told, and what its image holds ------------------------------------------
    (
        _SETTING,
        _STRONG,
        Linear(
            r"\b(?:directives?|config(?:uration)?s?|settings?|command[- ]?line|switch(?:es)?|unset|env(?:ironment)?[- ]?var\w*|environment)\b",
            needs="directive config setting command switch unset env",
        ),
    ),
    (
        _SETTING,
        _SURE,
        Linear(
            r"\b(?:config(?:uration)?|settings?|credentials?|key|properties|command|parameter) files?\b",
            needs="file",
        ),
    ),
    (_SETTING, _PLAIN, _SETTING_WORDS),
    (
        _SETTING, _PLAIN, Linear(r"(?:^|[\s'\"`(=\[])(?:--[a-z][\w-]*|-[a-z])(?:$|[\s'\"`)=\],.:;])", needs="-")
    ),
    (_SETTING, _SURE, _SETTINGS_NAMED),
    (
        _SETTING,
        _STRONG,
        Linear(
            r"\b(?:as|by|run|be) root\b|\bset ?uid\b"
            r"|\bmust be (?:set|one of|run|specified|started|defined|given|positive|between)\b|\busage\b"
            r"|\bnot set\b|\bnot specif(?:y|ied)\b|\bunbound\b"
            r"|\bmissing required (?:option|argument|parameter|flag|setting)s?\b|\bmissing (?:option|flag|setting)s?\b|\bmissing argument: -"
            r"|\b(?:option|flag|setting)s? (?:is|are|was|were) (?:required|missing)\b",
            needs="root uid must usage set specif unbound missing required",
        ),
    ),
    (
        _SETTING,
        _STRONG,
        Linear(
            rf"\b(?:choose|chosen|one) (?:from|of)\b[^.]{{0,20}}[\[('\"{{]|\bplease (?:choose|select|use|pick|specify) one (?:of|from)\b|\bdid you (?:mean|specify|forget)\b"
            rf"|\b(?:available|valid|allowed|supported|known) (?:{_CHOICE_NOUN}) ?(?:are|is|:)"
            rf"|\b(?:unknown|unrecogni[sz]ed|no such|undefined|undeclared) (?:{_CHOICE_NOUN})\b"
            rf"|\b(?:unsupported|invalid) (?:options?|choices?|backends?|solvers?|drivers?|modes?|methods?|verbs?|commands?|tasks?|targets?)\b"
            rf"|\bknow how to build\b",
            needs="choose chosen one please did available valid allowed supported known unrecogni no undefined undeclared unsupported invalid",
        ),
    ),
    (
        _SETTING,
        _SURE,
        Linear(
            r"\bnot (?:been )?installed\b|\bcommand not found\b|\b(?:can't|cannot|could not|unable to) find (?:the )?(?:command|executable|program|binary)\b|\b(?:in|on) (?:the |your |\$)?PATH\b"
            r"|\bno executable\b|\bexecutable\b[^.]*\bnot found\b|\bcould not locate\b[^.]*\bexecutable\b"
            r"|\bmissing (?:dependency|dependencies|packages?|librar(?:y|ies)|executables?|programs?|modules?|plug-?ins?|drivers?)\b"
            r"|\b(?:dependency|package|library|plug-?in|driver|module|tool)\b[^.]*\b(?:not (?:be )?(?:found|loaded|available|installed)|missing|required)"
            r"|\bcannot open shared object\b|\bshared librar(?:y|ies)\b"
            r"|\.h(?:pp)?['\">]?(?: file)?:? (?:no such file|not found)"
            r"|\bno (?:handler|decoder|encoder|codec|plug-?in|driver|backend) for\b",
            needs="install found path executable missing depend package librar plug driver module tool shared .h no",
        ),
    ),
    # --- the program's own logic --------------------------------------------------------------------
    (
        _LOGIC,
        _SURE,
        Linear(
            r"\bassert\w*|\bnull pointer\b|\bnil value\b"
            r"|\bundefined (?:method|function|reference|symbol|variable)\b|\bis (?:not |un)defined\b"
            r"|\bout of bounds\b|\bsubscript\b|\bindex '?-?\d+'? (?:of|is out)|\bdivision by zero\b"
            r"|\bdivide by zero\b"
            r"|\bstack (?:overflow|trace)\b|\bsegmentation\b|\bunhandled\b|\bpanic\b|\binternal error\b"
            r"|\btype error\b|\bnot callable\b|\bno such (?:method|function|variable)\b"
            r"|\b(?:unknown|undefined) (?:procedure|predicate)\b|\battribute '|\bhas no attribute\b"
            r"|\bnot enough arguments in call\b|\bruntime error\b",
            needs="assert null nil undefined defined bounds subscript index zero stack segment unhandled panic internal type callable such attribute arguments runtime",
        ),
    ),
    (_LOGIC, _STRONG, Linear(rf"{_CODE_FILE}(?::\d|[ (:,]{{1,3}}line \d|\(\d)", needs=".")),
    (_LOGIC, _PLAIN, Linear(r"\bcompil(?:er|ation)\b[^.]*\bfail", needs="compil")),
    (_LOGIC, _SLIGHT, Linear(r"\bsyntax error\b|\bexception\b|\bunexpected (?:symbol|token)\b", needs="syntax exception unexpected")),
)  # fmt: skip


def _points(text: str) -> dict[Cause, float]:
    points = {_INPUT: 0.0, _SETTING: 0.0, _LOGIC: 0.0}
    for cause, added, words in _CUES:
        if words.is_in(text):
            points[cause] += added
    return points


def names_data(text: str) -> bool:
    """Whether a text names a file of data, by its folder or its ending."""
    return _DATA.is_in(text)


def names_settings(text: str) -> bool:
    """Whether a text names a file of settings, or the recipe of a build."""
    return _SETTINGS_NAMED.is_in(text)


def names_a_record(text: str) -> bool:
    """Whether it names a place in data by its number, or what data are made of, and no file of settings."""
    head = text[:_READ]
    return _RECORD.is_in(head) and not _OF_SETTINGS.is_in(head)


_RECORD = Linear(
    rf"\b(?:line|row|record|sample|entry|field|column)s? ?#?:? ?\d+\b|{_DATA_FILE}:\d+\b"
    r"|\b(?:unknown|unrecogni[sz]ed|unexpected|unsupported|invalid|illegal|bad|duplicate) (?:character|element|symbol|residue|base|atom|record|byte|sequence|nucleotide|chromosome|genotype|allele|cell|tag|magic|header|chunk|marker|glyph|opcode)s?\b"
    r"|\bin (?:the )?(?:data|input) (?:file|line|row)\b",
    needs="line row record sample entry field column . unknown unrecogni unexpected unsupported invalid illegal bad duplicate data input",
)
_OF_SETTINGS = Linear(
    rf"{_SETTINGS_FILE}|\b(?:config(?:uration)?|settings?|options?|directives?)\b",
    needs=". config setting option directive / rc",
)


def weighs_settings(text: str) -> bool:
    """Whether a text speaks of settings plainly more than of what a file holds, or of a program's logic."""
    points = _points(text[:_READ])
    named_alone = points[_SETTING] == _SURE and names_settings(text)
    return not named_alone and points[_SETTING] >= max(points[_INPUT] + _PLAIN, points[_LOGIC] + 1)


def cause_of_line(text: str, otherwise: Cause) -> Cause:
    """What a program's last words are about; `otherwise` where they do not say."""
    points = _points(text[:_READ])
    most = max(points.values())
    if most < _LEAST:
        return otherwise
    if most < _PLAIN and otherwise is _LOGIC:
        return otherwise  # a word that data have in common with all else says little of the job's own program
    return next(cause for cause in (_SETTING, _INPUT, _LOGIC) if points[cause] == most)


# Classes of exceptions, by a part of the name (the case is the language's): what a reader raises of a file, ...
_READER_CLASS = Linear(
    r"(?:[a-z.]|^)(?:Pars(?:e|er|ing)|Decod(?:e|er|ing)|Decompress\w*|Format|Corrupt\w*|Truncat\w*|Malformed|Bad\w*File|Tokeniz\w*|Unpack\w*|Unpickling|Deserializ\w*|Reader|Lex(?:er|ing)|Scanner|Expat|Incomplete|Checksum|Validation|Schema"
    r"|Unexpected(?:Input|Char\w*|Token|E[Oo]F|End)|Invalid\w*(?:File|Data|Header|Record|Image|Dicom|Archive|Signature|Footer|Magic))\w*$"
    r"|(?:^|\.)(?:[A-KM-Z]+|\w*[a-z]|(?:HT|X|YA|TO|S?G)ML)SyntaxError$|Decode(?:EOF|Error)"
    r"|(?:^|\.)(?:(?:File|Directory|Path|Data[Ss]et)NotFound|NoSuchFile|DirectoryNotFound)\w*$"
    r"|(?:^|\.)\w*(?:BadZip|Bad7z|NotA\w+File|NotAn\w+)\w*$",
    ignore_case=False,
)
# Formats of data, of which a module or a class bears the name.
_OF_A_FORMAT = Linear(
    r"z(?:ip|lib|std|lma)|lz(?:ma|4|o|w)|brotli|snappy|bz2|deflate|json|xml|html|csv|avro|parquet|protobuf"
    r"|pickle|msgpack|cbor|bson|wave?\b|png|jpe?g|tiff|pdf|dicom|hdf|netcdf|fits|vcf|bam\b|fast[aq]"
    r"|shapefile|wk[tb]\b",
)
_READERS = Linear(
    r"(?:IO|File|Read|Load|Archive|Data|Stream|Geometry|Driver)\w*$", ignore_case=False
)
# ... and what is raised of a setting.
_SETTING_CLASS = Linear(
    r"(?:Config|Setting|Option|Usage|BadParameter|MissingParameter|Environ|EnvVar|UndefinedValue|MissingSection|NoSection|MissingMandatory|PackageNotFound|DistributionNotFound|PluginNotFound|NoSuch(?:Driver|Plugin|Executable|Command|Option|Backend|Module)|Credential|Executable|ZoneInfo|TimeZone|(?:(?:^|\.)|Invalid|Unknown|Bad)CRS|(?:Bad|Invalid|Malformed)(?:D[Ss][Nn]|Connection[Ss]tring|Endpoint|Region|Cron|Address)|Expression|Formula|Regex|Glob|Cron)\w*$",
    ignore_case=False,
)
# Bugs, whatever their message says, and what has rows of its own.
_BUG_CLASSES = frozenset(
    [
        "AttributeError",
        "NameError",
        "UnboundLocalError",
        "ImportError",
        "ModuleNotFoundError",
        "SyntaxError",
        "IndentationError",
        "TabError",
        "AssertionError",
        "NotImplementedError",
        "RecursionError",
        "ZeroDivisionError",
        "FloatingPointError",
        "MemoryError",
        "TimeoutError",
        "PermissionError",
        "BrokenPipeError",
        "FileExistsError",
        "ArgumentTypeError",
        "KeyboardInterrupt",
        "SystemExit",
        "StopAsyncIteration",
        "CancelledError",
        "TimeoutException",
    ]
)
_IMPORTS = frozenset(["ImportError", "ModuleNotFoundError"])
# What the image lacks, in the words of whoever needs it: a program, a plug-in, an optional package.
_NOT_INSTALLED = Linear(
    r"\b(?:is|are|was|were) ?n[o']t (?:yet |been |currently )?installed\b|\bnot installed\b"
    r"|\b(?:pip3?|conda|mamba|poetry|uv|apt(?:-get)?|yum|apk|brew|npm|gem|cargo) (?:install|add)\b|\binstall\.packages\("
    r"|\b(?:please |must |to |should )(?:be )?install(?:ed)?\b|\boptional dependenc(?:y|ies)\b"
    r"|\b(?:cannot|can ?not|can't|could not|unable to|failed to) (?:execute|exec|run|launch|spawn) (?:program |command |executable |the )?['\"`]?[\w./+-]{2,80}['\"`]?\W*$"
    r"|\b(?:can't|cannot|could not|unable to) find (?:the )?(?:command|executable|program|binary)\b"
    r"|\bexec(?:utable)?(?: file)?: \S+:? (?:executable file )?not found|\bexecutable file not found\b"
    r"|\bspawn \S+ ENOENT\b|\bno such (?:command|executable|program)\b"
    r"|\b(?:can't|cannot|can ?not|could not|couldn't|unable to|failed to) (?:open|load|find|locate|obtain|import) (?:the |an? |any )?(?:[\w-]+ ){0,3}(?:libs?\b|lib[a-z]\w+|librar(?:y|ies)|drivers?|plug-?ins?|shared objects?|native \w+)"
    r"|\bcannot open shared object|\bno suitable (?:driver|librar\w+|plug-?in)|\bdata source name not found|\b(?:plug-?in|driver|librar(?:y|ies)) (?:\w+ )?(?:was |were )?not (?:be )?found",
    needs="install depend execut exec run launch spawn find such lib driver plug shared native source",
)
_BUG_PARTS = ("EncodeError", "OutOfMemory", "ConnectionError", "ConnectionRe", "ConnectionAb")
_BUILTIN = frozenset(
    {
        "ValueError", "OSError", "IOError", "EOFError", "IndexError", "KeyError", "UnicodeError", "OverflowError",
        "RuntimeError", "StopIteration", "LookupError", "Exception", "TypeError", "FileNotFoundError", "Error", "error",
    }
)  # fmt: skip
_WRONG_ARGUMENT = late_pattern(
    r"unexpected keyword|positional|missing \d|NoneType|must be|expected (?:str|bytes)|\bnot '?\w+'?$"
    r"|unsupported operand|argument|unhashable|not (?:iterable|callable|subscriptable)",
    re.IGNORECASE,
)
_READS = Linear(
    r"(?:^|[/ ._])(?:im|f|dcm|np|lib)?(?:read|load|genfrom|open|pars(?:e|ing)|decod|decompress|uncompress|unpack|unpickl|deserial|extract|inflat|tokeniz|scan(?:ner|_|$)|lexer|detect|from_?(?:file|buffer|bytes|string|wk[tb]|json|ical|stream)|get_data\b|initfp)\w*",
)
_READS_NO_FILE = Linear(
    r"urlopen|socket|ssl\.|http|request|connect|import"
    r"|load_(?:state|library|module|class|backend|plugin|entry)|dlopen|ctypes|subprocess|threading"
    r"|concurrent|dataloader|_utils\.",
)
_SETS = Linear(
    r"\bconfig|config\b|settings\b|argparse|optparse|\bclick\b|decouple|environs?\b|\bos\.__getitem__"
    r"|frozen\.os|credential|google-?auth|service_account|\boptions?\b|zoneinfo|_execute_child|crs\b",
)


def reads_settings(below: str) -> bool:
    """Whether the library's functions below the user's own call read options, settings or the environment."""
    return bool(below) and _SETS.is_in(below)


def lacks_a_part(text: str) -> bool:
    """Whether it says that a program, a plug-in or an optional package is not installed."""
    return _NOT_INSTALLED.is_in(text[:_READ])


def cause_of_exception(text: str, below: str, call: str = "") -> Cause | None:
    """What an exception (`name: message`) is about, where that is a file or a setting; None: the code that raised it.

    `below`: the library's functions below the user's own call; `call`: that line of source; as `Raised` holds them.
    """
    head = text[:_READ]
    name, _, message = head.partition(": ")
    name = name.rpartition(" ")[2].replace("::", ".")
    plain = name.rpartition(".")[2]
    if plain == "AssertionError" and not message:
        return _INPUT if _ASKS_FOR_A_FILE.search(call) else None
    called = below or _compiled_call(call, plain)
    reads = _reads(called, call)
    passed = not reads and (offers_choices(message) or passes_a_setting(below, call))
    no_bug = plain in _IMPORTS or plain not in _BUG_CLASSES
    of_others = _OTHERS.is_in(_ADDRESS_SETTING.sub("", head))
    if no_bug and ((lacks_a_part(head) and not of_others) or lacks_credentials(head)):
        return _SETTING
    if _is_bug(plain, reads=reads) or not name.replace(".", "").isidentifier():
        return None
    if of_others:
        return None
    sets = passed or reads_settings(below)
    of_an_argument = name == "TypeError" and (not reads or _WRONG_ARGUMENT.search(message))
    if of_an_argument or (name == "KeyError" and not (reads or sets)):
        return None
    of_library = bool(called) or name.startswith("std.")
    return _weighed(name, below, message, reads=reads, sets=sets, of_library=of_library)


def _is_bug(plain: str, *, reads: bool) -> bool:
    if any(part in plain for part in _BUG_PARTS):
        return True
    return plain in _BUG_CLASSES and not (reads and plain in _OF_WHAT_IS_READ)


def _weighed(
    name: str, below: str, message: str, *, reads: bool, sets: bool, of_library: bool
) -> Cause | None:
    builtin = name in _BUILTIN
    reader = not builtin and _READER_CLASS.is_in(name)
    setting = not builtin and _SETTING_CLASS.is_in(name) and not _DATA.is_in(message)
    if (reader or reads) and _SETTINGS_FORMAT.is_in(f"{name} {below} {message}"):
        setting = not _DATA.is_in(message)
    named = reader or reads or setting or sets
    of_a_format = not builtin and _OF_A_FORMAT.is_in(name)
    if not (named or of_a_format or any(words.is_in(message) for words in _SPEAKS)):
        return None
    points = _points(message)
    points[_INPUT] += _STRONG * reader + _STRONG * reads
    points[_INPUT] += _SLIGHT * (not builtin and _READERS.is_in(name))
    points[_INPUT] += _PLAIN * of_a_format
    points[_SETTING] += _SURE * setting + _SURE * sets
    if reads and name.rpartition(".")[2] in _OF_WHAT_IS_READ:
        points[_LOGIC] = 0.0  # what was read had fewer parts than its format promises
    if (setting or sets) and reader:
        points[_SETTING] += points[_INPUT]
    least = _LEAST_OF_EXCEPTION if named else _LEAST_OF_LIBRARY if of_library else _LEAST_OF_OWN
    if points[_SETTING] >= max(least, points[_INPUT]) and points[_SETTING] > points[_LOGIC]:
        return _SETTING
    if points[_INPUT] >= least and points[_INPUT] > points[_LOGIC]:
        return _INPUT
    return None


# What a reader raises that meets other data than its format promises, and the user's own code as a bug.
_OF_WHAT_IS_READ = frozenset(
    {
        "SyntaxError", "IndexError", "KeyError", "ValueError",
        "ZeroDivisionError", "StopIteration", "EOFError", "OverflowError",
    }
)  # fmt: skip
# What an operator of the language raises in the line itself, whatever is called there besides.
_OF_AN_OPERATOR = frozenset(
    ["IndexError", "KeyError", "TypeError", "ZeroDivisionError", "StopIteration"]
)
_STATES_ITSELF = late_pattern(r"\s*(?:raise|assert)\b")
_ASKS_FOR_A_FILE = late_pattern(r"\b(?:exists|isfile|is_file|isdir|is_dir)\(")
# A call whose first argument is a file of data: `Reader("/data/a.bin")`, `for one in iter(Reader('/data/a.bin')):`.
_IS_HANDED_A_FILE = Linear(
    rf"^(?:[\w, .]+ = |return |yield |with |for [\w, ()]+ in )?(?:(?:print|len|list|iter|next|dict|set|sorted)\()*[a-z_][\w.]*\([rbf]?[\"'][^\"']*(?:{_DATA_FOLDER}|{_DATA_FILE})"
)

_WRITES = Linear(r"write|writer|save|dump|export|\bto_\w|creat|[\"'](?:w|wb|wt|a|ab|x)[\"']")


def _reads(called: str, call: str) -> bool:
    """Whether what raised it is a reader by the names of its functions, or was handed a file of data."""
    if not called:
        return False
    if _READS.is_in(called) and not _READS_NO_FILE.is_in(called):
        return True
    return _IS_HANDED_A_FILE.is_in(call) and not _WRITES.is_in(call)


def _compiled_call(call: str, plain: str) -> str:
    """The functions called in the line in which an exception was raised without a frame of its own: one of them is
    compiled, and raised it. Empty where the line itself raises it.
    """
    if plain in _OF_AN_OPERATOR or _STATES_ITSELF.match(call):
        return ""
    return " ".join(name for name in CALL.findall(call) if name not in _OPENS)


_OPENS = frozenset(["open", "io.open", "os.open"])  # what they meet has rows of its own


# Devices, versions, connections, rights, memory and disks have rules of their own.
_ADDRESS_SETTING = late_pattern(r"\bconnection (?:string|ur[il])\b", re.IGNORECASE)
_OTHERS = Linear(
    r"\b(?:gpus?|cuda|nvidia|nvml|rocm|opencl|tpus?|accelerators?|devices?|nccl|xla|connections?|sockets?|peer|timeout|timed out|refused|permission|denied|unauthorized|forbidden|out of memory|no space)\b"
    r"|cuda|\bincompatib\w*"
)
_SPEAKS = (_CONTENT_WORDS, _SETTING_WORDS, _DATA, _VALUE)
_SETTINGS_FORMAT = Linear(r"toml|ya?ml|(?:^|[ ._/])ini\b|configparser|dotenv|\bhcl\b")
_LEAST_OF_LIBRARY = _SURE  # points: what a library raises below a call that names no reader
_LEAST_OF_OWN = 5.0  # points: what the user's own code raises; chosen

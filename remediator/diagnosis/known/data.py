"""Signatures of data that cannot be read or parsed, or is not there.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Place, Signature
from remediator.diagnosis.signs import DECISIVE, FAIR, STRONG
from remediator.domain import Cause

_BATCH = "cloud.google.com/vertex-ai/docs/predictions/get-batch-predictions"
_CODES = "cloud.google.com/apis/design/errors"
_STORAGE = "cloud.google.com/storage/docs/troubleshooting"
_BIGQUERY = "cloud.google.com/bigquery/docs/error-messages"

INPUT: tuple[Signature, ...] = (
    Signature(
        "input-import",
        Cause.BAD_INPUT,
        DECISIVE,
        r"(target|label|column)s? [^.]{0,60}(has to|have to|must|should) contain|(example|row|line|record|instance|document) \d+ of \d+|failed to import data|invalid (training |input |test |validation )data\b|data error|(only|but) \d+ (rows|examples|items|images|documents) (were|was)|too (few|many) (rows|examples|columns|labels|images|documents|records)|at least \d+ (rows|examples|images|documents|labels|instances|records)|failed to process element|(row|line|record) \d+ (has|have|contains)|(input|instances?|data|dataset|row|record|line|csv|jsonl?|tfrecord|avro|parquet|table|example)s? [^.]{0,60}((could|can) ?not be|cannot be|failed to( be)?|unable to( be)?) (pars|read|import|convert|decod|process|load|deserializ|coerc)(ed?)?"
        r"|(failed|unable|cannot|could not|error|fails) (to |while |in )?(pars|decod|deserializ|convert|coerc|import|interpret)(e|ing|es)? [^.]{0,80}(instance|input|data|row|record|line|csv|json|file|value|string|example|image|request|schema|tfrecord|avro)"
        r"|input (data|file|dataset|instances?|uri|source|format|path|table)s? [^.]{0,80}(invalid|empty|missing|not (found|valid|exist|accessible|enough)|does ?n[o']t|malformed|corrupt)",
        _BATCH,
        explains=(
            "code-exception",
            "config-argument",
            "config-field",
        ),
    ),
    Signature(
        "bad-input-missing",
        Cause.BAD_INPUT,
        DECISIVE,
        r"no such object|(gs://|/gcs/|s3://|bq://|https?://storage\.)[^ ]* ?[^.]{0,60}(not found|does ?n[o']t exist|no such file|not exist|matched no|is empty|unreadable|not match|could not be found|missing)"
        r"|(not found|does ?n[o']t exist|no such file|no files?|could not find|cannot find|unable to find|missing|failed to (open|read|find))[^.]{0,80}(gs://|/gcs/|s3://|storage\.googleapis\.com)"
        r"|\b(no|zero|0) (valid |input |usable )?(files|objects|input files|records|rows|examples|instances|samples|images|data)( were| was)? (found|match|matched|in|at|to)|match(ed|es)? no (files|objects)|(does|did) not match any (files|objects)|404 (get|post) https://storage\.googleapis\.com|specified bucket does not exist|nosuchkey|nosuchbucket|not found: (table|dataset|job|uri|files?)|file ?pattern [^.]{0,80}(no|not|match)",
        _STORAGE,
        explains=(
            "config-not-found",
            "config-404",
            "code-file",
            "config-region",
            "code-exception",
            "config-field",
        ),
    ),
    Signature(
        "bigquery-sql",
        Cause.BAD_INPUT,
        STRONG,
        r"syntax error: (expected|unexpected|unclosed|illegal)|unrecognized name: |no matching signature for|invalidquery|name [`'\"]?\w+[`'\"]? not found inside|error while reading (data|table)|csv table (encountered|references)|too many errors(, giving up| encountered)|provided schema does not match|cannot (query|coerce|cast)|bad (int64|double|timestamp|numeric|bool) value|column [^.]{0,80}(not found|is not present|does not exist|missing)|missing (required )?(field|column|feature|key|struct property|property)s?\b|no such field",
        _BIGQUERY,
        explains=(
            "config-field",
            "code-exception",
            "config-argument",
        ),
    ),
    Signature(
        "input-code",
        Cause.BAD_INPUT,
        STRONG,
        r"\b(code|status)\W{0,3}3\b",
        _CODES,
        places=Place.ROW,  # a custom job whose replica exits carries code 3 too
        symptom=True,
    ),
    Signature(
        "input-rows",
        Cause.BAD_INPUT,
        STRONG,
        r"invalid (json|instance|input|row|record|csv|data|image|tfrecord|utf-?8|base64|jsonl)|(json|jsonl|csv) (parse|parsing|decode|decoding) (error|failed)|malformed|not a valid (json|image|csv|instance|jpeg|png|tfrecord)|valid_?instances|unable to (decode|read) image",
        _BATCH,
        places=Place.ROW | Place.ERROR,
        symptom=True,
    ),
)

DATA: tuple[Signature, ...] = (
    Signature(
        "data-parse",
        Cause.BAD_INPUT,
        DECISIVE,
        r"ended before the end[- ]of|before end[- ]of[- ](stream|file)|unexpected end of (the )?(file|data|input|stream|archive|zip|gzip)|(end[- ]of[- ]file|eof) marker|ran out of input|\bnot sorted\b|\bunsorted\b|\bout of order\b|jsondecodeerror|json\.decoder|unicodedecodeerror|codec can'?t decode|error tokenizing data|parsererror|emptydataerror|no columns to parse|expecting value: line|extra data: line|unterminated string|unidentifiedimageerror|cannot identify image|image file is truncated|truncated (file|image|record|data|jpeg)|(was|is|were|been) truncated\b|badzipfile|not a (gzip|zip|parquet|hdf5|valid)[^.]{0,20}file|bad magic number|invalid load key|is it an? [a-z]+ file|premature end of (jpeg|image|file|data|png)|invalid (jpe?g|png|gif|webp|bmp|tiff|wav|mp3|flac|video|audio) (data|file|header)|uncompress failed|deserializing header|headertoolarge|invalidheader|(provided|input|given) (image|video|audio|document|file) is (not valid|invalid)|format not recogni[sz]ed|cannot read header|!_?\w+\.empty\(\)|while (tokeniz|pars|read|decod|process)ing (row|line|record|file|image|instance|example)\b|file signature not found|time data '[^']*' does not match format|parquet magic|arrowinvalid|datalosserror|data ?loss|incorrect header check|error -3 while decompressing|invalid (block|stored|distance)|corrupt(ed)? (record|file|data|image|input|jpeg|row)|file is corrupt|malformed (line|row|record|json|csv|input|csv)|could not convert string to|invalid literal for (int|float)|cannot convert (string|str|non-finite)|could not parse|unable to parse|failed to parse|parse error|(input|label|target|data|feature|array)s? (\w+ )?contains? (nan|infinity|inf\b)|contains? (nan|null|missing) values?|empty (csv|file|dataset|dataframe|input)|dataset is empty|(no|zero) (training |valid )?(samples|examples|rows|records|images)|found array with 0 sample|n_samples=0|num_samples=0|malformedinputexception|invalid (csv|json|parquet|avro|tfrecord|image)|csv parse|sparkexception: malformed",
        "pandas.pydata.org",
        explains=("code-exception",),
    ),
    Signature(
        "data-features",
        Cause.BAD_INPUT,
        STRONG,
        r"features?, but [^.]{0,60} (is )?expecting|feature(_| )?(names?|shape)[^.]{0,40}(mismatch|should match|must match|unseen|missing)|columns? (are )?missing|(not|none of [^|]{0,120} are) in (the )?\[?(index|columns)\b|(column|field|feature)s? ['\"`\[][^.]{0,60}(not found|missing|is missing|does not exist|not in)|schema (mismatch|does not match|validation)|(does|do) not match (the |its )?([a-z'-]+ )?(input |expected |table )?(schema|signature)|number of (columns|features)[^|]{0,60}(must|should|does not|do not|match|expected|differ|mismatch)|expected \d+ (columns|fields|features),? (but|got|found|saw|received)|has \d+ features?[^|]{0,60}expect(ing|ed)|(features?|shape)\b[^|]{0,60}(at|during|than|in) (the )?(fit|train)|not have enough (training )?(samples|examples|rows|items|images)|no (positive|negative) (class|samples|examples)|(label|target)s? -?[\d.]+ (encountered|is out)|wrong number of (columns|fields|items)|(input|data|row|record|instance|example|jsonl?|csv|file|dataset)s? ([^ ]+ ){0,3}(must|should) (have|contain|follow|include|match|conform)\b|y contains previously unseen labels|unknown categor|feature: [^ ]+ \(data type|can't parse serialized example|labels? (out of range|must be)|invalid (label|class|target)s?|instances? (must|should|is|are) (not )?(an? |be )?(valid|invalid|list|array|dict|object|missing|malformed|base64|empty|null)|does not have named input|signature_def|field required|missing required (input|field|key)|input (to|tensor)[^.]{0,60}(missing|not found|invalid)|unexpected instance",
        "scikit-learn.org",
        explains=(
            "config-field",
            "code-exception",
        ),
    ),
)

TOOLS: tuple[Signature, ...] = (
    Signature(
        "tool-input",
        Cause.BAD_INPUT,
        FAIR + 0.5,
        r"incompatible contigs|a user error has occurred|in a format that can|(unknown|unsupported|unrecogni[sz]ed) (file |input |archive )format|not in (gzip|bgzf|bam|sam|cram|vcf|fasta|fastq|bed) format|\[[ew]::[a-z_0-9]+\][^|]{0,40}(fail(ed)? to (open|locate|load|read|parse|find)|could not|couldn't|no such|invalid|unsorted|truncated|not (a|in|found)|unknown|unexpected|corrupt|missing)|(paired )?reads have different names|(fail(ed)? to|could not|couldn't|cannot|can't|unable to) (locate|find|open|load) (the |an? |any )?([\w.-]+ ){0,3}(index|reference|header|fasta|fastq|bam|vcf|bed|annotation)s?\b|(out of step|out of sync|different (number|names|lengths?))|(sequence and quality|quality and sequence|quality string)|chromosome[^|]{0,60}(not found|missing|mismatch)|contigs? [^|]{0,60}(not found|mismatch|missing|incompatible)",
        "github.com/samtools/htslib",
    ),
    Signature(
        "tool-pipe",
        None,
        0.0,
        r"(failed to read|fail to read|error reading|no data|empty|truncated|eof)[^|]{0,40}(\"-\"|'-'|stdin|standard input|pipe)|broken pipe",
        "man7.org/linux/man-pages/man7/pipe.7.html",  # whoever wrote into it is the one that failed
        explains=("tool-input", "data-parse", "input-import"),
    ),
)

ROWS: tuple[Signature, ...] = (
    Signature(
        "data-dimensions",
        Cause.BAD_INPUT,
        DECISIVE,
        r"expect(ed|ing|s)? (a )?\d ?-?(d\b|dimension(al)?)|got \d ?-?d(imensional)? array",
        "scikit-learn.org",
        explains=("torchserve-prediction", "code-exception", "code-shapes"),
        places=Place.ROW,
    ),
)

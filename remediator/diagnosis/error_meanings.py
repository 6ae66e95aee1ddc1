"""What the words of an error statement mean, whatever program says them: rights, settings, data, or code.

Owns one table of words, asked from the narrowest meaning to the widest. Words that tell nothing mean nothing.
Pure; called by `process_exits`.
"""

from __future__ import annotations

from collections.abc import Collection

from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.reported_status import cause_of_reported_status
from remediator.diagnosis.weighted_evidence import WeightedEvidence
from remediator.domain import Cause

_READ = 700  # characters of a statement; chosen

_RIGHTS = Linear(
    r"\b(?:permission|access|authori[sz]ation|privilege) (?:is |was )?denied"
    r"|\bnot (?:authori[sz]ed|authenticated|logged in|(?:permitted|allowed) to (?:access|connect|read|write|perform|use|open|do)\b)"
    r"|\boperation not permitted"
    r"|\baccess to [^.:]{1,80}(?:\.\w+[^.:]{0,20})?(?:is |was )denied|\b(?:pull|push|read|write|admin) access\b|\blacks? access\b"
    r"|unauthori[sz]ed|\bforbidden\b"
    r"|\bauth\w{0,16} (?:is |was )?(?:failed|failure|required|error|rejected|unsuccessful|denied)"
    r"|\b(?:wrong|incorrect|invalid|bad|missing|expired) (?:user ?name|password|passphrase|credentials?|(?:access |auth\w* |api )?token|api[- ]?key|(?:secret|access) key|login|signature key)\b"
    r"|\bpassword (?:is |was )?(?:incorrect|wrong|required|mismatch)"
    r"|\bno (?:\w+ly |active |valid |usable |default |secret |private |decryption |matching )+(?:account|credentials?|identity|keys?|password|token)\b"
    r"|\bno (?:credentials?|password|identity)\b|\blog ?in (?:failed|incorrect|required|denied)"
    r"|\b(?:http|status|error|code)\W{0,3}40[13]\b|\b40[13] (?:unauthori|forbid)"
    r"|\b(?:token|session|credentials?|password|account|api[- ]?key)\b[^.]{0,20}\b(?:has |have |is |are )?expired\b|\bexpired ?token"
    r"|\bcredentials? (?:not|were not|could not|have expired|expired|missing)"
    r"|\b(?:insufficient|missing|lacks?|no) (?:the )?(?:privileges?|permissions?|access rights|rights|scope)"
    r"|\b(?:api[-_ ]?key|(?:access|auth\w*|api|bearer|refresh|security|session|id)[-_ ]token|password|passphrase|credentials?|(?:secret|access)[-_ ]?key(?:[-_ ]id)?)s?\b[^.]{0,30}\b(?:is |are |was |were )?(?:not valid|invalid|incorrect|wrong|revoked|disabled|rejected|not recogni[sz]ed)\b"
    r"|\b(?:no|invalid|missing|expired|single-use|size-limited|another|your|the) (?:\w+ )?licen[sc]e\b[^.:]{0,40}\b(?:found|expired|invalid|in use|not|limit\w*|exceed\w*|denied)\b|\blicen[sc]es?\b[^.:]{0,40}\b(?:expired|not (?:be )?(?:found|valid|available)|denied|error|fail\w*|exceed\w*|does not (?:match|allow|permit)|do not allow)\b|\b(?:single-use|size-limited|no valid) licen[sc]e\b|\bunlicensed\b"
    r"|\bread-?only (?:file ?system|database|directory|folder|mount|volume|medium)|\berofs\b|\b(?:not|un|non-?)[- ]?writ(?:e?able)\b|\bcheck (?:\w+ )?permissions?\b"
    r"|\b(?:can ?not|can't|could not|couldn't|unable to|failed to|not able to) (?:access|create|make|mkdir|write(?: to)?|lock|chdir to|initiali[sz]e|obtain|acquire) (?:the |an? |its )?(?:[\w-]+ ){0,3}(?:[a-z]*dirs?|director(?:y|ies)|folders?|lock ?files?|pid ?files?|log ?files?|node locks?)\b"
    r"|\b(?:dirs?|director(?:y|ies)|folders?)\b[^.:]{0,60}\b(?:can ?not|could not|can|cannot) be (?:created|written|accessed|validated|locked)"
    r"|\b(?:access )?keys?(?: id)?\b[^.]{0,40}\bdo(?:es)? ?(?:not|n't) exist\b|\b(?:role|account|principal|login|identity) [^.]{0,40}\b(?:does not exist|is (?:disabled|locked|suspended))|\bhost key verification failed\b|\bno pg_hba"
    r"|\bunable to open (?:the )?database(?: file)?(?:\W*$|\W{1,3}\()"
    r"|active account|invalid[_ ](?:grant|credentials|client)|signaturedoesnotmatch|invalidaccesskeyid"
    r"|nopasswordgiven|\b(?:token|account|session|key|credentials?|user|auth)_(?:revoked|expired|inactive|disabled|invalid|rejected)\b|\b(?:invalid|not)_auth(?:ed)?\b"
    r"|\b(?:write|writing) (?:to )?(?:a |the )?read-?only\b"
)
_ELSEWHERE = Linear(
    r"\b(?:can(?:no|')t|can not|could not|couldn't|unable to|failed to|failure to) (?:connect|contact|reach|establish|query|poll|ping) "
    r"|\b(?:can(?:no|')t|can not|could not|couldn't|unable to|failed to|failure to) (?:connect|contact|reach|establish)"
    r"|\bconnect(?:ion)?\b[^.]{0,80}\b(?:refused|reset|closed|lost|aborted|broken|failed)"
    r"|\bfailed to connect"
    r"|\b(?:server|service|cluster|database|broker|node|host|vault|leader|primary|endpoint|replica)\b[^.]{0,40}\b(?:unavailable|is (?:down|busy|sealed|not running|locked|overloaded|read[- ]?only|shutting down|starting up|unreachable)|in (?:maintenance|recovery|read[- ]?only))"
    r"|\bno (?:primary|leader|quorum|brokers?|servers?|replica)\b[^.]{0,30}\b(?:available|found|elected|reachable)"
    r"|\bservice unavailable|\btemporar(?:y|ily)\b|\btry again later"
    r"|\bin (?:safe|maintenance|recovery|read[- ]?only) mode|\bshutting down by (?:request|administrator)"
    r"|\bconnect(?:ion)? (?:is |was |has )?gone\b|\b(?:server|peer|host) has gone away\b"
    r"|\bempty reply from\b|\bserver returned nothing\b"
    r"|\bconnect error\b|\bbad gateway|\bserver (?:closed|hung up|disconnected)|\bdatabase is locked"
    r"|\b(?:lock (?:is |wait|file is )|already )(?:held|locked|timeout)"
)
_OF_A_SERVER = Linear(
    r"\b(?:status|response|answer(?:s|ed)?|http(?: error)?)(?: code)?\W{0,3}50[0234]\b|\bservice unavailable\W{1,4}503\b"
)
_SLOW_NET = Linear(
    r"\b(?:could not|cannot|can't|unable to|failed to|failure in) (?:resolve|look ?up)\b[^.]{0,30}\b(?:host|address|name|server)(?:s|name)?\b"
    r"|\b(?:could not|cannot|can't|unable to|failed to) find (?:the |a |any )?(?:\w+ )?(?:host|server)(?:s|name)?\b"
    r"|\bname resolution|\bunknown host\b|\bno servers could be reached|\bnetwork is unreachable|\bno route to host|\bdeadline exceeded"
    r"|\b(?:connection|connect|read|request|operation|response|transfer)\b[^.]{0,20}\b(?:timed? ?out)"
    r"|\bcommunications? error\b|\bno (?:response|reply|answer)\b(?: \w+){0,2} ?(?:from|received|after|within)\b|\bdid not (?:respond|reply|answer)\b"
    r"|\b(?:response|answer|reply) time-?out\b|\b(?:rpc|snmp|ntp|ldap|nfs|dns)\b[^.]{0,60}\btimed out"
)
_NO_SUCH_HOST = Linear(
    r"\bname (?:or service not known|does not resolve)|\bno such host\b|\bnxdomain\b"
    r"|\bno address associated\b|\bnodename nor servname"
)
_OWN_SOURCE = Linear(
    r"\b(?:undefined|undeclared|unbound|uninitiali[sz]ed|unresolved|unrecogni[sz]ed|unset|unknown) (?:local |global |free |instance )?(?:variable|function|symbol|method|procedure|identifier|name|word|class|atom|predicate|reference|import|external|macro|local|constant|label|operator|type|attribute|opcode|instruction|rule|property|field|member)"
    r"|\b(?:variable|function|symbol|identifier|name|procedure|method|word|class|macro|operator|predicate|constructor|relation|property|member|trait|export|identifier|overload)s?\b[^.:]{0,60}\b(?:(?:is |was |has |are )?(?:not |un|never )(?:been )?(?:defined|declared|bound|found|exist|known|initiali[sz]ed|in scope|set|implemented)|not in scope|does n[o']t exist|undefined)"
    r"|\bno such (?:variable|method|function|procedure|operator|symbol|predicate|slot)\b"
    r"|\bundefined (?:value|method|near|word)?\b|\bis undefined\b|\bundef\b|\bundefined (?:local|fun)"
    r"|\bunbound\b|\bnot (?:defined|declared)\b|\bwas not declared\b|\bnot in scope\b"
    r"|\bcannot find (?:symbol|value|function|name|type|macro|method)\b"
    r"|\bdoes not exist in the current context|\binvalid command name\b"
    r"|\bno (?:implicit|overload|instance|matching (?:function|method)|member|field|method|function clause|match of)\b"
    r"|\bcan'?t (?:call method|locate object method|convert)\b|\bcannot call\b"
    r"|\b(?:nil|null|none|undefined) (?:value|reference|pointer|object|dereference|access)"
    r"|\bnull ?reference|\bnil\b[^.]{0,20}\b(?:index|call|arith)"
    r"|\battempt to (?:index|call|perform|compare|concatenate|yield)"
    r"|\b(?:index|subscript|range|bounds?|position|array|substring)\b[^:]{0,40}\b(?:out of (?:range|bounds?)|not in|exceed|past the end|check failed)"
    r"|\bout of (?:range|bounds?)\b|\bin (?:this |the current )?scope\b|\bsubscript\b|\bdivi(?:de|sion) by (?:zero|0)|\bzero ?divide"
    r"|\barithmetic\b"
    r"|\b(?:wrong|bad|incorrect|invalid) (?:number of |type of? ?|type )(?:arg|param)|\bwrong type\b"
    r"|\btoo (?:many|few) arg|\b(?:not enough|insufficient|missing) (?:arguments?|parameters?|actual)"
    r"|\btype[- ](?:error|mismatch|clash|check|conflict)|\bmismatched types?|\bincompatible types?"
    r"|\bconstructor has type|\bexpression\b[^.]{0,40}\btype\b"
    r"|\b(?:unable to|cannot|could not) resolve (?:symbol|reference|name|import|overload)"
    r"|\bnot been (?:\w+ly )?(?:declared|defined|bound|initiali[sz]ed)|\binvalid function\b"
    r"|\bvariable\b[^.]{0,40}\bmust have a value"
    r"|\bexpected (?:type|an? (?:expression|identifier|statement|declaration))"
    r"|\bnot (?:of (?:the )?(?:expected )?type|a (?:function|procedure|number|list|method|record|subtype)|applicable|callable)"
    r"|\bis not assignable to\b|\bcompil(?:e|er|ation|ing) (?:error|fail)|\b(?:error|fail\w*) (?:while |when |during |in |to )?compil"
    r"|\b(?:dimensions?|shapes?)\b[^.:]{0,40}\b(?:mismatch\w*|incompatible|do(?:es)? ?n[o']t (?:match|agree))|\b(?:mismatch\w*|incompatible|non-?conformable) (?:\w+ ){0,3}(?:dimensions?|shapes?|arrays?)\b"
    r"|\bscript line \d+\b|\bline \d+ of (?:the )?script\b"
    r"|\bis not of type\b|\bcannot (?:unify|be applied|coerce)|\btype (?:constructor|error)"
    r"|\bbad ?(?:argument|arith|match|arity|_cast|alloc)|\bstack overflow"
    r"|\bassert(?:ion)?\b[^.]{0,60}\bfail|\bassertion [`'].{1,300}' failed|\bpattern[- ]match|\bnon-?exhaustive|\bredefin|\bredeclar"
    r"|\balready (?:defined|declared)|\bmultiple definition|\bnot found: (?:value|type|object)"
    r"|(?:^|[\s,(])[1-9]\d* (?:failing|failures?|tests? failed|failed, \d+ (?:passed|succeeded))\b|\bpassed, [1-9]\d* failed\b|\([1-9]\d* failed\b|\bsteps? failed|\btests? fail|\bfailed (?:\d+ )?tests?\b|^not ok \d"
)
_SETTINGS = Linear(
    r"\b(?:unknown|unrecogni[sz]ed|unsupported|invalid|bad|illegal|no such|undefined|unexpected|ambiguous|not a valid|missing|no|extra) (?:\w+ )?(?:options?|arguments?|parameters?|directives?|commands?|subcommands?|flags?|settings?|switch(?:es)?|target|task|goal|recipe|module|plugin|driver|profile|backend|section|property|configuration|choice|species|dialect|locale|keyword|operand|operator|operation|mode|codec|encoder|solver|scheme|protocol|provider|engine|kernel|queue|partition|region|maximum heap size|heap size|model name|log level)\b"
    r"|\bno rule to make\b|\b(?:don'?t|do not) know how to (?:make|build)"
    r"|\b(?:target|task|goal|recipe|profile|plugin|module|driver|solver|backend|section|partition|queue)\b[^.]{0,60}\b(?:not (?:be )?(?:found|exist|defined|recogni[sz]ed|known)|unknown|does n[o']t exist|is not (?:defined|a valid|known|available))"
    r"|\bunknown target\b"
    r"|\bconfig(?:uration)?\b[^.]{0,40}\b(?:error|invalid|syntax|test failed|wrong|missing|incorrect|not found|failed)"
    r"|\b(?:error|invalid|mistake|problem) in (?:the )?(?:config|configuration|settings|arguments|options)"
    r"|\b(?:reg(?:ular )?ex(?:p|pression)?|glob|pattern|x?path|j(?:mes|son)path|cron|formula|filter|expression|template) (?:parse|parsing|syntax|compil\w+|evaluation)? ?error\b|\b(?:invalid|malformed|bad|incomplete) (?:\w+ )?(?:reg(?:ular )?ex(?:p|pression)?|glob|pattern|formula|expression)\b"
    r"|\bnot (?:found|defined|set|present) in \S*(?:\.(?:conf|cfg|ini|toml|ya?ml|properties)\b|/\.?[a-z]{2,12}rc\b)"
    r"|\bbind\(\)|\bfailed to bind\b|\.(?:sty|cls)\W{1,3}(?:was )?not found\b"
    r"|\bbad directive|\bnot (?:configured|installed|enabled|supported|implemented)\b"
    r"|\bis(?:n't| not) (?:supported|installed|available|recogni[sz]ed|a valid)"
    r"|\bcould not resolve (?:\w+ )?(?:dependenc|artifact|package|requirement)"
    r"|\bno (?:\w+ )?(?:executable|compiler|interpreter|handler|default|solver)s? (?:\w+ )?(?:found|available|configured|specified|for|was)"
    r"|\bcould not find\b[^.]{0,60}\b(?:package|dependency|dependencies|compiler|executable|program|librar(?:y|ies)|module|plugin)"
    r"|\bpackage configuration file\b"
    r"|\b(?:can't|cannot|could not|couldn't|unable to) (?:find|locate|execute|run|launch|spawn) (?:the |an? |any )?(?:\w+ )?(?:command|executable|program|binary|interpreter)\b"
    r"|\b(?:can't|cannot|could not|couldn't|unable to) find (?:the |an? |any |its )?\S*(?:config|settings)\S*(?: file)?\b|\bno (?:[\w.-]*config\w*|settings)(?: file)? (?:was |were )?(?:found|provided|given)"
    r"|\bno (?:element|property|filter|muxer|demuxer|plug-?in|extension) (?:named )?[\"'\x60]"
    r"|\b(?:executable|program|command|dependency|dependencies|package|library|compiler|solver|binary|plugin|extension)\b[^.]{0,60}\b(?:not found|missing|not available|could not be (?:found|located))"
    r"|\bdata source name not found|\b(?:run|start(?:ed)?) as root|\baddress (?:is )?already in use"
    r"|\bcould not bind|\bmust (?:be (?:given|specified|set|provided|used|one of)|specify|provide|supply)"
    r"|\byou (?:must|need to|have to) (?:specify|provide|set|give|supply|pass)|\b(?:is|are) required\b"
    r"|\bnot (?:set|specified|provided|given)\b|\busage:|: unbound variable\W*$|\bcrs not found"
    r"|\bcommand not found|\bparameter not set|\bNotPresent\b|\brequired (?:key|variable|setting|parameter|property|value|env\w*) \S+ (?:is )?(?:missing|not set|absent)"
    r"|\b(?:could ?n[o']t|could not|cannot|can't|unable to) resolve (?:the )?(?:modules?|actions?|placeholders?|propert(?:y|ies)|variables?|targets?|profiles?|plug-?ins?)\b|\bno rule to produce\b"
    r"|\b(?:filter|codec|muxer|demuxer|encoder|decoder|action|operator) not found\b|\bno such (?:filter|codec|muxer|action|operator)\b"
    r"|\bbad interpreter\b|\bfailed to run command\b|\bcannot run \S+: no such file"
    r"|^\S*sh: (?:line )?\d+: [\w.+-]+: not found\b"
    r"|^(?:\S*/)?(?:env|exec|ionice|nice|nohup|numactl|parallel|setsid|stdbuf|sudo|taskset|time|timeout|xargs): \W?[\w.+-]+\W?: no such file"
    r"|\b(?:compiled|built) (?:against|for|with|by) (?:an? )?(?:different|another|older|newer|(?:more )?recent|other)\b"
    r"|\brequires (?:an? )?(?:different|newer|older) |\bthis version of [\w. ]{1,30} (?:requires|only)\b"
    r"|\bconfig(?:uration)? (?:key|option|section)s? \S{1,80} (?:is )?(?:not|missing|unknown)\b"
    r"|\bunknown (?:\w+ )?(?:architecture|optimi[sz]er|scheduler|activation|tokeni[sz]er|preset|recipe)s?\b"
    r"|\bcould not find (?:the )?profile\b|\bno profile\b"
    r"|\bmissing (?:required )?(?:option|setting)s?\b|\bmissing (?:required )?argument: -"
    r"|\bsettings?\b[^.]{0,40}\b(?:must|is empty|are empty)\b"
    r"|\b(?:option|argument|flag)s?\b[^.]{0,40}\b(?:requires?|needs?|expects?|not allowed|invalid|unknown|conflict|mutually)"
)
_DATA = Linear(
    r"\b(?:can ?not|can'?t|could ?n[o']t|could not|unable to|failed to|fail(?:ed)? (?:while |in )?|error|failure|problem) (?:to |while |when |in )?(?:open|read|find|access|stat|load|locat|pars|decod|seek|extract|identif|determin|interpret|import|process|understand)\w*"
    r"|\b(?:is |are |was )?n[o']t (?:an?|in|the|appear to be an?|look like an?|recogni[sz]ed as an?|a valid) (?:\S+ ){0,3}(?:file|format|image|archive|database|header|alignment|document|directory|data(?:set)?|repository|stream|table|container|volume)"
    r"|\bno (?:such |valid |usable |more )?(?:\S+ ){0,4}(?:files?|headers?|data|records?|sequences?|rows?|images?|inputs?|frames?|samples?|entries|reads|points|features|genotypes|magic)\b"
    r"|\b(?:premature|unexpected|truncated|early) (?:\w+ ){0,2}(?:end|eof)"
    r"|\bend of (?:file|archive|data|input|stream)"
    r"|\b(?:bad|invalid|unknown|unrecogni[sz]ed|unsupported|illegal|wrong|missing|corrupt\w*|broken|malformed) (?:\S+ ){0,3}(?:magic|header|checksum|crc|format|signature|record|character|byte|utf|value|number|row|line|sequence|residue|base|data|input|file|image|archive|xref|token|literal|field|column|entry|index|marker|block)\b"
    r"|\bmagic (?:number|bytes?)|\bformat\b[^.]{0,30}\b(?:problem|error|mismatch|unrecogni)"
    r"|\bproblems? (?:in|with|while)\b|\bunrecogni[sz]ed\b"
    r"|\b(?:files?|inputs?)\b[^.]{0,60}\b(?:could not|cannot|can't) be\b"
    r"|\brequires?\b[^.]{0,40}\b(?:file|column|field|header|sequence|record)s?\b"
    r"|(?:not|n't) (?:seem|appear) to\b|\bchecksum|\bcrc\b|\bcorrupt|\bdamaged|\btruncat|\bmalform|\brepair (?:is )?not possible|\b(?:cannot|can't|could not) be (?:repaired|recovered)"
    r"|\bnot_enough_data|\btoo (?:short|small|few|long)\b"
    r"|\b(?:contains?|has|have|with|got|only|read) (?:no|only|fewer|\d+) |\bempty\b"
    r"|\bdecod\w{1,6}\b[^.]{0,40}\b(?:fail|error)|\binconsistent|\bduplicate|\bmismatch"
    r"|\bdiffer(?:s|ent)\b|\bhunk\b|\bunsorted|\bnot sorted|\bout of order|\bdoes ?n[o']t exist"
    r"|\bdo not exist|\bnot exist|\bmissing\b"
    r"|\bno such (?:file|table|column|field|record|object|key|entry|directory)|\bnot found"
    r"|\bno (?:\S+ ){1,4}(?:was |were |could be )?found\b|\bunreadable|\bnon-numeric"
    r"|\bnot (?:a number|numeric|an integer|readable|valid|present)|\bsame length|\bdecompress"
    r"|\binput (?:error|is)|\bparse|\binflat|\bline \d+\b|\bfile (?:is|was)\b|\bfiles? \S+ (?:was |were |is |are )?(?:not found|missing)|\bfiles? \S+ does ?n[o']t exist"
)
_OF_A_FILE = Linear(
    r"\b(?:can ?not|can'?t|could ?n[o']t|could not|unable to|failed to|error) (?:open|read|find|access|stat|load|locat)\w*\b[^.]{0,40}(?:['\"`/]|file)"
    r"|\bno such file|\bfile (?:not found|does ?n[o']t exist)|\benoent\b|\bdoes not exist\b"
    r"|\bnot a (?:gzip|zip|valid) |\bunable to open|: end of file\b"
    r"|\bbad (?:integer|real|logical|character|value) "
)
# A value of what was read that is none of its kind, as the conversions and readers of many languages say it: Julia's and Go's
# conversions and clocks, Perl's warnings made fatal, readers of tables and of JSON.
_OF_A_VALUE_READ = Linear(
    r"\bcannot parse [\"'].{0,200}?[\"'] as \w"
    r"|\bparsing (?:time )?[\"'].{0,200}?[\"'](?: as [\"'].{0,80}?[\"'])?: \w"
    r"|\bunable to parse (?:an? )?(?:date|time|number|float|integer|value|row|record)"
    r"|\bcolumn (?:name )?[:'\"`]?[\w.-]{1,80}['\"`]? (?:was |is )?not (?:found|present) in the (?:data|input|table|file)"
    r"|\bunexpected end of (?:the )?(?:input|json|data)\b|\bisn't numeric\b|\bwrong number of fields\b"
    r"|\binvalid character '.{1,6}' (?:looking for|in|after)\b"
    r"|\b(?:dates?|rows?|values?|records?|fields?|timestamps?) (?:could not|cannot|can't|failed to) (?:be )?pars"
    r"|\bparse failed at \S{1,200} line \d{1,9}, <",
    needs="pars column end isn't numeric fields character",
)
# An argument by its number is a function's, not the program's.
_OF_A_CALL = Linear(
    r"\b(?:wrong|bad|incorrect|invalid) (?:type|number|kind) (?:of|for) (?:the )?arg\w*\b|\barg(?:ument)? #?\d+ (?:of|to|for|in) ['\"\x60]?[a-z]",
    needs="arg",
)
# A compiled library that the image lacks.
_SHARED_OBJECT = Linear(r"\bcannot open shared object|\bcould not load library\b")
# A part of the program that the image lacks.
_PART = Linear(
    r"\b(?:modules?|packages?|librar(?:y|ies)|class(?:es)?|gems?|namespaces?|units?|extensions?)\b"
)


def meaning_of(text: str, *, of_code: bool = False) -> Cause | None:
    """The cause that the words of an error statement name; None where they do not tell.

    `of_code`: a language says it of the program's own code: whatever is no file, right or service
    is a mistake in it.
    """
    head = text[:_READ]
    if (outside := meaning_outside(head)) is not None:
        return outside
    if _SHARED_OBJECT.is_in(head):
        return Cause.INVALID_CONFIG
    if _OF_A_VALUE_READ.is_in(head):
        return Cause.BAD_INPUT
    if of_code:
        in_code = _OWN_SOURCE.is_in(head) or _PART.is_in(head) or not _OF_A_FILE.is_in(head)
        return Cause.USER_CODE_ERROR if in_code else Cause.BAD_INPUT
    for words, cause in _OF_A_TOOL:
        if words.is_in(head):
            return cause
    return None


def parses_a_setting(text: str) -> bool:
    """Whether what could not be parsed is a setting: an address, an option, a schedule."""
    return _OF_A_SETTING.is_in(text[:_READ]) or parses_an_expression(text)


def parses_an_expression(text: str) -> bool:
    """Whether what could not be parsed is an expression that people write: a pattern, a filter, a formula."""
    return _OF_AN_EXPRESSION.is_in(text[:_READ])


_OF_AN_EXPRESSION = Linear(
    r"\b(?:reg(?:ular )?ex(?:p|pression)?|glob|cron|formula|filter|jmespath|jsonpath|xpath) (?:expression )?(?:parse|parsing|syntax|compil\w+) ?error\b"
    r"|\b(?:invalid|malformed|bad|incomplete) (?:jmespath|jsonpath|xpath|regular|cron) expression\b",
    needs="error expression",
)
_OF_A_SETTING = Linear(
    r"\b(?:connection string|dsn|cron expression|schedule|environment variable|time ?zone)\b[^.]{0,30}\b(?:blank|malformed|invalid|not valid|incomplete|empty|missing)\b"
    r"|\b(?:pars(?:e|ing)|invalid|malformed|bad|incomplete) (?:\w+ ){0,2}(?:ur[il]|connection string|dsn|option|flag|argument|command[- ]line|config(?:uration)?|settings?|environment variable|cron(?: expression)?|schedule|log level|time ?zone)\b",
    needs="pars invalid malformed bad blank not incomplete empty missing",
)


def meaning_outside(text: str) -> Cause | None:
    """The right, the service or the host that a statement names; None: what it says is of the program's own world."""
    head = text[:_READ]
    return next((cause for words, cause in _OUTSIDE if words.is_in(head)), None)


def names_an_argument(text: str, words: Collection[str]) -> bool:
    """Whether a statement finds fault with a word of the job's own arguments: no path, and no option's number.

    `words`: what stands in the arguments, in any order.
    """
    return any(
        found["quoted"] in words or found["bare"] in words
        for found in _FAULTED.finditer(text[:_READ])
    )


_FAULTED = Linear(
    r"[\"'`\x{2018}\x{201c}<\[](?P<quoted>[a-z][\w@:+-]{2,60})[\"'`\x{2019}\x{201d}>\]]"
    r"|\b(?P<bare>[a-z][\w@:+-]{2,60}) (?:does n[o']t exist|do not exist|(?:is |was )?(?:not |un)(?:found|known|supported|valid|recogni[sz]ed|defined)|is invalid)"
)


_OUTSIDE = (
    (_RIGHTS, Cause.PERMISSION),
    (_OF_A_SERVER, Cause.TRANSIENT_BACKEND),
    (_NO_SUCH_HOST, Cause.INVALID_CONFIG),
    (_SLOW_NET, Cause.NETWORK_LATENCY),
    (_ELSEWHERE, Cause.TRANSIENT_BACKEND),
)
_OF_A_TOOL = (
    (_OF_A_CALL, Cause.USER_CODE_ERROR),
    (_SETTINGS, Cause.INVALID_CONFIG),
    (_OWN_SOURCE, Cause.USER_CODE_ERROR),
    (_DATA, Cause.BAD_INPUT),
)


def is_unknown_last_line(sign: WeightedEvidence) -> bool:
    """Whether the sign is a program's last line that no language states, and of whose words nothing is known."""
    if sign.group != "last-words" or not sign.symptom:
        return False
    return meaning_of(sign.text) is None and cause_of_reported_status(sign.text) is None

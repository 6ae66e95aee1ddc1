"""What a client library's exception says of the service behind it.

Owns data only: whose exceptions speak of another service (`CLIENTS`, `SOCKETS`), and what their
messages mean (`CLIENT_ROWS`, tried in order: the first that matches speaks for the whole traceback,
and every other row is silent there). So a Redis server's full memory is no memory of ours, and "check
your internet connection" is no network where the chain holds a 503. Interpreted by `statements`.
"""

from __future__ import annotations

from remediator.diagnosis.linear import Late
from remediator.diagnosis.signatures import Place, Signature, Tag
from remediator.diagnosis.signs import FAIR, STRONG
from remediator.domain import Cause

CLIENTS = Late(
    r"(?:requests|urllib3|httpx\d?|httpcore\d?|aiohttp|aiobotocore|botocore|boto3|s3transfer|pycurl|treq|niquests"
    r"|google\.(?:api_core|auth|cloud|resumable_media|genai)|googleapiclient|gcsfs|s3fs|adlfs|fsspec|smart_open|tensorflow\.python\.framework\.errors_impl\.(?:Unavailable|Aborted)"
    r"|grpc|grpclib|azure|msrest|minio|hdfs|paramiko|asyncssh|ftplib|smtplib|imaplib|webdav\d?|swiftclient|keystoneauth1"
    r"|psycopg\d?|asyncpg|sqlalchemy|pymysql|MySQLdb|_mysql_exceptions|mysql|aiomysql|mariadb|pg8000|pyodbc|cx_Oracle|oracledb|pymssql|clickhouse_(?:connect|driver)|snowflake|databricks|trino|prestodb|pyhive|impala|duckdb\.HTTPException|vertica_python|redshift_connector|ibm_db"
    r"|redis|aioredis|valkey|rediscluster|pymongo|motor|cassandra|neo4j|couchbase|aerospike|pymemcache|influxdb(?:_client)?|etcd3?|consul|kazoo"
    r"|kafka|aiokafka|confluent_kafka|cimpl|pika|aio_pika|aiormq|amqp|kombu|nats|pulsar|stomp|paho"
    r"|elasticsearch\d?|elastic_transport|opensearchpy|qdrant_client|weaviate|pinecone|pymilvus|chromadb|meilisearch|typesense"
    r"|huggingface_hub|openai|anthropic|cohere|mistralai|litellm|groq|together|replicate|vertexai|langchain"
    r"|mlflow|wandb|neptune|clearml|comet_ml|kagglehub|kaggle|dvc|feast|tritonclient|hvac|kubernetes|docker|github|slack_sdk|tenacity\.RetryError|websockets?|zeep|suds"
    r"|urllib\.error|http\.client|socket|ssl"
    r"|java\.net|javax\.net|org\.apache\.(?:http|hc|kafka|zookeeper|cassandra)|com\.amazonaws|software\.amazon|org\.postgresql|com\.mysql|com\.mongodb|com\.microsoft|oracle\.jdbc|io\.grpc|okhttp3|io\.lettuce|redis\.clients|org\.elasticsearch|com\.google\.(?:api|cloud)|com\.datastax|net\.snowflake)\."
    r"|(?:Axios|Fetch|MongoNetwork|MongoServer|Redis|Reply|Kafka|KafkaJS\w{0,40}|SequelizeConnection\w{0,40})Error\b|(?:huggingface_hub\.)?\w{0,40}HTTPStatusError\b|RequestsConnectionError\b"
)
"""Qualified names of exceptions that speak of another service."""

SOCKETS = Late(
    r"(?:builtins\.)?(?:Connection(?:Refused|Reset|Aborted)?Error|BrokenPipeError|gaierror|URLError|RemoteDisconnected|IncompleteRead|HTTPError|SSLError|ServerDisconnectedError|ClientError|ClientConnector\w{0,40}Error|ConnectTimeout\w{0,20}|ReadTimeout\w{0,20})$"
)
"""The same without a package: what sockets raise, and short names of the clients'."""

SPEAKERS = r"\bcurl: \(\d{1,3}\)|\bwget: |^--\d{4}-|\bgsutil\b|\bpsql: |\bmysql: |\brclone: |\bsftp: |\bscp: |\bfatal error: an error occurred \(|\brsync: |\bredis-cli\b|\bmongosh?: |\bapt-get\b"
"""How the field's tools name themselves before they say what a server said."""

_HTTP = "developer.mozilla.org/en-US/docs/Web/HTTP/Status"
_PG = "postgresql.org/docs/current/errcodes-appendix.html"
_REDIS = "redis.io/docs/latest/develop/reference/protocol-spec"
_AWS = "docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
_GRPC = "grpc.io/docs/guides/status-codes"
_ERRNO = "man7.org/linux/man-pages/man3/errno.3.html"


def _row(  # a table's line
    name: str,
    cause: Cause,
    weight: float,
    pattern: str,
    origin: str,
    tags: frozenset[Tag] = frozenset(),
) -> Signature:
    return Signature(f"client-{name}", cause, weight, pattern, origin, places=Place.LOG, tags=tags)


_TIME = frozenset({Tag.TIMED_OUT})


def _status(codes: str) -> str:
    """An HTTP status as clients write it: "503 Server Error", "status code: 503", "<Response [503]>"."""
    return (
        rf"(?:^|[^\d.:/]){codes}[ ,:]{{1,3}}(?:client|server|get|post|put|patch|delete|head|options|error|service|internal|bad|gateway|unauthori[sz]ed|forbidden|not found|gone|too many|payment|conflict|precondition|request|method|unprocessable|proxy|message[=:]|'|\"|expected|b')"
        rf"|(?:status|code|http|httperror|error|response|returned|got|with|received|failed:?)(?:[ _-]?code)?(?:['\"]?[ :=,(\[]{{1,4}}|/\d\.\d ){codes}\b|\[{codes}\]|['\"]{codes}['\" ]|\({codes}\)|too many {codes} error"
    )


CLIENT_ROWS: tuple[Signature, ...] = (
    _row(
        "tls",
        Cause.INVALID_CONFIG,
        STRONG,
        r"certificate[_ ]verify[_ ]failed|certificate (?:has expired|is not trusted|verify)|self[- ]signed certificate|unable to get (?:local )?issuer|wrong[_ ]version[_ ]number|doesn't match (?:either )?|pkix path|x509: |sslv3_alert|unknown ca\b|tlsv1_alert|handshake[_ ]failure",
        "docs.openssl.org/master/man1/openssl-verification-options",
    ),
    _row(
        "metadata",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.3,
        r"metadata[^|]{0,300}(?:status:? ?5\d\d|\b50[0-4]\b|unavailable|timed out|timeout|unreachable)",
        "google.aip.dev/auth",
    ),
    _row(
        "identity",
        Cause.PERMISSION,
        STRONG + 0.6,
        r"google\.auth\.exceptions\.(?:refresh|defaultcredentials|oauth|malformed|invalid)|metadata[^|]{0,300}(?:status:? ?40\d|\b40[134]\b)|azure\.identity|clientauthenticationerror|credentialunavailable",
        "google.aip.dev/auth",
    ),
    _row(
        "cut-body",
        Cause.TRANSIENT_BACKEND,
        STRONG + 0.2,
        r"payload ?error|payload is not completed|incomplete ?read|incomplete (?:chunked|message)|not enough data to satisfy|connection broken: ",
        _ERRNO,
    ),
    _row(
        "slow-query",
        Cause.NETWORK_LATENCY,  # time goes to another server, which cut the query off
        FAIR + 0.5,
        r"statement timeout|max_execution_time|maximum statement execution time|query_?cancell?ed[^|]{0,60}time",
        "postgresql.org/docs/current/runtime-config-client.html",
        _TIME,
    ),
    _row(
        "memory-of-theirs",
        Cause.QUOTA,
        FAIR + 0.5,
        r"used memory > 'maxmemory'|\boom command not allowed|max(?:imum)? number of clients|circuit_?breaking_?exception|data too large, data for|es_rejected_execution|too many (?:clients|connections)\b|connection slots are reserved|max_(?:user_)?connections|max_locks_per_transaction|could not extend file|disk ?full|flood.?stage|cluster_block_exception|insufficient resources|queue is full|rejected execution|tenant .{0,40}limit",
        _REDIS,
    ),
    _row(
        "credentials",
        Cause.PERMISSION,
        STRONG + 0.6,
        r"password authentication failed|authentication[ _]?(?:is |was )?(?:failed|failure|required|error|unsuccessful)|authenticationerror|authentication(?:exception|failedexception)|authorizationerror|\bnoauth\b|\bwrongpass\b|invalid (?:username|password|credentials|token|api[ _]?key|access key|grant|client|jwt)|incorrect (?:username|password|api key)|access denied (?:for user|for table|to)|accessdenied|access is denied|login failed|no pg_hba\.conf entry|insufficientprivilege|permission denied (?:for|on|to)|not authori[sz]ed|unauthori[sz]ed\b|invalidaccesskeyid|signaturedoesnotmatch|expiredtoken|invalidtoken|nocredentials|unable to locate credentials|partialcredentials|token (?:has |is )?(?:expired|invalid|required)|invalidclienttokenid|unrecognizedclient|sasl auth|(?:topic|group|cluster)authorizationfailed|not authorized to access|gated ?repo|access to (?:model|dataset) .{0,80} restricted|defaultcredentials|refresherror|client already authenticated|requires authentication|insufficient (?:permission|privilege|scope)|statuscode\.(?:permission_denied|unauthenticated)|ora-01017|ora-01031|\b18456\b|invalid authorization specification",
        _PG,
    ),
    _row(
        "permission-status",
        Cause.PERMISSION,
        STRONG + 0.6,
        _status(r"40[13]") + r"|\bforbidden\b|accessdenied|407 proxy|, 40[13]$",
        _HTTP,
    ),
    _row(
        "rate",
        Cause.QUOTA,
        STRONG,
        _status("429")
        + r"|too ?many ?requests|rate ?limit|ratelimit|throttl|slowdown\b|slow down|request(?:limit|s per)|provisionedthroughput|requestlimitexceeded|toomanyrequests|quota exceeded|resource_?exhausted|resourceexhausted|statuscode\.resource_exhausted|insufficient_quota|insufficient '?\w{1,40}'? quota|exceeds your (?:available )?quota|quota[^|]{0,40} exceed",
        _HTTP,
    ),
    _row(
        "read-only",
        Cause.INVALID_CONFIG,
        STRONG,
        r"read[- ]?only (?:replica|transaction|table|mode|slave|file ?system)|\breadonlyerror\b|\breadonly you can|not ?(?:writable)?primary|notwritableprimary|not master|writeerror.{0,60}not primary",
        _REDIS,
    ),
    _row(
        "locked",
        Cause.TRANSIENT_BACKEND,
        STRONG,
        r"deadlock (?:detected|found)|lock wait timeout|could not serialize|serialization ?failure|database is locked|locknotavailable|could not obtain lock|write ?conflict|statuscode\.aborted|too much contention|is restarting|is starting up|is shutting down|shutting down|\bloading redis is loading|loading the dataset|\bclusterdown\b|\btryagain\b|\bmasterdown\b|no primary|not ?leader|leader ?not ?available|leader changed|recovery mode|admin ?shutdown|crash ?shutdown|terminating connection due to",
        _PG,
    ),
    _row(
        "server-status",
        Cause.TRANSIENT_BACKEND,
        STRONG + 0.6,
        _status(r"5(?:0[02]|03|2\d)")
        + r"|service ?unavailable|internal ?server ?error|bad ?gateway|serverselection.{0,40}no servers|\bbackenderror\b|internalerror\b|statuscode\.internal|temporarily unavailable|server error '5\d\d|503 (?:slow down|backend)|overloaded",
        _HTTP,
    ),
    _row(
        "gateway-time",
        Cause.TRANSIENT_BACKEND,
        STRONG,
        _status("504") + r"|gateway ?time-?out|request ?timeout\b.{0,20}408|" + _status("408"),
        _HTTP,
    ),
    _row(
        "missing-object",
        Cause.BAD_INPUT,
        STRONG + 0.4,
        r"nosuchkey|nosuchbucket|no such (?:object|bucket|key|file|container|blob)|blobnotfound|containernotfound|resourcenotfound|specified (?:key|bucket|blob|container|resource) does ?n[o']t exist|object not found|bucket (?:does not|doesn't) exist|filenotfound|entry ?not ?found|repository ?not ?found|revision ?not ?found|index_not_found|no such index|unknown database|unknown ?topic|database .{0,80}does not exist|collection .{0,80}(?:not found|does ?n[o']t exist)|statuscode\.not_found",
        _AWS,
    ),
    _row(
        "query",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"undefined ?(?:table|column|function|object)|syntax ?error\b|sqlstate 42|relation .{0,100}does not exist|column .{0,100}does not exist|no such (?:table|column)|unknown column|you have an error in your sql|unique ?violation|duplicate (?:key|entry)|duplicatekeyerror|violates (?:unique|foreign key|not-null|check)|integrityerror|foreign key constraint|not-null constraint|programmingerror|interfaceerror|wrongtype|\bwrong number of arguments|unknown command|parsing_exception|mapper_parsing|unsupportedoperation|ora-009\d\d",
        _PG,
    ),
    _row(
        "missing-status",
        Cause.BAD_INPUT,
        STRONG,
        _status(r"4(?:04|10)") + r"|\bnot ?found\b",
        _HTTP,
    ),
    _row(
        "data",
        Cause.BAD_INPUT,
        STRONG,
        r"invalid input syntax|value too long|numeric ?value ?out ?of ?range|dataerror|incorrect (?:integer|string|datetime) value|out of range value|data ?too ?long|checksum ?mismatch|checksum (?:did not|does not) match|invalid ?range|416 (?:client|requested|range)|decodingerror|contentdecoding|chunkedencoding.{0,60}invalid chunk",
        _PG,
    ),
    _row(
        "too-large",
        Cause.REQUEST_TOO_LARGE,
        FAIR + 0.5,
        _status("413")
        + r"|request entity too large|message ?size ?too ?large|payload ?too ?large|context[_ ]length|prompt is too long|too many tokens|max(?:imum)? (?:message|request) size",
        _HTTP,
    ),
    _row(
        "precondition",
        Cause.INVALID_CONFIG,
        STRONG,
        _status("412")
        + r"|precondition ?failed|conditionnotmet|"
        + _status("409")
        + r"|bucketalready|already ?exists",
        _HTTP,
    ),
    _row(
        "bad-request",
        Cause.USER_CODE_ERROR,
        FAIR + 0.8,
        _status(r"4(?:00|05|06|15|22)")
        + r"|\bbad ?request\b|unprocessable|statuscode\.(?:invalid_argument|failed_precondition|unimplemented|out_of_range)|validationexception|paramvalidation|invalid ?schema|missing ?schema|invalid ?url|unsupported ?protocol|no (?:host|scheme) supplied|locationparseerror|nosuchmethod",
        _HTTP,
    ),
    _row(
        "time",
        Cause.NETWORK_LATENCY,
        STRONG + 0.4,
        r"timed? ?-?out\b|time-?out(?:error|exception)?\b|connecttimeout|readtimeout|etimedout|errno 110|deadline[_ ]?exceeded|statuscode\.deadline_exceeded|client\.timeout|incomplete read of|too slow|low speed",
        _ERRNO,
        _TIME,
    ),
    _row(
        "unreachable",
        Cause.NETWORK_LATENCY,
        STRONG + 0.2,
        r"name or service not known|name resolution|nameresolution|failed to resolve|could not resolve|cannot resolve|nodename nor servname|enotfound|getaddrinfo|unknownhost|no such host|no route to host|network is unreachable|host is unreachable|ehostunreach|enetunreach|dns|no ?brokers ?available|nobrokers|broker transport failure|all broker connections are down|no nodes available|no hosts? available|nohostavailable",
        _ERRNO,
    ),
    _row(
        "cut",
        Cause.TRANSIENT_BACKEND,
        STRONG + 0.2,
        r"connection ?reset|reset by peer|econnreset|connection ?aborted|remote ?disconnected|remote end closed|server disconnected|closed (?:the )?connection unexpectedly|connection (?:was |is |has been )?(?:closed|lost|broken|terminated|dropped)|closed by (?:the )?(?:remote|peer|server|foreign)|lost connection|gone away|server has gone|broken ?pipe|incomplete ?read|incomplete ?(?:message|body)|peer closed|unexpected eof|eof occurred|eof detected|premature|socket closed|stream (?:removed|closed)|rst_stream|goaway|protocol ?error|payload(?:error| is not completed)|content_?length.{0,40}(?:mismatch|enough)|chunkedencoding|connection ?closed|autoreconnect|interrupted",
        _ERRNO,
    ),
    _row(
        "refused",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.4,
        r"connection ?refused|econnrefused|errno 111|actively refused|failed to establish a new connection|cannot connect to host|can't connect|could not connect|failed to connect|unable to connect|error connecting|couldn't connect|connecterror|connection ?error|communications link failure|server ?selection|statuscode\.unavailable|connection failed",
        _ERRNO,
    ),
)
"""In the order in which they are tried."""

BUGS = Late(
    r"(?:Name|Attribute|Type|UnboundLocal|Import|ModuleNotFound|Syntax|Indentation|Assertion|ZeroDivision)Error$"
)
"""What no service makes a program raise: beside a client's exception such a bug speaks too."""

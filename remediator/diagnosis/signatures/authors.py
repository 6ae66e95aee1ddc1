"""Whose exceptions and lines speak of another service: client libraries, sockets and tools.

Owns data only. What their messages mean stands in `clients.txt`: the first row that matches speaks for
the whole traceback, and every other row is silent there. So a Redis server's full memory is no memory
of ours, and "check your internet connection" is no network where the chain holds a 503.
"""

from __future__ import annotations

from remediator.domain.late_pattern import late_pattern

CLIENTS = late_pattern(
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
    r"|java\.net|javax\.net|org\.apache\.(?:http|hc|kafka|zookeeper|cassandra)|com\.amazonaws|software\.amazon|org\.postgresql|com\.mysql|com\.mongodb|com\.microsoft|oracle\.jdbc|io\.grpc|okhttp3|io\.lettuce|redis\.clients|org\.elasticsearch|com\.google\.(?:api|cloud)|com\.datastax|net\.snowflake|System\.Net|Npgsql|MySqlConnector|StackExchange|Microsoft\.Data)\."
    r"|(?:Axios|Fetch|MongoNetwork|MongoServer|Redis|Reply|Kafka|KafkaJS\w{0,40}|SequelizeConnection\w{0,40})Error\b|(?:huggingface_hub\.)?\w{0,40}HTTPStatusError\b|RequestsConnectionError\b"
)
"""Qualified names of exceptions that speak of another service."""

SOCKETS = late_pattern(
    r"(?:[\w.]{1,120}\.)?(?:Connection(?:Refused|Reset|Aborted|Lost|Closed|Failed|Timeout)?(?:Error|Exception)|NoServers\w{0,20}|NoHostAvailable\w{0,20}|Service(?:Unavailable|Busy)\w{0,20}|BrokenPipeError|gaierror|URLError|RemoteDisconnected|IncompleteRead|HTTPError|SSLError|ServerDisconnectedError|ClientError|ClientConnector\w{0,40}Error|ConnectTimeout\w{0,20}|ReadTimeout\w{0,20})$"
)
"""The same by the class alone, of whatever package: what sockets raise, and names that say as much."""

AUTHORS = r"\bcurl: \(\d{1,3}\)|\bwget: |^--\d{4}-|\bgsutil\b|\bpsql: |\bmysql: |\brclone: |\bsftp: |\bscp: |\bfatal error: an error occurred \(|\brsync: |\bredis-cli\b|\bmongosh?: |\bapt-get\b|^error \d{1,2}: http|^error \d{4} \([0-9a-z]{5}\)|\berrno::e(?:conn\w{4,9}|timedout|hostunreach|netunreach)\b"
"""How the field's tools, and Ruby's sockets, name themselves before they say what a server said."""

AUTHORS_NEED = "curl: wget: -- gsutil psql: mysql: rclone: sftp: scp: fatal rsync: redis-cli mongo apt-get error errno::e"
"""Words of which a line holds one at least, where `AUTHORS` matches."""

BUGS = late_pattern(
    r"(?:Name|Attribute|Type|UnboundLocal|Import|ModuleNotFound|Syntax|Indentation|Assertion|ZeroDivision)Error$"
)
"""What no service makes a program raise: beside a client's exception such a bug speaks too."""

"""The tables and statements of the SQLite store.

Tables are clustered by their key (WITHOUT ROWID), so that what a feed asks of a user lies in neighbouring pages.
"""

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4C4F4F4B  # "LOOK" in the file's header tells our files from those of other programs

CREATE = (
    "CREATE TABLE IF NOT EXISTS users (user_id TEXT PRIMARY KEY, market TEXT) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS history (
        user_id TEXT, occurred_us INTEGER, event_id TEXT, product_id TEXT NOT NULL, event TEXT NOT NULL,
        PRIMARY KEY (user_id, occurred_us, event_id)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS seen (
        user_id TEXT, video_id TEXT, at_us INTEGER NOT NULL, PRIMARY KEY (user_id, video_id)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS watches (
        occurred_us INTEGER, event_id TEXT, user_id TEXT NOT NULL, video_id TEXT NOT NULL, feed_id TEXT NOT NULL,
        watch_time_s REAL NOT NULL, flags TEXT NOT NULL, PRIMARY KEY (occurred_us, event_id)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS watches_of_user ON watches (user_id)",
    "CREATE TABLE IF NOT EXISTS marks (mark BLOB PRIMARY KEY, at_us INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS aliases (user_id TEXT, alias TEXT, PRIMARY KEY (user_id, alias)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS users_of_alias ON aliases (alias)",
    """CREATE TABLE IF NOT EXISTS erasures (
        number INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, user_id TEXT NOT NULL, user_hash TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS overlay (
        kind TEXT, key TEXT, market TEXT, value TEXT NOT NULL, reason TEXT NOT NULL, at_us INTEGER NOT NULL,
        PRIMARY KEY (kind, key, market)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS overlay_revision (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), value INTEGER)",
    "INSERT OR IGNORE INTO overlay_revision VALUES (1, 0)",
    "CREATE TABLE IF NOT EXISTS hosts (host TEXT PRIMARY KEY, name TEXT NOT NULL, said_s REAL NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

# An id whose time is over counts as new again: then the row changes, and only then is the row count 1.
MARK = """INSERT INTO marks VALUES (:mark, :now_us)
    ON CONFLICT (mark) DO UPDATE SET at_us = :now_us WHERE at_us <= :known_after"""
ADD_USER = "INSERT OR IGNORE INTO users VALUES (?, NULL)"
ADD_PRODUCT_EVENT = "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?)"
ADD_WATCH = "INSERT OR REPLACE INTO watches VALUES (?, ?, ?, ?, ?, ?, ?)"
ADD_SEEN = """INSERT INTO seen VALUES (?, ?, ?)
    ON CONFLICT (user_id, video_id) DO UPDATE SET at_us = max(at_us, excluded.at_us)"""
TRIM = """DELETE FROM history WHERE user_id = :user AND (occurred_us, event_id) < (
    SELECT occurred_us, event_id FROM history WHERE user_id = :user
    ORDER BY occurred_us DESC, event_id DESC LIMIT 1 OFFSET :keep - 1)"""

# One statement reads one state; as JSON it took half the time of rows (140 µs for 50 events and 200 videos).
USER = """SELECT
    (SELECT json_group_array(json_array(occurred_us, event_id, product_id, event)) FROM history WHERE user_id = :user),
    (SELECT json_group_array(video_id) FROM seen WHERE user_id = :user AND at_us > :seen_after),
    (SELECT market FROM users WHERE user_id = :user)"""
PUT_MARKET = "INSERT INTO users VALUES (?, ?) ON CONFLICT (user_id) DO UPDATE SET market = excluded.market"
USERS_FROM = "SELECT user_id FROM users WHERE user_id >= ? ORDER BY user_id LIMIT ?"

WATCHES = """SELECT event_id, user_id, video_id, feed_id, watch_time_s, occurred_us, flags FROM watches
    WHERE (occurred_us, event_id) > (?, ?) AND occurred_us < ? ORDER BY occurred_us, event_id LIMIT ?"""
DROP_WATCHES = "DELETE FROM watches WHERE occurred_us < ?"

MOVE_HISTORY = "UPDATE OR REPLACE history SET user_id = :user WHERE user_id = :anonymous"
MOVE_WATCHES = "UPDATE watches SET user_id = :user WHERE user_id = :anonymous"
MOVE_REST = (
    """INSERT INTO seen SELECT :user, video_id, at_us FROM seen WHERE user_id = :anonymous AND at_us > :seen_after
        ON CONFLICT (user_id, video_id) DO UPDATE SET at_us = max(at_us, excluded.at_us)""",
    "DELETE FROM seen WHERE user_id = :anonymous",
    """INSERT INTO users SELECT :user, market FROM users WHERE user_id = :anonymous
        ON CONFLICT (user_id) DO UPDATE SET market = coalesce(market, excluded.market)""",
    "DELETE FROM users WHERE user_id = :anonymous",
    "INSERT OR IGNORE INTO aliases VALUES (:user, :anonymous)",
)

MERGED_INTO = """WITH RECURSIVE merged (id) AS (
    VALUES (:user) UNION SELECT alias FROM aliases JOIN merged ON user_id = id)
    SELECT id FROM merged WHERE id <> :user ORDER BY id"""
ERASE = (
    "DELETE FROM users WHERE user_id = :user",
    "DELETE FROM history WHERE user_id = :user",
    "DELETE FROM seen WHERE user_id = :user",
    "DELETE FROM watches WHERE user_id = :user",
    "DELETE FROM aliases WHERE user_id = :user OR alias = :user",
    "INSERT INTO erasures (at_us, user_id, user_hash) VALUES (:at_us, :user, '')",
)
ERASURES = "SELECT at_us, user_id, user_hash FROM erasures ORDER BY at_us, number"
SETTLE = """UPDATE erasures SET user_id = '', user_hash = :settled
    WHERE at_us = :at_us AND user_id = :user_id AND user_hash = :user_hash"""

OVERLAY = "SELECT kind, key, market, value, reason, at_us FROM overlay ORDER BY at_us, kind, key, market"
PUT_OVERLAY = {
    False: "INSERT OR REPLACE INTO overlay VALUES (?, ?, ?, ?, ?, ?)",
    True: "INSERT OR IGNORE INTO overlay VALUES (?, ?, ?, ?, ?, ?)",
}
DROP_OVERLAY = "DELETE FROM overlay WHERE kind = ? AND key = ? AND market = ?"
REVISION = "SELECT value FROM overlay_revision"
NEXT_REVISION = "UPDATE overlay_revision SET value = value + 1"

# What has expired is looked for without the write lock, then deleted by key in short transactions.
EXPIRED_MARKS = "SELECT mark FROM marks WHERE at_us <= ?"
DROP_MARK = "DELETE FROM marks WHERE mark = ? AND at_us <= ?"
EXPIRED_SEEN = "SELECT DISTINCT user_id FROM seen WHERE at_us <= ?"
DROP_SEEN = "DELETE FROM seen WHERE user_id = ? AND at_us <= ?"
_IS_EMPTY = """market IS NULL
    AND NOT EXISTS (SELECT 1 FROM history WHERE history.user_id = users.user_id)
    AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.user_id = users.user_id)
    AND NOT EXISTS (SELECT 1 FROM watches WHERE watches.user_id = users.user_id)"""
EMPTY_USERS = f"SELECT user_id FROM users WHERE {_IS_EMPTY}"
DROP_EMPTY_USER = f"DELETE FROM users WHERE user_id = ? AND {_IS_EMPTY}"

OTHER_HOST = "SELECT name, said_s FROM hosts WHERE host <> ? AND said_s > ? ORDER BY said_s DESC LIMIT 1"
SAY_HOST = "INSERT OR REPLACE INTO hosts VALUES (?, ?, ?)"
FORGET_HOSTS = "DELETE FROM hosts WHERE said_s <= ?"

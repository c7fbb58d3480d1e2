"""What is known of Redis commands: which may be done twice, and which block for how long."""

from __future__ import annotations

from typing import Any

from seawall.core.context import remaining

MARGIN = 1.0  # seconds that the answer to a blocking command may take beyond the command's own timeout
_ANSWER = 0.15  # seconds before the deadline that a blocking command ends: servers look ten times a second

#: Reads, and writes that leave the same behind when done twice. What is not here is not repeated once sent.
_REPEATABLE = frozenset(
    [
        "BITCOUNT",
        "BITPOS",
        "DBSIZE",
        "DEL",
        "DUMP",
        "ECHO",
        "EXISTS",
        "EXPIRE",
        "EXPIREAT",
        "EXPIRETIME",
        "GEODIST",
        "GEOHASH",
        "GEOPOS",
        "GEOSEARCH",
        "GET",
        "GETBIT",
        "GETRANGE",
        "HDEL",
        "HEXISTS",
        "HGET",
        "HGETALL",
        "HKEYS",
        "HLEN",
        "HMGET",
        "HMSET",
        "HRANDFIELD",
        "HSCAN",
        "HSET",
        "HSTRLEN",
        "HVALS",
        "INFO",
        "KEYS",
        "LINDEX",
        "LLEN",
        "LPOS",
        "LRANGE",
        "LSET",
        "LTRIM",
        "MGET",
        "MSET",
        "OBJECT",
        "PERSIST",
        "PEXPIRE",
        "PEXPIREAT",
        "PEXPIRETIME",
        "PFADD",
        "PFCOUNT",
        "PFMERGE",
        "PING",
        "PSETEX",
        "PTTL",
        "RANDOMKEY",
        "SADD",
        "SCAN",
        "SCARD",
        "SDIFF",
        "SDIFFSTORE",
        "SELECT",
        "SET",
        "SETBIT",
        "SETEX",
        "SETRANGE",
        "SINTER",
        "SINTERCARD",
        "SINTERSTORE",
        "SISMEMBER",
        "SMEMBERS",
        "SMISMEMBER",
        "SRANDMEMBER",
        "SREM",
        "SSCAN",
        "STRLEN",
        "SUNION",
        "SUNIONSTORE",
        "TIME",
        "TOUCH",
        "TTL",
        "TYPE",
        "UNLINK",
        "XACK",
        "XINFO",
        "XLEN",
        "XPENDING",
        "XRANGE",
        "XREAD",
        "XREVRANGE",
        "ZADD",
        "ZCARD",
        "ZCOUNT",
        "ZDIFF",
        "ZINTER",
        "ZLEXCOUNT",
        "ZMSCORE",
        "ZRANDMEMBER",
        "ZRANGE",
        "ZRANGEBYLEX",
        "ZRANGEBYSCORE",
        "ZRANK",
        "ZREM",
        "ZREVRANGE",
        "ZREVRANGEBYSCORE",
        "ZREVRANK",
        "ZSCAN",
        "ZSCORE",
        "ZUNION",
    ]
)
#: Options that make the outcome depend on what was there before.
_CONDITIONS = {
    "SET": {"NX", "XX", "GET", "IFEQ"},
    "ZADD": {"NX", "XX", "GT", "LT", "CH", "INCR"},
    "EXPIRE": {"NX", "XX", "GT", "LT"},
    "PEXPIRE": {"NX", "XX", "GT", "LT"},
}
#: Blocking commands: where their timeout stands, and how many seconds one of its units is.
_BLOCKING = {
    "BLPOP": (-1, 1.0),
    "BRPOP": (-1, 1.0),
    "BRPOPLPUSH": (-1, 1.0),
    "BLMOVE": (-1, 1.0),
    "BZPOPMIN": (-1, 1.0),
    "BZPOPMAX": (-1, 1.0),
    "BLMPOP": (1, 1.0),
    "BZMPOP": (1, 1.0),
    "WAIT": (-1, 0.001),
    "WAITAOF": (-1, 0.001),
}


def _word(value: Any) -> str:
    """A word of a command in capitals."""
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).upper()


def repeatable(args: tuple[Any, ...]) -> bool:
    """True if doing a command twice does no harm."""
    name = _word(args[0])
    if name.split(" ")[0] not in _REPEATABLE:
        return False
    conditions = _CONDITIONS.get(name)
    return conditions is None or not any(
        isinstance(each, str | bytes) and _word(each) in conditions for each in args[2:]
    )


def _timeout_of(args: tuple[Any, ...]) -> tuple[int, float] | None:
    """Where a blocking command's timeout stands, and its unit in seconds; None for one that does not block."""
    name = _word(args[0])
    found = _BLOCKING.get(name)
    if found is not None:
        return found[0] % len(args), found[1]
    if name in {"XREAD", "XREADGROUP"}:
        for at, each in enumerate(args[:-1]):
            if isinstance(each, str | bytes) and _word(each) == "BLOCK":
                return at + 1, 0.001
    return None


def blocks_for(args: tuple[Any, ...]) -> float | None:
    """Seconds a command blocks at most, 0 for without limit; None for one that does not block."""
    found = _timeout_of(args)
    return None if found is None else float(args[found[0]]) * found[1]


def within_deadline(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A command whose own timeout ends before the ambient deadline, so that nothing is popped for nobody."""
    found = _timeout_of(args)
    left = remaining()
    if found is None or left is None:
        return args
    at, unit = found
    own = float(args[at]) * unit
    most = max(0.01, left - _ANSWER)
    if 0 < own <= most:
        return args
    shorter: float = most if unit >= 1.0 else max(1, int(most / unit))
    return (*args[:at], shorter, *args[at + 1 :])

# What schemathesis cannot know of this API.

import time

import schemathesis
from hypothesis import strategies

LONGEST_WAIT_MS = 5


# Positions that nothing has reached are waited for: here not for long.
@schemathesis.hook
def map_query(context, query):
    if query and "min_position" in query:
        wait = query.get("wait_ms")
        if "wait_ms" not in query or (isinstance(wait, int) and wait > LONGEST_WAIT_MS):
            query["wait_ms"] = LONGEST_WAIT_MS
    return query


# Keys of now: others have expired, and nothing would be learnt of what comes after.
def key(bits):
    value = int(time.time() * 1000) << 80 | 7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
    digits = f"{value:032x}"
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


schemathesis.openapi.format("uuidv7", strategies.integers(0, (1 << 74) - 1).map(key))

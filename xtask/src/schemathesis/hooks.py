# Positions that nothing has reached are waited for: here not for long.

import schemathesis

LONGEST_WAIT_MS = 5


@schemathesis.hook
def map_query(context, query):
    if query and "min_position" in query:
        wait = query.get("wait_ms", LONGEST_WAIT_MS)
        if isinstance(wait, int) and wait > LONGEST_WAIT_MS or "wait_ms" not in query:
            query["wait_ms"] = LONGEST_WAIT_MS
    return query

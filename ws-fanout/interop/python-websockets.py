"""Python `websockets`: offers a window of 4 KiB and compresses whatever it sends."""

import json
import os

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

TEXT = "To be, or not to be, that is the question: " * 40

with connect(
    os.environ["STREAM"],
    subprotocols=["roomlog.v1"],
    extensions=[ClientPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=12)],
    additional_headers={"authorization": f"Bearer {os.environ['TOKEN']}"},
) as socket:
    agreed = socket.response.headers["Sec-WebSocket-Extensions"]
    assert "permessage-deflate" in agreed and "server_max_window_bits=12" in agreed, agreed
    socket.send(json.dumps({"type": "start", "since": {}}))
    started = json.loads(socket.recv(timeout=20))
    assert started["type"] == "started", started
    room = os.environ["ROOM"]
    socket.send(
        # In pieces: the message is compressed as a whole, over several frames.
        iter(
            [
                '{"type":"command","id":"1","command":"send_message",',
                json.dumps({"room_id": room, "text": TEXT})[1:],
            ]
        )
    )
    seen = set()
    while seen != {"event", "accepted"}:
        frame = json.loads(socket.recv(timeout=20))
        assert frame["type"] in ("event", "accepted"), frame
        assert frame["type"] != "event" or frame["event"]["text"] == TEXT, frame
        seen.add(frame["type"])

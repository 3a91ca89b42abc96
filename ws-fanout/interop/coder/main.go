// Go `coder/websocket`, with compression without context take-over.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

func converse() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	socket, response, err := websocket.Dial(ctx, os.Getenv("STREAM"), &websocket.DialOptions{
		HTTPHeader:           http.Header{"Authorization": {"Bearer " + os.Getenv("TOKEN")}},
		Subprotocols:         []string{"roomlog.v1"},
		CompressionMode:      websocket.CompressionNoContextTakeover,
		CompressionThreshold: 1,
	})
	if err != nil {
		return err
	}
	defer socket.CloseNow()
	if agreed := response.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(agreed, "permessage-deflate") {
		return fmt.Errorf("agreed upon: %q", agreed)
	}
	type object = map[string]any
	if err := wsjson.Write(ctx, socket, object{"type": "start", "since": object{}}); err != nil {
		return err
	}
	text := strings.Repeat("To be, or not to be, that is the question: ", 40)
	seen := map[string]bool{}
	for !seen["event"] || !seen["accepted"] {
		var frame object
		if err := wsjson.Read(ctx, socket, &frame); err != nil {
			return err
		}
		switch kind := frame["type"].(string); kind {
		case "started":
			command := object{"type": "command", "id": "1", "command": "send_message", "room_id": os.Getenv("ROOM"), "text": text}
			if err := wsjson.Write(ctx, socket, command); err != nil {
				return err
			}
		case "event":
			if said := frame["event"].(object)["text"]; said != text {
				return fmt.Errorf("another text: %v", said)
			}
			seen[kind] = true
		case "accepted":
			seen[kind] = true
		default:
			return fmt.Errorf("%v", frame)
		}
	}
	return socket.Close(websocket.StatusNormalClosure, "")
}

func main() {
	if err := converse(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

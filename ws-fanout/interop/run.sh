#!/usr/bin/env bash
# Clients that others wrote speak to `roomlog` over compressed sockets: npm ws, Python websockets, Go coder/websocket and
# Chromium. Needs those (node, npm, python3, go, chromium), curl and jq; works in a folder that it removes.
#
#   ws-fanout/interop/run.sh path/to/roomlog
set -euo pipefail

roomlog=$(realpath "${1:?the roomlog to try}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

cp -r "$here" "$work/clients"
cd "$work/clients"
npm install --silent --no-audit --no-fund --prefix "$work/clients" ws@8 >/dev/null
python3 -m venv "$work/python" && "$work/python/bin/pip" install --quiet 'websockets>=15,<18'
(cd coder && go mod tidy >/dev/null 2>&1 && go build -o "$work/coder" .)

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
address=127.0.0.1:$(port) pages=$(port)
ROOMLOG_LISTEN=$address ROOMLOG_DATA=$work/data ROOMLOG_ORIGINS="http://127.0.0.1:$pages" "$roomlog" >"$work/log" 2>&1 &
pids+=($!)
curl --silent --fail --retry 100 --retry-delay 0 --retry-max-time 60 --retry-all-errors "http://$address/readyz" >/dev/null

api=http://$address/v1 json='content-type: application/json'
ask() { curl --silent --fail --show-error -H "$json" "$@"; }
ask "$api/accounts" -d '{"email":"ada@example.org","username":"ada","password":"correct horse battery"}' >/dev/null
TOKEN=$(ask "$api/sessions" -d '{"login":"ada","password":"correct horse battery"}' | jq -r .access_token)
ROOM=$(ask "$api/rooms" -H "authorization: Bearer $TOKEN" -d '{"name":"Lounge"}' | jq -r .room_id)
export TOKEN ROOM STREAM=ws://$address/v1/stream

saved() { curl --silent "http://$address/metrics" | awk '/^roomlog_fanout_bytes_saved_total/ { print $2 }'; }
try() {
  local name=$1 before after
  shift
  before=$(saved)
  "$@"
  after=$(saved)
  [ "${after:-0}" -gt "${before:-0}" ] || { echo "$name: nothing came compressed" >&2; exit 1; }
  echo "$name: spoken to, $((after - ${before:-0})) bytes saved"
}
browse() {
  python3 -m http.server --bind 127.0.0.1 --directory "$work/clients" "$pages" >"$work/pages" 2>&1 &
  pids+=($!)
  curl --silent --fail --retry 100 --retry-delay 0 --retry-max-time 20 --retry-all-errors "http://127.0.0.1:$pages/" >/dev/null
  local page="http://127.0.0.1:$pages/browser.html#stream=$STREAM&room=$ROOM&token=$TOKEN"
  chromium --headless --no-sandbox --disable-gpu --remote-debugging-port=0 --user-data-dir="$work/profile" "$page" \
    >"$work/chromium" 2>&1 &
  pids+=($!)
  for _ in $(seq 300); do
    grep -q 'GET /said/' "$work/pages" && break
    sleep 0.1
  done
  grep -q 'GET /said/conversed ' "$work/pages" || { cat "$work/pages" >&2; return 1; }
}
try 'npm ws' node npm-ws.mjs
try 'Python websockets' "$work/python/bin/python" python-websockets.py
try 'Go coder/websocket' "$work/coder"
try Chromium browse

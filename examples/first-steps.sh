#!/usr/bin/env bash
# A new user's way, from nothing to webhooks of a real provider: the steps of docs/first-steps.md,
# each of them checked. Takes a few seconds, and leaves nothing behind.
#
#   examples/first-steps.sh [PATH OF hooklatch]
#
# Needs curl, openssl and python3. Prints a line for each step and ends with `all steps passed`.
set -euo pipefail

hooklatch=${1:-hooklatch}
directory=$(mktemp -d)
started=()

finish() {
  code=$?
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
  wait || true
  if [ "$code" != 0 ] && [ -f "$directory/gateway.log" ]; then cat "$directory/gateway.log" >&2; fi
  rm -rf "$directory"
  exit "$code"
}
trap finish EXIT

passed() { echo "ok: $1"; }
fail() { echo "failed: $1" >&2; exit 1; }
# expect WHAT PART TEXT: the text has to contain the part.
expect() { case "$3" in *"$2"*) passed "$1" ;; *) fail "$1: expected $2 in: $3" ;; esac; }
# until_there FILE PATTERN: what the pattern finds in the file, once it is there; 20 seconds at most.
until_there() {
  for _ in $(seq 200); do
    if [ -f "$1" ] && grep -Eo -m1 "$2" "$1" | head -1; then return; fi
    sleep 0.1
  done
  fail "$2 never came in $1"
}

# 1. A gateway on a free port. --dev lets it deliver to this machine.
export HOOKLATCH_API_KEY="hl_$(openssl rand -hex 16)"
"$hooklatch" serve --dev --listen 127.0.0.1:0 --data-dir "$directory/data" 2>"$directory/gateway.log" &
started+=($!)
gateway=$(until_there "$directory/gateway.log" 'http://127\.0\.0\.1:[0-9]+')
export HOOKLATCH_SERVER="$gateway"
api() { curl -sS -H "Authorization: Bearer $HOOKLATCH_API_KEY" -H 'Content-Type: application/json' "$@"; }
expect "the gateway is ready" '"status"' "$(curl -sS "$gateway/readyz")"

# 2. Something that takes webhooks, and checks who sent them, as Standard Webhooks has it.
export WEBHOOK_SECRET="whsec_$(openssl rand -base64 32)"
python3 -u - >"$directory/received" 2>/dev/null <<'RECEIVER' &
import base64, hashlib, hmac, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))

class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        name, time = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        mac = hmac.new(SECRET, f"{name}.{time}.".encode() + body, hashlib.sha256).digest()
        right = "v1," + base64.b64encode(mac).decode()
        genuine = right in self.headers["webhook-signature"].split(" ")
        if genuine:
            print(name, self.headers["hooklatch-trigger"], body.decode())
        self.send_response(200 if genuine else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(f"listening on {server.server_port}.")
server.serve_forever()
RECEIVER
started+=($!)
port=$(until_there "$directory/received" 'listening on [0-9]+\.' | tr -dc 0-9)

# 3. A source for GitHub's webhooks, an endpoint, and a connection from one to the other.
secret=$(openssl rand -hex 20)
source=$(api -X PUT "$gateway/v1/sources" \
  -d "{\"name\": \"github\", \"provider\": \"github\", \"verifier\": {\"secret\": \"$secret\"}}")
ingest=$(grep -Eo 'http://[^"]*/ingest/[^"]*' <<<"$source")
source=$(grep -Eo -m1 'src_[0-9a-z]+' <<<"$source" | head -1)
endpoint=$(api -X PUT "$gateway/v1/endpoints" \
  -d "{\"name\": \"ci\", \"url\": \"http://127.0.0.1:$port/hooks\", \"secret\": \"$WEBHOOK_SECRET\"}" |
  grep -Eo 'ep_[0-9a-z]+' | head -1)
connection=$(api -X PUT "$gateway/v1/connections" \
  -d "{\"name\": \"github-to-ci\", \"source_id\": \"$source\", \"endpoint_id\": \"$endpoint\"}")
expect "source, endpoint and connection are there" '"con_' "$connection"

# 4. A push, signed as GitHub signs it.
delivery=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || openssl rand -hex 16)
push='{"ref": "refs/heads/main", "after": "6113728f27ae82c7b1a177c8d03f9e96e0adf246"}'
signature=$(printf '%s' "$push" | openssl dgst -sha256 -hmac "$secret" -r | cut -d' ' -f1)
github() {
  curl -sS "$ingest" -H 'Content-Type: application/json' -H 'X-GitHub-Event: push' -d "$1" \
    -H "X-GitHub-Delivery: $delivery" -H "X-Hub-Signature-256: sha256=$signature" -w ' %{http_code}'
}
answer=$(github "$push")
expect "the push is accepted" '"outcome":"accepted"' "$answer"
message=$(grep -Eo -m1 'msg_[0-9a-z]+' <<<"$answer" | head -1)
expect "it is delivered, and genuine" "$message first" "$(until_there "$directory/received" "$message first.*")"

# 5. Redelivered at GitHub: a duplicate, kept with its cause, and not sent again.
expect "the redelivery is a duplicate" '"outcome":"duplicate"' "$(github "$push")"
expect "it says why" '"cause":"provider_resend"' "$(api "$gateway/v1/messages/$message/requests?limit=1")"

# 6. Another body under that signature: refused, and nothing is looked up for it.
expect "a changed body is refused" ' 401' "$(github '{"ref": "refs/heads/evil"}')"
expect "the refusal is recorded" 'the signature does not match' \
  "$(api "$gateway/v1/requests?outcome=rejected&limit=1")"

# 7. What stands under the key, by GitHub's own value.
key=$(api "$gateway/v1/keys/$delivery")
expect "the key leads to the message" "\"message_id\":\"$message\"" "$key"
expect "it has one duplicate" '"duplicates":1' "$key"

# 8. A message of our own. The same call again sends nothing; another payload is refused.
send() {
  api -X POST "$gateway/v1/webhooks/send" -w ' %{http_code}' -d "{\"endpoint_id\": \"$endpoint\",
    \"event_type\": \"build.done\", \"idempotency_key\": \"build-7\", \"payload\": {\"build\": 7, \"ok\": $1}}"
}
expect "a send is accepted" ' 202' "$(send true)"
expect "its repetition is the original" ' 200' "$(send true)"
expect "another payload is a conflict, and says what differs" '"diff":["/ok"]' "$(send false)"

# 9. Sent again by hand, as one does after an outage: the receiver sees the same name.
"$hooklatch" replay --id "$message" --include-delivered --reason "the first steps" --yes >/dev/null
expect "a replay keeps the name" "$message replay" "$(until_there "$directory/received" "$message replay.*")"
expect "nothing else was sent for it" 'deliveries: 2' "deliveries: $(grep -c "$message" "$directory/received")"

# 10. The dashboard shows the message, with its duplicate and both attempts.
curl -sS -o /dev/null -c "$directory/cookies" -d "api_key=$HOOKLATCH_API_KEY&next=/" "$gateway/sign-in"
page=$(curl -sS -b "$directory/cookies" "$gateway/messages/$message" | sed 's/<[^>]*>/ /g' | tr -s ' \n' ' ')
expect "the page says why it came twice" 'provider resend' "$page"
expect "the page has both attempts" 'Attempt 2' "$page"

echo 'all steps passed'

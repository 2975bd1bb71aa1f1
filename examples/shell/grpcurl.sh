#!/usr/bin/env bash
# Creates an invitation, looks at its link, accepts it and watches the event: grpcurl.sh ADDRESS
set -euo pipefail
address="$1"

call() { grpcurl -plaintext -max-time 10 -d "$2" "$address" "invitation.v1.$1"; }

invitation="$(call InvitationService/CreateInvitation '{
    "invitation": {
        "scope": {"type": "team", "id": "7", "display_name": "Team Seven"}, "roles": ["editor"],
        "targets": [{"type": "TARGET_TYPE_EMAIL", "value": "ann@example.org"}]
    },
    "send_email": false
}')"
name="$(jq -r .name <<<"$invitation")"
token="$(jq -r .invitationToken <<<"$invitation")"
echo "created $name"

call RedemptionService/PreviewInvitation "{\"token\": \"$token\"}" | jq -r '"preview \(.state) \(.scope.displayName)"'

call RedemptionService/AcceptInvitation "{
    \"token\": \"$token\", \"acceptor\": {\"subject\": \"user-ann\", \"email\": \"ann@example.org\", \"email_verified\": true}
}" | jq -r '"accepted \(.acceptance.name) \(.acceptance.roles[0])"'

# The stream has no end of its own: it is left at the first event that is looked for.
coproc watch {
    exec grpcurl -plaintext -max-time 30 -d '{"from_beginning": true, "types": ["invitation.accepted"]}' "$address" \
        invitation.v1.EventService/WatchEvents
}
jq --unbuffered -nr "first(inputs | select(.event.invitation == \"$name\")) | \"watched \(.event.type) \(.event.invitation)\"" <&"${watch[0]}"
kill "$watch_PID"

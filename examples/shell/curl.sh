#!/usr/bin/env bash
# Creates an invitation, looks at its link, accepts it and reads its events, by the Connect protocol: curl.sh ADDRESS
set -euo pipefail
address="$1"

call() { curl -sS --fail-with-body -m 10 -H 'content-type: application/json' -d "$2" "http://$address/invitation.v1.$1"; }

invitation="$(call InvitationService/CreateInvitation '{
    "invitation": {
        "scope": {"type": "team", "id": "7", "displayName": "Team Seven"}, "roles": ["editor"],
        "targets": [{"type": "TARGET_TYPE_EMAIL", "value": "ann@example.org"}]
    },
    "sendEmail": false
}')"
name="$(jq -r .name <<<"$invitation")"
token="$(jq -r .invitationToken <<<"$invitation")"
echo "created $name"

call RedemptionService/PreviewInvitation "{\"token\": \"$token\"}" | jq -r '"preview \(.state) \(.scope.displayName)"'

call RedemptionService/AcceptInvitation "{
    \"token\": \"$token\", \"acceptor\": {\"subject\": \"user-ann\", \"email\": \"ann@example.org\", \"emailVerified\": true}
}" | jq -r '"accepted \(.acceptance.name) \(.acceptance.roles[0])"'

# A stream is of frames, which is nothing for curl; a page of the same events is.
call EventService/ListEvents "{\"parent\": \"$name\"}" |
    jq -r '.events[] | select(.type == "invitation.accepted") | "watched \(.type) \(.invitation)"'

// Creates an invitation, looks at its link, accepts it and watches the event, by the Connect protocol: connect.js URL

import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { EventService } from "./generated/invitation/v1/event_service_pb.js";
import { InvitationState, TargetType } from "./generated/invitation/v1/invitation_pb.js";
import { InvitationService } from "./generated/invitation/v1/invitation_service_pb.js";
import { RedemptionService } from "./generated/invitation/v1/redemption_service_pb.js";

const transport = createConnectTransport({ baseUrl: process.argv[2]!, httpVersion: "1.1", useBinaryFormat: false });
const invitations = createClient(InvitationService, transport);
const redemptions = createClient(RedemptionService, transport);
const events = createClient(EventService, transport);

const invitation = await invitations.createInvitation({
  invitation: {
    scope: { type: "team", id: "7", displayName: "Team Seven" },
    roles: ["editor"],
    targets: [{ type: TargetType.EMAIL, value: "ann@example.org" }],
  },
  sendEmail: false,
});
console.log("created", invitation.name);

const token = invitation.invitationToken;
const preview = await redemptions.previewInvitation({ token });
console.log("preview", InvitationState[preview.state], preview.scope?.displayName);

const acceptor = { subject: "user-ann", email: "ann@example.org", emailVerified: true };
const { acceptance } = await redemptions.acceptInvitation({ token, acceptor });
console.log("accepted", acceptance?.name, acceptance?.roles[0]);

const start = { case: "fromBeginning", value: true } as const;
for await (const response of events.watchEvents({ start, types: ["invitation.accepted"] }, { timeoutMs: 30_000 })) {
  if (response.item.case === "event" && response.item.value.invitation === invitation.name) {
    console.log("watched", response.item.value.type, response.item.value.invitation);
    break;
  }
}

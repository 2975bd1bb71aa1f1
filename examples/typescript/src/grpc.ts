// Creates an invitation, looks at its link, accepts it and watches the event, with grpc-js: grpc.js ADDRESS

import { promisify } from "node:util";
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const folder = new URL("../../../proto", import.meta.url).pathname;
const files = ["event", "invitation", "redemption"].map((name) => `invitation/v1/${name}_service.proto`);
const definition = loadSync(files, { includeDirs: [folder], enums: String, longs: String, defaults: true });
// grpc-js knows the types of a package that is loaded at run time by its proto files alone.
const { v1 } = (loadPackageDefinition(definition) as any).invitation;

const connect = (service: string) => new v1[service](process.argv[2], credentials.createInsecure());
const call = (client: any, method: string) => promisify(client[method].bind(client)) as (request: object) => Promise<any>;
const [invitations, redemptions, events] = ["InvitationService", "RedemptionService", "EventService"].map(connect);

const invitation = await call(invitations, "createInvitation")({
  invitation: {
    scope: { type: "team", id: "7", displayName: "Team Seven" },
    roles: ["editor"],
    targets: [{ type: "TARGET_TYPE_EMAIL", value: "ann@example.org" }],
  },
  sendEmail: false,
});
console.log("created", invitation.name);

const token = invitation.invitationToken;
const preview = await call(redemptions, "previewInvitation")({ token });
console.log("preview", preview.state, preview.scope.displayName);

const acceptor = { subject: "user-ann", email: "ann@example.org", emailVerified: true };
const { acceptance } = await call(redemptions, "acceptInvitation")({ token, acceptor });
console.log("accepted", acceptance.name, acceptance.roles[0]);

const stream = events.watchEvents({ fromBeginning: true, types: ["invitation.accepted"] });
for await (const { event } of stream) {
  if (event?.invitation === invitation.name) {
    console.log("watched", event.type, event.invitation);
    break;
  }
}
stream.cancel();
for (const client of [invitations, redemptions, events]) client.close();

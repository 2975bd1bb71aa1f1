// The same calls for every client of Connect: their results, which have to be the same whatever the protocol is.

import { createFileRegistry, fromBinary, toBinary, create } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";

/** Reads the compiled proto files, of which several sets may have the same. */
export function readSchema(sets) {
  const files = new Map();
  for (const set of sets) {
    const bytes = Uint8Array.from(atob(set), (letter) => letter.charCodeAt(0));
    for (const file of fromBinary(FileDescriptorSetSchema, bytes).file) {
      if (!files.has(file.name)) files.set(file.name, file);
    }
  }
  return createFileRegistry(create(FileDescriptorSetSchema, { file: [...files.values()] }));
}

/** Returns the code and the reason of an error. */
export function refusal(schema, error) {
  const known = ConnectError.from(error);
  const details = known.findDetails(schema.getMessage("google.rpc.ErrorInfo"));
  return `${Code[known.code]} ${details[0]?.reason}`;
}

/** Returns the code and the reason of a call that has to fail. */
async function refused(schema, call) {
  try {
    return `answered: ${await call}`;
  } catch (error) {
    return refusal(schema, error);
  }
}

/** Takes an invitation through its life, and watches it. */
export async function run(schema, transport) {
  const client = (name) => createClient(schema.getService(`invitation.v1.${name}`), transport);
  const [invitations, redemption, events] = ["InvitationService", "RedemptionService", "EventService"].map(client);
  const scope = { type: "team", id: "red", displayName: "Red \u00fc" };
  const known = schema.getEnum("invitation.v1.InvitationType").values;
  const invitationType = known.find((type) => type.name === "INVITATION_TYPE_MULTI_USE").number;
  const invitation = { scope, invitationType, maxUses: 2, labels: { a: "b" } };
  const made = await invitations.createInvitation({ invitation });
  const token = made.invitationToken;
  const shown = await redemption.previewInvitation({ token });
  await redemption.acceptInvitation({ token, acceptor: { subject: "ann" } });
  const read = await invitations.getInvitation({ name: made.name });
  const types = [];
  const stop = new AbortController();
  for await (const response of events.watchEvents({ start: { case: "startTime", value: read.createTime } }, { signal: stop.signal })) {
    const event = response.item.case === "event" ? response.item.value : undefined;
    if (event?.invitation.endsWith(made.name.split("/").pop())) types.push(event.type);
    if (types.length === 2) break;
  }
  stop.abort();
  const late = async () => {
    for await (const _ of events.watchEvents({}, { timeoutMs: 500 }));
  };
  return {
    shown: shown.scope.displayName,
    uses: read.useCount,
    types,
    missing: await refused(schema, redemption.previewInvitation({ token: "inv_nothing" })),
    invalid: await refused(schema, invitations.createInvitation({ invitation: { maxUses: -1 } })),
    late: (await refused(schema, late())).split(" ")[0],
    stream: await refused(schema, (async () => {
      for await (const _ of events.watchEvents({ start: { case: "resumeToken", value: "none" } }));
    })()),
  };
}

export { toBinary, create, fromBinary };
